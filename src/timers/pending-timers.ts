// Timers that wait, as users have them: `runtime.timers`. Owned by the host thread.
import { checkAggregate, checkDate, checkInteger, invalid } from '../base/checks.ts';
import { checkedJson, list } from '../base/json.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';
import { promised } from '../base/thenable.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import type { Evolution } from '../model/evolution.ts';
import { metadataIn } from '../wire/metadata.ts';
import { type Timer, timerName } from '../wire/timer.ts';
import type { Timers } from './timers.ts';

/** Which timers; all conditions must hold. */
export interface TimerQuery {
  aggregate?: AnyAggregate | string | undefined;
  aggregateId?: string | undefined;
  name?: string | undefined;
  command?: string | undefined;
  /** Due before this date. */
  before?: Date | undefined;
  /** At most so many; default 1,000. */
  limit?: number | undefined;
}

/** A timer that waits. */
export interface PendingTimer {
  readonly id: string;
  readonly aggregateType: string;
  readonly aggregateId: string;
  /** undefined: it has none. */
  readonly name: string | undefined;
  readonly due: Date;
  readonly command: string;
  readonly input: readonly unknown[];
  readonly metadata: Readonly<Record<string, unknown>>;
  /** Of the log, where it was set. */
  readonly position: number;
}

const queryFields = fieldsOf<TimerQuery>({
  aggregate: true,
  aggregateId: 'text',
  name: 'text',
  command: 'text',
  before: true,
  limit: true,
});

/** Durable timers that are not due yet; see `runtime.timers`. */
export class PendingTimers {
  private readonly timers: Timers;
  private readonly evolution: Evolution;

  /** @internal */
  constructor(timers: Timers, evolution: Evolution) {
    this.timers = timers;
    this.evolution = evolution;
  }

  /**
   * Those that wait, in the order of their dates.
   *
   * ```ts
   * const [next] = await runtime.timers.list({ aggregate: Auction, limit: 1 });
   * ```
   * @throws InvalidOptions, RuntimeClosed, WaitTimedOut (as rejections)
   */
  list(query: TimerQuery = {}): Promise<PendingTimer[]> {
    return promised(async () => (await this.timers.inTime(this.select(query))).map((timer) => this.shown(timer)));
  }

  /**
   * Those selected wait no longer. Resolves, once that is durable, to those that were taken back: one that is being executed is not
   * among them.
   * @throws InvalidOptions, RuntimeClosed, WaitTimedOut (as rejections)
   */
  cancel(which: TimerQuery): Promise<PendingTimer[]> {
    return promised(() => this.timers.inTime(this.change('cancel', which, undefined)));
  }

  /** Those selected are due at another date: now, for example. Resolves as `cancel`. @throws InvalidOptions, RuntimeClosed, WaitTimedOut (as rejections) */
  move(which: TimerQuery, due: Date): Promise<PendingTimer[]> {
    return promised(() => {
      checkDate('due', due);
      return this.timers.inTime(this.change('move', which, due.getTime()));
    });
  }

  private async change(what: string, which: TimerQuery, dueMs: number | undefined): Promise<PendingTimer[]> {
    checkFields(what, which, queryFields);
    if (Object.keys(which).every((field) => field === 'limit'))
      invalid(what, which, 'must select some timers: {} selects none');
    const selected = await this.select(which);
    const isChanged = await Promise.all(selected.map((timer) => this.timers.change(timer, dueMs))); // in few commits
    return selected
      .filter((_, i) => isChanged[i])
      .map((timer) => this.shown({ ...timer, dueMs: dueMs ?? timer.dueMs }));
  }

  private async select(query: TimerQuery): Promise<Timer[]> {
    const matches = this.matcherOf(query);
    const { limit = 1000 } = query;
    const found: Timer[] = [];
    for await (const timer of this.timers.all()) {
      if (matches(timer)) found.push(timer);
      if (found.length >= limit) break;
    }
    return found;
  }

  private matcherOf(query: TimerQuery): (timer: Timer) => boolean {
    checkFields('timers', query, queryFields);
    for (const [field, value] of Object.entries(query)) {
      if (value === undefined || value === '') invalid(field, value, 'must say which, or be left out');
    }
    const { aggregate, aggregateId, name, command, before, limit } = query;
    if (aggregate !== undefined) checkAggregate(aggregate);
    if (before !== undefined) checkDate('before', before);
    if (limit !== undefined) checkInteger('limit', limit, 1, 1_000_000);
    const named = typeof aggregate === 'object' ? aggregate.name : aggregate;
    const type = named && this.evolution.storedType(named);
    return ({ message, dueMs }) => {
      if (type !== undefined && message.aggregateType !== type) return false;
      if (aggregateId !== undefined && message.aggregateId !== aggregateId) return false;
      if (name !== undefined && timerName(message) !== name) return false;
      if (command !== undefined && message.command !== command) return false;
      return before === undefined || dueMs < before.getTime();
    };
  }

  private shown({ message, dueMs }: Timer): PendingTimer {
    const { id, aggregateType, aggregateId, command, inputJson, metadataJson, position } = message;
    return {
      id,
      aggregateType: this.evolution.todaysType(aggregateType),
      aggregateId,
      name: timerName(message),
      due: new Date(dueMs),
      command,
      input: checkedJson(inputJson, list, 'the input of a timer'),
      metadata: metadataIn(metadataJson),
      position,
    };
  }
}
