// `trunkline/kafka`: events published to Kafka. Its client library is loaded by the flush thread.
import './base/node-version.ts';

export { type Integration, type IntegrationEvent, integration } from './adapters/kafka/integration.ts';
export { kafka } from './adapters/kafka/kafka.ts';
export type { KafkaOptions, KafkaSasl, RegistryOptions, TopicOptions } from './adapters/kafka/kafka-options.ts';
