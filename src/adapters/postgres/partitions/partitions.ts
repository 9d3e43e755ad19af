// The months that the flusher has partitions for. What it cannot make one for lands in the default partition: a month that
// is far away (a wrong clock), or one for which it lacks the right.
import type pg from 'pg';
import { performance } from '../../../base/clock.ts';
import { makeStatement } from '../schema/months-sql.ts';
import { beginSql } from '../session/session-sql.ts';
import { isServerError, kindOf } from '../session/sqlstate.ts';

const monthsBack = 20 * 12;
const monthsAhead = 2;
const lockTimeoutMs = 2_000;

/** Months since the year 0. */
const monthOf = (ms: number): number => {
  const date = new Date(ms);
  return date.getUTCFullYear() * 12 + date.getUTCMonth();
};
const startOf = (month: number): number => Date.UTC(Math.floor(month / 12), month % 12, 1);

/** The months of many times that mostly lie in the same one. */
export class MonthSet {
  readonly months: Set<number> = new Set();
  private start = 0;
  private end = 0;

  add(ms: number): void {
    if (ms >= this.start && ms < this.end) return;
    const month = monthOf(ms);
    if (Number.isNaN(month)) return;
    this.start = startOf(month);
    this.end = startOf(month + 1);
    this.months.add(month);
  }
}

/** How long one that could not be made is left alone: each try waits for the holder of its lock. */
const againMs = 60_000;

export class Partitions {
  private readonly make: ReturnType<typeof makeStatement>;
  private readonly onHeldUp: (error: unknown) => void;
  /** Made, or tried and not to be tried again. */
  private readonly done = new Set<number>();
  /** Held up by a lock: when they are tried again. */
  private readonly again = new Map<number, number>();

  /** `schema`: escaped. `onHeldUp`: once for each month, which is tried again later. */
  constructor(schema: string, onHeldUp: (error: unknown) => void = () => {}) {
    this.make = makeStatement(schema);
    this.onHeldUp = onHeldUp;
  }

  /** Outside of a transaction: the months of what comes, this month and the next. */
  async prepare(client: pg.ClientBase, months: ReadonlySet<number>, now: number): Promise<void> {
    const current = monthOf(now);
    for (const month of [current, current + 1, ...months]) {
      if (this.done.has(month) || month < current - monthsBack || month > current + monthsAhead) continue;
      if (performance.now() < (this.again.get(month) ?? 0)) continue;
      await this.prepareMonth(client, month);
    }
  }

  private async prepareMonth(client: pg.ClientBase, month: number): Promise<void> {
    try {
      await client.query(beginSql(`lock_timeout = ${lockTimeoutMs}`));
      await this.make.count(client, { start: new Date(startOf(month)).toISOString() });
      await client.query('commit');
    } catch (error) {
      if (!isServerError(error)) throw error;
      await client.query('rollback');
      if (kindOf(error) === 'busy') {
        if (!this.again.has(month)) this.onHeldUp(error);
        this.again.set(month, performance.now() + againMs);
        return;
      }
    }
    this.again.delete(month);
    this.done.add(month);
  }
}
