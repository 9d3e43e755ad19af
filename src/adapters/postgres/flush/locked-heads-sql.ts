// Which heads others hold. `schema`: quoted.
import { object, text } from '../../../base/json.ts';
import { type Nothing, noRows, Statement } from '../session/statement.ts';

interface Keys {
  types: readonly string[];
  ids: readonly string[];
}

interface Key {
  type: string;
  id: string;
}

const key = object<Key>({ type: text, id: text });
const wanted = (schema: string): string =>
  `from ${schema}.aggregates where (aggregate_type, aggregate_id) in (select * from unnest($1::text[], $2::text[]))`;

/** Locks those that no other transaction holds, and gives them. */
export const freeStatement = (schema: string): Statement<Keys, Key> =>
  new Statement(
    'the head of an aggregate',
    `select aggregate_type as type, aggregate_id as id ${wanted(schema)}
     order by aggregate_type collate "C", aggregate_id collate "C" for update skip locked`,
    ['types', 'ids'],
    key,
  );

/** Those that are there. */
export const knownStatement = (schema: string): Statement<Keys, Key> =>
  new Statement(
    'the head of an aggregate',
    `select aggregate_type as type, aggregate_id as id ${wanted(schema)}`,
    ['types', 'ids'],
    key,
  );

/** Waits for each that another transaction has made and not committed. Undone: behind {@link beginProbe}. */
export const makeStatement = (schema: string): Statement<Keys, Nothing> =>
  new Statement(
    'the head of an aggregate',
    `insert into ${schema}.aggregates (aggregate_type, aggregate_id, version, previous_version, first_occurred_at,
       last_occurred_at)
     select type, id, 1, 0, pg_catalog.now(), pg_catalog.now() from unnest($1::text[], $2::text[]) as head (type, id)
     order by type collate "C", id collate "C" on conflict (aggregate_type, aggregate_id) do nothing`,
    ['types', 'ids'],
    noRows,
  );

export const beginProbe = (timeoutMs: number): string => `set local lock_timeout = ${timeoutMs}; savepoint probe`;
export const undoProbe = 'rollback to savepoint probe';
