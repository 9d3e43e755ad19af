// Statements on the table `held_aggregates`. `schema`: quoted.
import { number, object, text } from '../../../base/json.ts';
import { type Nothing, noRows, Statement } from '../session/statement.ts';

interface Held {
  type: string;
  id: string;
  position: number;
}

interface Keys {
  logId: string;
  types: readonly string[];
  ids: readonly string[];
}

export const heldStatement = (schema: string): Statement<{ logId: string }, Held> =>
  new Statement(
    'a held aggregate',
    `select aggregate_type as type, aggregate_id as id, position::float8 as position
     from ${schema}.held_aggregates where log_id = $1`,
    ['logId'],
    object<Held>({ type: text, id: text, position: number }),
  );

/** Within the transaction of the flush, as the next. */
export const removeHeldStatement = (schema: string): Statement<Keys, Nothing> =>
  new Statement(
    'a held aggregate',
    `delete from ${schema}.held_aggregates where log_id = $1
       and (aggregate_type, aggregate_id) in (select * from unnest($2::text[], $3::text[]))`,
    ['logId', 'types', 'ids'],
    noRows,
  );

export const putHeldStatement = (schema: string): Statement<Keys & { positions: readonly number[] }, Nothing> =>
  new Statement(
    'a held aggregate',
    `insert into ${schema}.held_aggregates as held (log_id, aggregate_type, aggregate_id, position)
     select $1, type, id, position from unnest($2::text[], $3::text[], $4::bigint[]) as entry (type, id, position)
     on conflict (log_id, aggregate_type, aggregate_id) do update set position = excluded.position`,
    ['logId', 'types', 'ids', 'positions'],
    noRows,
  );
