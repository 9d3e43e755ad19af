// What a record looks like, byte by byte; no broker.
import { expect, test } from 'vitest';
import { formatEvent, type OutEvent } from '../../src/adapters/kafka/format.ts';
import { formats } from '../../src/adapters/kafka/kafka-options.ts';
import { murmur2, partitionOf } from '../../src/adapters/kafka/partition.ts';
import { schemaOfValue } from '../../src/adapters/kafka/schemas.ts';
import { isLegalTopic } from '../../src/adapters/kafka/topics.ts';

// A payload as no second serialisation would leave it.
const data = Buffer.from('{"b": 1.0,"a":"ü \\u00fc","n":1e2}');
const event: OutEvent = {
  id: '019a0000-0000-7000-8000-000000000001',
  type: 'Call "Routed"',
  aggregateType: 'call',
  aggregateId: 'c-ü',
  version: 3,
  schemaVersion: 2,
  position: 17,
  occurredAt: Date.UTC(2026, 10, 21),
  metadata: { correlationId: 'k', causationId: 'w', traceparent: '00-1-2-01' },
  metadataJson: '{"correlationId":"k","causationId":"w","traceparent":"00-1-2-01"}',
  data,
};
const time = '2026-11-21T00:00:00.000Z';

test.each(formats)('%s carries the payload’s very bytes, plain and behind a schema id', (format) => {
  const { value } = formatEvent(format, event, undefined);
  expect(value.includes(data)).toBe(true);
  expect(JSON.parse(String(value))).toBeTypeOf('object');
  const withId = formatEvent(format, event, 0x01020304).value;
  expect([...withId.subarray(0, 5)]).toEqual([0, 1, 2, 3, 4]);
  expect(withId.subarray(5).equals(value)).toBe(true);
});

test.each(formats)('%s: metadata of whatever a log holds make headers that any consumer can read', (format) => {
  const odd = { correlationId: 'a\0b', causationId: `${'😀'.repeat(9)}\ud83d`, traceparent: 7, source: '\udc00\0' };
  const { headers } = formatEvent(format, { ...event, metadata: odd as never, metadataJson: JSON.stringify(odd) }, 1);
  const texts = Object.values(headers);
  expect(texts.every((text) => text.isWellFormed() && !text.includes('\0'))).toBe(true);
  expect(texts).toContain('ab');
});

test('the runtime’s own', () => {
  const { value, headers } = formatEvent('trunkline', event, undefined);
  expect(JSON.parse(String(value))).toEqual({
    id: event.id,
    type: event.type,
    aggregateType: 'call',
    aggregateId: 'c-ü',
    version: 3,
    position: 17,
    schemaVersion: 2,
    occurredAt: time,
    metadata: event.metadata,
    data: { b: 1, a: 'ü ü', n: 100 },
  });
  expect(headers).toEqual({
    'event-id': event.id,
    'event-type': event.type,
    'aggregate-type': 'call',
    'aggregate-version': '3',
    'schema-version': '2',
    'occurred-at': time,
    'content-type': 'application/json',
    'correlation-id': 'k',
    'causation-id': 'w',
    traceparent: '00-1-2-01',
  });
});

test('the third seed’s: `version` is the schema’s', () => {
  expect(JSON.parse(String(formatEvent('snake-case', event, undefined).value))).toEqual({
    event_id: event.id,
    event_type: event.type,
    aggregate_id: 'c-ü',
    aggregate_type: 'call',
    payload: { b: 1, a: 'ü ü', n: 100 },
    timestamp: time,
    version: 2,
  });
});

test('CloudEvents 1.0, both ways, say the same', () => {
  const binary = formatEvent('cloudevents-binary', event, undefined);
  const structured = formatEvent('cloudevents-structured', event, undefined);
  expect(binary.value.equals(data)).toBe(true);
  const { data: payload, datacontenttype, ...attributes } = JSON.parse(String(structured.value));
  expect(payload).toEqual(JSON.parse(String(data)));
  expect(datacontenttype).toBe(binary.headers['content-type']);
  expect(structured.headers['content-type']).toBe('application/cloudevents+json; charset=UTF-8');
  const named = Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`ce_${name}`, String(value)]));
  expect(binary.headers).toEqual({ ...named, 'content-type': 'application/json' });
  expect(attributes).toMatchObject({ specversion: '1.0', id: event.id, type: event.type, subject: 'c-ü', time });
  expect(attributes.source).toBe('/call');
  for (const name of Object.keys(attributes)) expect(name).toMatch(/^[a-z0-9]{1,20}$/);
});

test('keys go where Kafka’s Java clients put them', () => {
  // The pairs that Kafka's own UtilsTest holds its murmur2 to.
  const known = {
    '21': -973932308,
    foobar: -790332482,
    'a-little-bit-long-string': -985981536,
    lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8: -58897971,
    abc: 479470107,
  };
  for (const [key, hash] of Object.entries(known)) expect(murmur2(Buffer.from(key))).toBe(hash);
  for (const key of Object.keys(known)) expect(partitionOf(key, 6)).toBe((murmur2(Buffer.from(key)) & 0x7fffffff) % 6);
});

test('names of topics', () => {
  for (const topic of ['a', 'events.call-1_x', 'x'.repeat(249)]) expect(isLegalTopic(topic)).toBe(true);
  for (const topic of ['', '.', '..', 'a b', 'ü', 'a/b', 'x'.repeat(250), undefined]) {
    expect(isLegalTopic(topic)).toBe(false);
  }
});

test('the schema of a value wraps that of the payload; definitions stay where references look', () => {
  const payload = { type: 'object', properties: { self: { $ref: '#' } }, $defs: { money: { type: 'string' } } };
  const schema = schemaOfValue('trunkline', payload, 'CallRouted');
  expect(schema).toMatchObject({
    title: 'CallRouted',
    type: 'object',
    properties: { id: { type: 'string' }, data: { properties: { self: { $ref: '#/properties/data' } } } },
    $defs: { money: { type: 'string' } },
  });
  expect(schemaOfValue('cloudevents-binary', payload, 'CallRouted')).toMatchObject(payload);
});

test.each(formats)('%s: a record has the fields that its schema demands, with their types', (format) => {
  const bare = { ...event, metadata: {}, metadataJson: '{}', data: Buffer.from('{}') };
  for (const each of [event, bare]) {
    const { properties = {}, required = [] } = schemaOfValue(format, { type: 'object' }, 'CallRouted') as {
      properties?: Record<string, { type: string }>;
      required?: string[];
    };
    const record: Record<string, unknown> = JSON.parse(String(formatEvent(format, each, undefined).value));
    for (const name of required) expect([name, jsonType(record[name])]).toEqual([name, properties[name]!.type]);
    // CloudEvents leaves room for more attributes; the binary mode's value is the payload.
    if (!format.startsWith('cloudevents')) expect(Object.keys(record).sort()).toEqual([...required].sort());
    else expect(required).toEqual(Object.keys(properties));
  }
});

function jsonType(value: unknown): string {
  return Number.isInteger(value) ? 'integer' : typeof value;
}
