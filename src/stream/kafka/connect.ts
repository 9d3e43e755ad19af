// Which client library carries the stream.
import { TrunklineError } from '../../errors.ts';
import type { KafkaSettings } from '../kafka.ts';
import type { StreamClient } from '../stream.ts';

/** The client library is loaded when it is chosen: one of them need not be installed. */
export async function connect(settings: KafkaSettings): Promise<StreamClient> {
  if (settings.client === 'kafkajs') return new (await import('./kafkajs.ts')).KafkajsClient(settings);
  try {
    return new (await import('./platformatic.ts')).PlatformaticClient(settings);
  } catch (error) {
    const reason = `needs @platformatic/kafka beside trunkline: ${(error as Error).message}`;
    throw new TrunklineError('InvalidOptions', { option: 'stream.client', value: settings.client, reason });
  }
}
