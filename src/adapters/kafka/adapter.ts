// Kafka's stream as the flush thread imports it: the module that `kafka()` names.
export { createSink } from './sink.ts';
