// What kafka() refuses, before anything is started.
import { expect, test } from 'vitest';
import { checkVersion } from '../../src/adapters/kafka/kafkajs-fetch.ts';
import { revealed } from '../../src/base/hidden.ts';
import { isError, kafka } from '../../src/index.ts';
import type { KafkaOptions } from '../../src/kafka.ts';

const brokers = ['localhost:9092'];
const refused: [string, unknown][] = [
  ['stream', undefined],
  ['stream.brokers', { brokers: [] }],
  ['stream.brokers', { brokers: ['localhost'] }],
  ['stream.clientID', { brokers, clientID: 'x' }],
  ['stream.clientId', { brokers, clientId: 'a b' }],
  ['stream.client', { brokers, client: 'librdkafka' }],
  ['stream.format', { brokers, format: 'avro' }],
  ['stream.sasl.mechanism', { brokers, sasl: { mechanism: 'magic' } }],
  ['stream.topics.partition', { brokers, topics: { partition: 3 } }],
  ['stream.topics.partitions', { brokers, topics: { partitions: 0 } }],
  ['stream.topics.template', { brokers, topics: { template: '{prefix}.{tenant}' } }],
  ['stream.topics.module', { brokers, topics: { module: 'not a url' } }],
  ['stream.topics.naming', { brokers, topics: { naming: () => 'x' } }],
  ['stream.brokers', { brokers: ['localhost:99999'] }],
  ['stream.sasl.user', { brokers, sasl: { mechanism: 'plain', user: 'u', password: 'p' } }],
  ['stream.sasl.password', { brokers, sasl: { mechanism: 'plain', username: 'u' } }],
  ['stream.ssl', { brokers, ssl: 'yes' }],
  ['stream.registry.url', { brokers, registry: { url: 'not a url' } }],
  ['stream.registry.url', { brokers, registry: { url: 'ftp://localhost' } }],
  ['stream.registry.compatibility', { brokers, registry: { url: 'http://localhost', compatibility: 'SOMEHOW' } }],
  ['stream.registry.subjects', { brokers, registry: { url: 'http://localhost', subjects: 'mine' } }],
  ['stream.registry.schemas', { brokers, registry: { url: 'http://localhost', schemas: { Routed: {} } } }],
  ['stream.registry.schemas.a.B', { brokers, registry: { url: 'http://localhost', schemas: { 'a.B': true } } }],
  ['stream.publishing', { brokers, publishing: { call: 'no' } }],
  ['stream.batch.count', { brokers, batch: { count: 0 } }],
  ['stream.batch.delayMs', { brokers, batch: { delayMs: -1 } }],
  ['stream.compression', { brokers, compression: 'brotli' }],
  ['stream.resumeAfter', { brokers, resumeAfter: -1 }],
  ['stream.ssl.checkServerIdentity', { brokers, ssl: { checkServerIdentity() {} } }],
];

test.each(refused)('%s is refused by name', (option, options) => {
  let error: unknown;
  try {
    kafka(options as KafkaOptions);
  } catch (thrown) {
    error = thrown;
  }
  expect(isError(error, 'InvalidOptions') && error.details.option).toBe(option);
});

test('a password in the registry’s address is refused, and not told', () => {
  const registry = { url: 'http://user:sesame@localhost:8081' };
  expect(() => kafka({ brokers, registry })).toThrow(/username/);
  try {
    kafka({ brokers, registry });
  } catch (error) {
    expect(JSON.stringify(error) + String(error)).not.toContain('sesame');
  }
});

test('another kafkajs than the one whose insides are known is refused', () => {
  expect(() => checkVersion('2.3.0')).toThrow(/kafkajs 2\.3\.0 is installed.* 2\.2\.4 only/);
  expect(() => checkVersion('2.2.4')).not.toThrow();
});

test('what it returns crosses threads, with every default', () => {
  const stream = kafka({ brokers, sasl: { mechanism: 'plain', username: 'u', password: 'p' } });
  const settings = revealed(stream.options);
  expect(structuredClone(settings)).toEqual(settings);
  expect(settings).toMatchObject({ client: 'platformatic' }); // see docs/adr/0001
  expect(stream).toMatchObject({ name: 'kafka', batch: { count: 5000, bytes: 4 << 20, delayMs: 10 } });
});
