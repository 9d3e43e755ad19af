// The rows of `held_aggregates` of one log: from which position on an aggregate's events wait for the lock of its head.
import type pg from 'pg';
import { keyOf, splitKey } from './held-groups.ts';

export class HeldTable {
  private readonly logId: string;
  private readonly select: string;
  private readonly remove: string;
  private readonly put: string;

  /** `schema`: escaped. */
  constructor(schema: string, logId: string) {
    const table = `${schema}.held_aggregates`;
    this.logId = logId;
    this.select = `select aggregate_type as type, aggregate_id as id, position::float8 as position from ${table} where log_id = $1`;
    this.remove = `delete from ${table} where log_id = $1
      and (aggregate_type, aggregate_id) in (select * from unnest($2::text[], $3::text[]))`;
    this.put = `insert into ${table} as held (log_id, aggregate_type, aggregate_id, position)
      select $1, type, id, position from unnest($2::text[], $3::text[], $4::bigint[]) as entry (type, id, position)
      on conflict (log_id, aggregate_type, aggregate_id) do update set position = excluded.position`;
  }

  async rows(client: pg.ClientBase): Promise<Map<string, number>> {
    const { rows } = await client.query(this.select, [this.logId]);
    return new Map(rows.map(({ type, id, position }) => [keyOf(type, id), position]));
  }

  /** Within the transaction: from what the table has to what it is to have. Returns whether they differ. */
  async move(
    client: pg.ClientBase,
    before: ReadonlyMap<string, number>,
    after: ReadonlyMap<string, number>,
  ): Promise<boolean> {
    const gone = [...before.keys()].filter((key) => !after.has(key));
    const changed = [...after].filter(([key, position]) => before.get(key) !== position);
    if (gone.length > 0) await client.query(this.remove, [this.logId, ...columns(gone)]);
    if (changed.length > 0) {
      const positions = changed.map(([, position]) => position);
      await client.query(this.put, [this.logId, ...columns(changed.map(([key]) => key)), positions]);
    }
    return gone.length + changed.length > 0;
  }
}

function columns(keys: readonly string[]): string[][] {
  const parts = keys.map(splitKey);
  return [parts.map(({ type }) => type), parts.map(({ id }) => id)];
}
