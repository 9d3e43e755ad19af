// The public side of the Kafka stream: what a user says, checked, and turned into plain data for the flush thread, which
// imports the sink by its URL.

import { checkInteger } from '../../base/checks.ts';
import { Hidden } from '../../base/hidden.ts';
import { ownFile } from '../../base/own-file.ts';
import type { StreamOptions } from '../../flush/sink-options.ts';
import type { KafkaOptions } from './kafka-options.ts';
import { resolveKafka } from './settings.ts';

/** The name of Kafka's cursor on the log, in `status()` and in errors. */
const kafkaName = 'kafka';

/**
 * Publish every event to Kafka, exactly once for `read_committed` consumers, in order per aggregate.
 *
 * ```ts
 * createRuntime({ …, stream: kafka({ brokers: ['localhost:9092'] }) })
 * ```
 * @throws InvalidOptions
 */
export function kafka(options: KafkaOptions): StreamOptions {
  const settings = resolveKafka(options);
  const { count = 5000, bytes = 4 << 20, delayMs = 10 } = options.batch ?? {};
  return {
    name: kafkaName,
    module: ownFile('./adapter', import.meta.url).href,
    options: new Hidden(settings),
    batch: {
      count: checkInteger('stream.batch.count', count, 1, 100_000),
      bytes: checkInteger('stream.batch.bytes', bytes, 4096, 64 << 20),
      delayMs: checkInteger('stream.batch.delayMs', delayMs, 0, 60_000),
    },
    backlogLimit: checkInteger('stream.backlogLimit', options.backlogLimit ?? 100_000, 1, Number.MAX_SAFE_INTEGER),
  };
}
