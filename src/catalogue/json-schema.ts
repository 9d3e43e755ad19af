// A catalogue as one JSON Schema document: each version of each event under an `$id` of its own, which says what a stored event
// says of itself (aggregate type as it is stored, event type, schema version), so that it outlives another name.

import { own } from '../base/own.ts';
import type { Catalogue, CatalogueVersion } from './catalogue.ts';
import { Keys } from './keys.ts';

type Json = Readonly<Record<string, unknown>>;

const dialectUri = 'https://json-schema.org/draft/2020-12/schema';

export function jsonSchemaDocument({ service, aggregates }: Catalogue): Json {
  const keys = new Keys();
  const $defs: [string, Json][] = [];
  for (const { name, storedName, events } of aggregates) {
    const add = (type: string, version: number, schema: Json): void => {
      $defs.push([keys.of(name, type, version), { $id: idOf(storedName, type, version), ...schema }]);
    };
    for (const { type, versions, formerNames, splits } of events) {
      for (const version of versions) {
        const number = version.schemaVersion;
        add(type, number, schemaOf(`${name}.${type}, version ${number}`, version));
        for (const former of formerNames) add(former, number, { $ref: idOf(storedName, type, number) });
      }
      for (const split of splits) {
        for (const version of split.versions) {
          const number = version.schemaVersion;
          add(split.type, number, schemaOf(`${name}.${split.type}, version ${number}`, version));
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

function schemaOf(title: string, { payload, example, isRead }: CatalogueVersion): Json {
  const mark = isRead ? {} : { deprecated: true };
  if (!('schema' in payload)) return { title, ...mark, $comment: `no JSON Schema: ${payload.reason}` };
  const { $id: _, ...schema } = payload.schema;
  const examples = own(schema, 'examples') === undefined && example !== undefined ? { examples: [example.value] } : {};
  return { title, ...mark, ...examples, ...schema };
}
