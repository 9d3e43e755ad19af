// What `--config` names.
import { kafka } from '../../src/index.ts';
import { Counter } from '../runtime/aggregates.ts';

const { TOPICS_BROKER, TOPICS_PREFIX, TOPICS_PARTITIONS, TOPICS_CLIENT } = process.env as Record<string, string>;

export default {
  aggregates: [Counter],
  stream: kafka({
    brokers: [TOPICS_BROKER!],
    client: TOPICS_CLIENT as 'kafkajs',
    topics: {
      prefix: TOPICS_PREFIX,
      internalPrefix: `${TOPICS_PREFIX}.own`,
      partitions: Number(TOPICS_PARTITIONS),
      retentionMs: 1000 * Number(TOPICS_PARTITIONS),
    },
  }),
};
