// The months that the flusher has partitions for. What it cannot make one for lands in the default partition: a month that
// is far away (a wrong clock), or one for which it lacks the right.
import type pg from 'pg';
import { performance } from '../../../base/clock.ts';
import { lockTryMs } from '../schema/lock-events.ts';
import { retried } from '../schema/months.ts';
import { makeStatement } from '../schema/months-sql.ts';
import { beginSql } from '../session/session-sql.ts';
import { isServerError, kindOf } from '../session/sqlstate.ts';

const monthsBack = 20 * 12;
const monthsAhead = 2;
const attempts = 3;

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

/** How long all are left alone once a lock has held one up: the transaction that holds it holds up the others, too, and each try all who write. */
const againMs = 60_000;

export class Partitions {
  private readonly make: ReturnType<typeof makeStatement>;
  private readonly onHeldUp: (error: unknown) => void;
  /** Made, or tried and not to be tried again. */
  private readonly done = new Set<number>();
  /** Held up by a lock: when months are made again. */
  private againAt: number | undefined;

  /** `schema`: escaped. `onHeldUp`: once, until all could be made; they are tried again later. */
  constructor(schema: string, onHeldUp: (error: unknown) => void = () => {}) {
    this.make = makeStatement(schema);
    this.onHeldUp = onHeldUp;
  }

  /** Outside of a transaction: the months of what comes, this month and the next. */
  async prepare(client: pg.ClientBase, months: ReadonlySet<number>, now: number): Promise<void> {
    if (this.againAt !== undefined && performance.now() < this.againAt) return;
    const current = monthOf(now);
    // The one to come first: for it no writer is in the way.
    for (const month of [current + 1, current, ...months]) {
      if (this.done.has(month) || month < current - monthsBack || month > current + monthsAhead) continue;
      if (!(await this.prepareMonth(client, month))) return;
    }
    this.againAt = undefined;
  }

  /** False if a lock has held it up. */
  private async prepareMonth(client: pg.ClientBase, month: number): Promise<boolean> {
    try {
      const make = async (): Promise<void> => {
        await client.query(beginSql(`lock_timeout = ${lockTryMs}`));
        await this.make.count(client, { start: new Date(startOf(month)).toISOString() });
        await client.query('commit');
      };
      await retried(client, make, attempts);
    } catch (error) {
      if (!isServerError(error)) throw error;
      if (kindOf(error) === 'busy') {
        if (this.againAt === undefined) this.onHeldUp(error);
        this.againAt = performance.now() + againMs;
        return false;
      }
    }
    this.done.add(month);
    return true;
  }
}
