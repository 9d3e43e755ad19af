// `trunkline/kafka`: events published to Kafka. Its client library is loaded by the flush thread.
import './node-version.ts';

export { type Integration, type IntegrationEvent, integration } from './stream/integration.ts';
export { kafka } from './stream/kafka.ts';
export type { KafkaOptions, KafkaSasl, RegistryOptions, TopicOptions } from './stream/kafka-options.ts';
