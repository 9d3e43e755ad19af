// placeholder for the second client, see below
import type { KafkaSettings } from '../kafka.ts';
export class PlatformaticClient { constructor(_settings: KafkaSettings) { throw new Error('not yet'); } declare x: never }
