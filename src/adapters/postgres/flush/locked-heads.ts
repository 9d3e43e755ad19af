// Which of some aggregates another transaction holds: by the lock of the head's row, or by a head that it has made and not
// committed, which is no row to us yet. The first one statement finds, without waiting; the second only waiting finds.
//
// Invariant: what it locks or inserts it does behind savepoint `heads` of the flush's transaction.
import type pg from 'pg';
import { performance } from '../../../base/clock.ts';
import { isLockTimeout } from '../session/frozen.ts';
import { keyOf, splitKey } from './held-groups.ts';

/** How long the flush waits for one aggregate that another transaction holds, before it goes on without it. */
export const headPatienceMs = 250;

const probeMs = 50;
const searchMs = 2_000;

export class LockedHeads {
  private readonly free: string;
  private readonly known: string;
  private readonly make: string;

  /** `schema`: escaped. */
  constructor(schema: string) {
    const wanted = `from ${schema}.aggregates where (aggregate_type, aggregate_id) in (select * from unnest($1::text[], $2::text[]))`;
    this.free = `select aggregate_type as type, aggregate_id as id ${wanted}
      order by aggregate_type collate "C", aggregate_id collate "C" for update skip locked`;
    this.known = `select aggregate_type as type, aggregate_id as id ${wanted}`;
    this.make = `insert into ${schema}.aggregates (aggregate_type, aggregate_id, version, previous_version, first_occurred_at,
        last_occurred_at)
      select type, id, 1, 0, pg_catalog.now(), pg_catalog.now() from unnest($1::text[], $2::text[]) as head (type, id)
      order by type collate "C", id collate "C" on conflict (aggregate_type, aggregate_id) do nothing`;
  }

  /** Those with a head that is locked; the others' are this transaction's from then on. */
  async locked(client: pg.ClientBase, keys: readonly string[]): Promise<{ locked: string[]; isNew: string[] }> {
    const free = await this.keys(client, this.free, keys);
    const known = await this.keys(client, this.known, keys);
    return {
      locked: keys.filter((key) => known.has(key) && !free.has(key)),
      isNew: keys.filter((key) => !known.has(key)),
    };
  }

  /** Those for which a statement has just waited in vain; none if they are free by now. @throws the server's lock time-out */
  async blocking(client: pg.ClientBase, keys: readonly string[]): Promise<string[]> {
    const { locked, isNew } = await this.locked(client, keys);
    if (locked.length > 0 || isNew.length === 0) return locked;
    if (keys.length === 1) return isNew;
    await client.query(`set local lock_timeout = ${probeMs}; savepoint probe`);
    const found = await this.search(client, isNew, performance.now() + searchMs);
    await client.query(`set local lock_timeout = ${headPatienceMs}`);
    return found;
  }

  /** By halves. Many of them take long: then the whole flush waits. */
  private async search(client: pg.ClientBase, keys: readonly string[], end: number): Promise<string[]> {
    try {
      await client.query(this.make, values(keys));
      return [];
    } catch (error) {
      if (!isLockTimeout(error) || performance.now() > end) throw error;
    } finally {
      await client.query('rollback to savepoint probe').catch(() => {}); // the error says what there is to say
    }
    if (keys.length === 1) return [...keys];
    const middle = keys.length >> 1;
    const first = await this.search(client, keys.slice(0, middle), end);
    return [...first, ...(await this.search(client, keys.slice(middle), end))];
  }

  private async keys(client: pg.ClientBase, sql: string, keys: readonly string[]): Promise<Set<string>> {
    const { rows } = await client.query(sql, values(keys));
    return new Set(rows.map(({ type, id }) => keyOf(type, id)));
  }
}

const values = (keys: readonly string[]): string[][] => {
  const parts = keys.map(splitKey);
  return [parts.map(({ type }) => type), parts.map(({ id }) => id)];
};
