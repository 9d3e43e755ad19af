// What a record's value and headers are. The payload's bytes are those from the log, copied into place: nothing is
// parsed or serialised a second time.
//
// | format | value | headers |
// |---|---|---|
// | `trunkline` | the event as `StoredEvent` shows it, JSON | ours |
// | `snake-case` | event_id, event_type, aggregate_id, aggregate_type, payload, timestamp, version (of the schema) | ours |
// | `cloudevents-binary` | the payload | CloudEvents 1.0 attributes as `ce_…` |
// | `cloudevents-structured` | CloudEvents 1.0, JSON | ours, and its content type |

import { isStorable, tame } from '../../base/tame.ts';
import type { Metadata } from '../../wire/metadata.ts';
import type { Format } from './kafka-options.ts';

/** An event as a format sees it. */
export interface OutEvent {
  id: string;
  type: string;
  aggregateType: string;
  aggregateId: string;
  version: number;
  schemaVersion: number;
  position: number;
  /** milliseconds since 1970 */
  occurredAt: number;
  metadata: Metadata;
  /** `{}` where there is none */
  metadataJson: string;
  /** JSON, as bytes of a buffer of the sender's: copied at once */
  data: Buffer;
}

export interface Formatted {
  value: Buffer;
  headers: Record<string, string>;
}

const json = JSON.stringify;

/** What metadata say, where that is text; a log of an earlier release may hold anything there. */
const words = (value: unknown): string => {
  if (typeof value === 'string') return isStorable(value) ? value : tame(value, value.length);
  return typeof value === 'number' ? String(value) : '';
};

const none = '';
const wireHeaderBytes = 5;

/** `schemaId`: of a registry; the value then begins with a zero byte and the id. */
export function formatEvent(format: Format, event: OutEvent, schemaId: number | undefined): Formatted {
  const time = timeOf(event.occurredAt);
  switch (format) {
    case 'trunkline':
      return { value: splice(ownHead(event, time), event.data, '}', schemaId), headers: ownHeaders(event, time) };
    case 'snake-case':
      return {
        value: splice(
          `{"event_id":${json(event.id)},"event_type":${json(event.type)},"aggregate_id":${json(event.aggregateId)},` +
            `"aggregate_type":${json(event.aggregateType)},"payload":`,
          event.data,
          `,"timestamp":"${time}","version":${event.schemaVersion}}`,
          schemaId,
        ),
        headers: ownHeaders(event, time),
      };
    case 'cloudevents-binary':
      return { value: splice(none, event.data, none, schemaId), headers: cloudHeaders(event, time) };
    case 'cloudevents-structured': {
      const headers = ownHeaders(event, time);
      headers['content-type'] = 'application/cloudevents+json; charset=UTF-8';
      return { value: splice(cloudHead(event, time), event.data, '}', schemaId), headers };
    }
  }
}

/** Events of one burst share a millisecond. */
function timeOf(millis: number): string {
  if (millis !== lastMillis) {
    lastMillis = millis;
    lastTime = new Date(millis).toISOString();
  }
  return lastTime;
}

let lastMillis = Number.NaN;
let lastTime = '';

function splice(head: string, data: Buffer, tail: string, schemaId: number | undefined): Buffer {
  const start = schemaId === undefined ? 0 : wireHeaderBytes;
  const headBytes = Buffer.byteLength(head);
  const value = Buffer.allocUnsafe(start + headBytes + data.length + Buffer.byteLength(tail));
  if (schemaId !== undefined) {
    value[0] = 0;
    value.writeInt32BE(schemaId, 1);
  }
  value.write(head, start);
  data.copy(value, start + headBytes);
  value.write(tail, start + headBytes + data.length);
  return value;
}

function ownHead(event: OutEvent, time: string): string {
  const { id, type, aggregateType, aggregateId, version, position, schemaVersion, metadataJson } = event;
  return (
    `{"id":${json(id)},"type":${json(type)},"aggregateType":${json(aggregateType)},"aggregateId":${json(aggregateId)},` +
    `"version":${version},"position":${position},"schemaVersion":${schemaVersion},"occurredAt":"${time}",` +
    `"metadata":${metadataJson},"data":`
  );
}

function ownHeaders(event: OutEvent, time: string): Record<string, string> {
  const { metadata } = event;
  const headers: Record<string, string> = {
    'event-id': event.id,
    'event-type': event.type,
    'aggregate-type': event.aggregateType,
    'aggregate-version': String(event.version),
    'schema-version': String(event.schemaVersion),
    'occurred-at': time,
    'content-type': 'application/json',
  };
  if (words(metadata.correlationId)) headers['correlation-id'] = words(metadata.correlationId);
  if (words(metadata.causationId)) headers['causation-id'] = words(metadata.causationId);
  if (words(metadata.traceparent)) headers.traceparent = words(metadata.traceparent);
  return headers;
}

const sourceOf = ({ metadata, aggregateType }: OutEvent): string =>
  words(metadata.source) || `/${encodeURIComponent(aggregateType)}`;

function cloudHead(event: OutEvent, time: string): string {
  const { metadata } = event;
  let head =
    `{"specversion":"1.0","id":${json(event.id)},"source":${json(sourceOf(event))},"type":${json(event.type)},` +
    `"subject":${json(event.aggregateId)},"time":"${time}","datacontenttype":"application/json",` +
    `"partitionkey":${json(event.aggregateId)},"aggregatetype":${json(event.aggregateType)},` +
    `"aggregateversion":${event.version},"schemaversion":${event.schemaVersion},`;
  if (words(metadata.correlationId)) head += `"correlationid":${json(words(metadata.correlationId))},`;
  if (words(metadata.causationId)) head += `"causationid":${json(words(metadata.causationId))},`;
  if (words(metadata.traceparent)) head += `"traceparent":${json(words(metadata.traceparent))},`;
  return `${head}"data":`;
}

function cloudHeaders(event: OutEvent, time: string): Record<string, string> {
  const { metadata } = event;
  const headers: Record<string, string> = {
    ce_specversion: '1.0',
    ce_id: event.id,
    ce_source: sourceOf(event),
    ce_type: event.type,
    ce_subject: event.aggregateId,
    ce_time: time,
    ce_partitionkey: event.aggregateId,
    ce_aggregatetype: event.aggregateType,
    ce_aggregateversion: String(event.version),
    ce_schemaversion: String(event.schemaVersion),
    'content-type': 'application/json',
  };
  if (words(metadata.correlationId)) headers.ce_correlationid = words(metadata.correlationId);
  if (words(metadata.causationId)) headers.ce_causationid = words(metadata.causationId);
  if (words(metadata.traceparent)) headers.ce_traceparent = words(metadata.traceparent);
  return headers;
}
