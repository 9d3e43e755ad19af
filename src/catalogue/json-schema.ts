// A catalogue as one JSON Schema document: each version of each event under an `$id` of its own, which says what a stored event
// says of itself (aggregate type as it is stored, event type, schema version), so that it outlives another name.

import { own } from '../base/own.ts';
import {
  type Catalogue,
  type CatalogueAggregate,
  type CatalogueEvent,
  type CatalogueVersion,
  topicsOf,
} from './catalogue.ts';
import { Keys } from './keys.ts';

type Json = Readonly<Record<string, unknown>>;

const dialectUri = 'https://json-schema.org/draft/2020-12/schema';

export function jsonSchemaDocument({ service, aggregates }: Catalogue): Json {
  const keys = new Keys();
  const $defs: [string, Json][] = [];
  for (const aggregate of aggregates) {
    const { name, storedName, events } = aggregate;
    const add = (type: string, version: number, schema: Json): void => {
      $defs.push([keys.of(name, type, version), { $id: idOf(storedName, type, version), ...schema }]);
    };
    for (const event of events) {
      const { type, versions, formerNames, splits } = event;
      const about = (version: CatalogueVersion): string => commentOn(service, aggregate, event, version);
      for (const version of versions) {
        const number = version.schemaVersion;
        add(type, number, schemaOf(`${name}.${type}, version ${number}`, version, about(version)));
        for (const former of formerNames) add(former, number, { $ref: idOf(storedName, type, number) });
      }
      for (const split of splits) {
        for (const version of split.versions) {
          const number = version.schemaVersion;
          add(split.type, number, schemaOf(`${name}.${split.type}, version ${number}`, version, about(version)));
        }
      }
    }
  }
  const $comment = 'Each version of each event as it is stored, by its $id. The document itself takes every value.';
  return { $schema: dialectUri, title: `Events of ${service}`, $comment, $defs: Object.fromEntries($defs) };
}

/** A name may hold whatever is no control character. */
const idOf = (aggregateType: string, type: string, version: number): string =>
  `urn:trunkline:event:${encoded(aggregateType)}:${encoded(type)}:${version}`;

/** `encodeURIComponent` leaves these, of which RFC 8141 takes no `'` for certain. */
const encoded = (name: string): string => encodeURIComponent(name).replaceAll("'", '%27');

/** What no keyword of JSON Schema is for. */
function commentOn(
  service: string,
  { kind, name, integration }: CatalogueAggregate,
  { type, readers = [] }: CatalogueEvent,
  { records }: CatalogueVersion,
): string {
  const topics = topicsOf(records);
  const becomes = integration?.causes.includes(type) ? (integration.topic ?? `not known`) : undefined;
  return [
    `producer: ${kind} ${name} of ${service}`,
    ...(topics === undefined ? [] : [`topics: ${topics.length === 0 ? 'none' : topics.join(', ')}`]),
    ...(readers.length === 0 ? [] : [`read by: ${readers.join(', ')}`]),
    ...(becomes === undefined ? [] : [`topic of its integration events: ${becomes}`]),
  ].join('; ');
}

function schemaOf(title: string, { payload, example, isRead }: CatalogueVersion, about: string): Json {
  const mark = isRead ? {} : { deprecated: true };
  if (!('schema' in payload)) return { title, ...mark, $comment: `no JSON Schema: ${payload.reason}; ${about}` };
  const { $id: _, ...schema } = payload.schema;
  const examples = own(schema, 'examples') === undefined && example !== undefined ? { examples: [example.value] } : {};
  const comment = own(schema, '$comment');
  const $comment = typeof comment === 'string' ? `${comment}; ${about}` : about;
  return { title, ...mark, ...examples, ...schema, $comment };
}
