// What users read of the store, but for the events themselves. `schema`: quoted.
import pg from 'pg';
import { nullable, number, object, text } from '../../../base/json.ts';
import type { EventFilter } from '../../../store/filter.ts';
import { conditions, type TimeBounds, timeBounds, timeBoundsShape, withinTimes } from '../rows/events-sql.ts';
import { Statement } from '../session/statement.ts';

const { escapeLiteral } = pg;

interface Key {
  type: string;
  id: string;
}

interface Version {
  version: number;
  position: number;
}

interface Bounds extends TimeBounds {
  version: number;
}

export const headsPerPage = 1_000;

export const versionStatement = (schema: string): Statement<Key, Version> =>
  new Statement(
    'the head of an aggregate',
    `select version, position::float8 as position from ${schema}.aggregates
     where aggregate_type = $1 and aggregate_id = $2`,
    ['type', 'id'],
    object<Version>({ version: number, position: number }),
  );

/** In the order of their ids; a page of {@link headsPerPage}. */
export const headsStatement = (schema: string): Statement<{ type: string; after: string }, Version & { id: string }> =>
  new Statement(
    'the head of an aggregate',
    `select aggregate_id as id, version, position::float8 as position from ${schema}.aggregates
     where aggregate_type = $1 and aggregate_id collate "C" > $2 order by aggregate_id collate "C" limit ${headsPerPage}`,
    ['type', 'after'],
    object<Version & { id: string }>({ id: text, version: number, position: number }),
  );

export const boundsStatement = (schema: string): Statement<Key, Bounds> =>
  new Statement(
    'the head of an aggregate',
    `select ${timeBounds}, version from ${schema}.aggregates where aggregate_type = $1 and aggregate_id = $2`,
    ['type', 'id'],
    object<Bounds>({ version: number, ...timeBoundsShape }),
  );

interface Writer {
  /** null, both: transactions of the user's wrote it. */
  log_id: string | null;
  position: number | null;
}

/** Who wrote an event of the aggregate that has this head. */
export const writerStatement = (schema: string, head: TimeBounds): Statement<Key & { version: number }, Writer> =>
  new Statement(
    'an event of an aggregate',
    `select log_id, position::float8 as position from ${schema}.domain_events
     where aggregate_type = $1 and aggregate_id = $2 and version = $3${withinTimes(head)}`,
    ['type', 'id', 'version'],
    object<Writer>({ log_id: nullable(text), position: nullable(number) }),
  );

/** For COPY: the events of an aggregate. Up to the version of the head: what comes later may lie beyond its times. */
export const eventsFrom = (schema: string, { type, id }: Key, first: number, head: Bounds): string =>
  `${schema}.domain_events where aggregate_type = ${escapeLiteral(type)} and aggregate_id = ${escapeLiteral(id)}
   and version >= ${first} and version <= ${head.version}${withinTimes(head)} order by version`;

/** Where a page ends. Rows may share a number, where numbers began again: a page may end between them. */
export interface Place {
  sequence: bigint;
  id: string;
}

/** A number may be 0 or less: a table that was restored may have any. */
export const beforeAll: Place = { sequence: -(2n ** 63n), id: '00000000-0000-0000-0000-000000000000' };

const behind = (schema: string, filter: EventFilter, { sequence, id }: Place): string =>
  `${schema}.domain_events
   where (sequence, id) > ('${sequence}'::pg_catalog.int8, ${escapeLiteral(id)}::pg_catalog.uuid)${conditions(filter)}`;

/** For COPY: all events behind a place. */
export const storeFrom = (schema: string, filter: EventFilter, after: Place): string =>
  `${behind(schema, filter, after)} order by sequence, id`;

/**
 * For COPY: the same as the index has them, which sorts nothing; `most`, and all that share the last one's number. Those that share
 * one come in any order.
 */
export const numberedFrom = (schema: string, filter: EventFilter, after: Place, most: number): string =>
  `${behind(schema, filter, after)} order by sequence fetch first ${most} rows with ties`;

/** For COPY: the events of one log, positions `from` to `to`. */
export const logFrom = (schema: string, logId: string, filter: EventFilter, from: number, to: number): string =>
  `${schema}.domain_events where log_id = ${escapeLiteral(logId)} and position between ${from} and ${to}${conditions(filter)}
   order by position`;

/** `from`: one of the above. */
export const limited = (from: string, most: number): string => `${from} limit ${most}`;
