// Statements that close the transactions' door to the types of actors. `schema`: quoted.
import pg from 'pg';
import { object, text } from '../../../base/json.ts';
import { beginSql, durable } from '../session/session-sql.ts';
import { type Nothing, noColumns, Statement } from '../session/statement.ts';

interface Type {
  type: string;
}

const type = object<Type>({ type: text });
const what = 'a type of actors';

/** Of these types those whose door is not closed, or not yet looked behind; in one order. */
export const missingStatement = (schema: string): Statement<{ types: readonly string[] }, Type> =>
  new Statement(
    what,
    `select type from pg_catalog.unnest($1::text[]) as type where not exists (
        select from ${schema}.actor_types where aggregate_type = type and is_settled) order by type collate "C"`,
    ['types'],
    type,
  );

/** Writes no row where a transaction has gone through the door. */
export const closeStatement = (schema: string): Statement<Type, Nothing> =>
  new Statement(
    what,
    `with used as (select from ${schema}.aggregates where aggregate_type = $1 and log_id is null limit 1)
        insert into ${schema}.actor_types (aggregate_type) select $1 where not exists (select from used)
        on conflict (aggregate_type) do update set aggregate_type = excluded.aggregate_type returning ${durable}`,
    ['type'],
    noColumns,
  );

const listOf = (types: Iterable<string>): string => [...types].map(pg.escapeLiteral).join();

/** Of these types those that were taken back, here or by another runtime meanwhile. The last but one of the two below. */
export const takenBackStatement = (schema: string, types: Iterable<string>): Statement<Nothing, Type> =>
  new Statement(
    what,
    `select type from pg_catalog.unnest(array[${listOf(types)}]::text[]) as type
        where not exists (select from ${schema}.actor_types where aggregate_type = type)`,
    [],
    type,
  );

const settled = (schema: string, types: Iterable<string>): string =>
  `update ${schema}.actor_types set is_settled = true where not is_settled and aggregate_type in (${listOf(types)});
      ${takenBackStatement(schema, types).text}; commit`;

/** Waits for transactions that write events; a type by which one has gone through the door is taken back. */
export const settleSql = (schema: string, types: Iterable<string>, lockTimeoutMs: number): string =>
  `${beginSql(`lock_timeout = ${lockTimeoutMs}`)};
    lock table ${schema}.actor_types in access exclusive mode;
    delete from ${schema}.actor_types t where not is_settled and aggregate_type in (${listOf(types)})
      and exists (select from ${schema}.aggregates a where a.aggregate_type = t.aggregate_type and a.log_id is null);
    ${settled(schema, types)}`;

/** After a transaction that has failed: without waiting, and without looking again. */
export const settleUnseenSql = (schema: string, types: Iterable<string>): string =>
  `rollback; ${beginSql()}; ${settled(schema, types)}`;
