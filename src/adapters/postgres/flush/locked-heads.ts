// Which of some aggregates another transaction holds: by the lock of the head's row, or by a head that it has made and not
// committed, which is no row to us yet. The first one statement finds, without waiting; the second only waiting finds.
//
// Invariant: what it locks or inserts it does behind savepoint `heads` of the flush's transaction.
import type pg from 'pg';
import { performance } from '../../../base/clock.ts';
import { isLockTimeout } from '../session/frozen.ts';
import { execute } from '../session/statement.ts';
import { lockTimeoutSql } from './heads-sql.ts';
import { columnsOf, keyOf } from './held-groups.ts';
import { beginProbe, freeStatement, knownStatement, makeStatement, undoProbe } from './locked-heads-sql.ts';

/** How long the flush waits for one aggregate that another transaction holds, before it goes on without it. */
export const headPatienceMs = 250;

const probeMs = 50;
const searchMs = 2_000;

export class LockedHeads {
  private readonly free: ReturnType<typeof freeStatement>;
  private readonly known: ReturnType<typeof knownStatement>;
  private readonly make: ReturnType<typeof makeStatement>;

  /** `schema`: escaped. */
  constructor(schema: string) {
    this.free = freeStatement(schema);
    this.known = knownStatement(schema);
    this.make = makeStatement(schema);
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
    await execute(client, beginProbe(probeMs));
    const found = await this.search(client, isNew, performance.now() + searchMs);
    await execute(client, lockTimeoutSql(headPatienceMs));
    return found;
  }

  /** By halves. Many of them take long: then the whole flush waits. */
  private async search(client: pg.ClientBase, keys: readonly string[], end: number): Promise<string[]> {
    try {
      await this.make.count(client, columnsOf(keys));
      return [];
    } catch (error) {
      if (!isLockTimeout(error) || performance.now() > end) throw error;
    } finally {
      await execute(client, undoProbe).catch(() => {}); // the error says what there is to say
    }
    if (keys.length === 1) return [...keys];
    const middle = keys.length >> 1;
    const first = await this.search(client, keys.slice(0, middle), end);
    return [...first, ...(await this.search(client, keys.slice(middle), end))];
  }

  private async keys(
    client: pg.ClientBase,
    statement: LockedHeads['free'],
    keys: readonly string[],
  ): Promise<Set<string>> {
    const rows = await statement.run(client, columnsOf(keys));
    return new Set(rows.map(({ type, id }) => keyOf(type, id)));
  }
}
