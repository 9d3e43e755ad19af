// Which client library carries the stream. Both are optional peers: the one that is chosen is loaded here, and only then.
import { TrunklineError } from '../../base/errors.ts';
import type { KafkaSettings } from './kafka-options.ts';
import type { StreamClient } from './stream.ts';

const packages = { kafkajs: 'kafkajs@2.2.4', platformatic: '@platformatic/kafka' } as const;

/** @throws InvalidOptions: the library is not installed beside trunkline, or cannot be loaded */
export async function connect(settings: KafkaSettings): Promise<StreamClient> {
  if (settings.client === 'kafkajs')
    return new (await loaded('kafkajs', import('./kafkajs.ts'))).KafkajsClient(settings);
  return new (await loaded('platformatic', import('./platformatic.ts'))).PlatformaticClient(settings);
}

async function loaded<Port>(client: keyof typeof packages, port: Promise<Port>): Promise<Port> {
  try {
    return await port;
  } catch (error) {
    const reason = `'${client}' needs its library beside trunkline (npm install ${packages[client]}): ${(error as Error).message}`;
    throw new TrunklineError('InvalidOptions', { option: 'stream.client', reason });
  }
}
