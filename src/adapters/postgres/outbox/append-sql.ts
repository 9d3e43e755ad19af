// Calls of the functions of the schema that append events, on clients of the user's. `schema`: quoted.
import { listOf, number, object } from '../../../base/json.ts';
import { Statement } from '../session/statement.ts';

/** The arguments in their order, each with its type: with the types left open, a function of the same name in the schema could be chosen. */
const types = {
  id: 'uuid',
  aggregateType: 'text',
  aggregateId: 'text',
  type: 'text',
  schemaVersion: 'int4',
  occurredAt: 'timestamptz',
  data: 'jsonb',
  metadata: 'jsonb',
  expected: 'int4',
} as const;

/** Of append_event the values, of append_events lists of them. */
export type Arguments = Readonly<Record<keyof typeof types, unknown>>;

const names = Object.keys(types) as (keyof Arguments)[];
const list = (suffix: string): string =>
  Object.values(types)
    .map((type, i) => `$${i + 1}::pg_catalog.${type}${suffix}`)
    .join(', ');

interface Appended {
  version: number;
  /** The server process that answers. */
  pid: number;
}

export const appendOneStatement = (schema: string): Statement<Arguments, Appended> =>
  new Statement(
    'an event that is appended',
    `select ${schema}.append_event(${list('')}) as version, pg_catalog.pg_backend_pid() as pid`,
    names,
    object<Appended>({ version: number, pid: number }),
  );

export const appendSeveralStatement = (schema: string): Statement<Arguments, { versions: number[] }> =>
  new Statement(
    'events that are appended',
    `select ${schema}.append_events(${list('[]')}) as versions`,
    names,
    object({ versions: listOf(number) }),
  );
