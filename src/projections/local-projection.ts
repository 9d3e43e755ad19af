// Projections whose rows are kept here, on disk or in memory: one subscription for each set of rows. Owned by the host
// thread.
//
//   rows      table `rows:<name>`, key: generation, 0, row key
//   which     table `projections`, key: name → the rows that are shown, and those that are being built
//
// Invariants: rows and checkpoint are committed together, so each event is folded once. Rows that are shown are complete up to
// their position: a generation is shown when it has caught up, and the one before it is shown, and kept current, until then.

import { compareKeys, isWithin } from '../base/key-order.ts';
import { isThenable } from '../base/thenable.ts';
import { within } from '../base/wait.ts';
import { checkpointTable } from '../handler-state/checkpoint.ts';
import type { StateTables } from '../handler-state/handler-state.ts';
import { valuesOf } from '../handler-state/records.ts';
import type { StoredEvent } from '../model/event.ts';
import { wantedParts } from '../model/evolved-event.ts';
import type { SubscriptionStatus } from '../subscriptions/handlers.ts';
import { checkRange, checkWaitFields, type RangeOptions, type WaitOptions } from '../subscriptions/reading-options.ts';
import { resolveSubscription } from '../subscriptions/settings.ts';
import type { RunningSubscription } from '../subscriptions/subscription.ts';
import { emptyStatus } from '../subscriptions/subscription-status.ts';
import { filterTable } from '../subscriptions/widened.ts';
import { deepFreeze, textOf } from '../wire/payload.ts';
import { catchUp, keysOf, nextRow } from './folding.ts';
import {
  type Generation,
  type KeptProjection,
  keptProjectionOf,
  type Projection,
  type ProjectionDefinition,
  projectionTable,
  rowTable,
  subscriptionName,
} from './projection.ts';
import type { ProjectionStage } from './projection-adapter.ts';

const rowsPerTrim = 1000;

/** One set of rows, and the subscription that folds them. */
class RowSet<Row> {
  readonly number: number;
  readonly subscription: RunningSubscription;
  readonly memory = new Map<string, Row>();
  private readonly definition: ProjectionDefinition<Row>;
  private readonly handlerState: StateTables;
  private readonly table: string;

  constructor(definition: ProjectionDefinition<Row>, number: number, stage: ProjectionStage) {
    this.definition = definition;
    this.number = number;
    this.handlerState = stage.local;
    this.table = rowTable(definition.name);
    const { name, events, aggregates, into } = definition;
    const settings = resolveSubscription(
      {
        name: subscriptionName(name, number),
        events: events ?? '*',
        aggregates,
        onExhausted: 'stop',
        concurrency: 1,
        retry: { attempts: 3 },
        handle: () => {},
      },
      stage.definitions,
    );
    const call = (event: StoredEvent): unknown => this.fold(wantedParts(event, settings.wanted));
    this.subscription = stage.begin(settings, call, {
      volatile: into === 'memory',
      handlerState: stage.local,
      isInternal: true,
    });
  }

  /**
   * In one turn with the event's completion; or, where the store answers later, in the turn after the last row is there. What a
   * stored event has become is folded as a whole, and put then: where one part cannot be folded, none is.
   */
  private fold(parts: readonly StoredEvent[]): unknown {
    const steps = parts.flatMap((event) => keysOf(this.definition, event).map((key) => ({ event, key })));
    const keys = steps.length > 1 ? [...new Set(steps.map(({ key }) => key))] : steps.map(({ key }) => key);
    const rows = keys.map((key) => this.get(key));
    const put = (current: readonly (Row | undefined)[]): void => {
      const next = new Map(keys.map((key, i) => [key, current[i]]));
      for (const { event, key } of steps) next.set(key, nextRow(this.definition, next.get(key), event, key));
      for (const [key, row] of next) this.put(key, row);
    };
    if (rows.some((row) => isThenable(row))) return Promise.all(rows).then(put);
    return put(rows as (Row | undefined)[]);
  }

  get(key: string): Row | undefined | Promise<Row | undefined> {
    if (this.definition.into === 'memory') return this.memory.get(key);
    const found = this.handlerState.get(this.table, this.keyOf(key));
    return isThenable(found) ? Promise.resolve(found).then((row) => deepFreeze(row as Row)) : deepFreeze(found as Row);
  }

  private put(key: string, row: Row | undefined): void {
    if (this.definition.into !== 'memory')
      this.handlerState.stageJson(this.table, this.keyOf(key), row === undefined ? undefined : textOf(row));
    else if (row === undefined) this.memory.delete(key);
    else this.memory.set(key, row);
  }

  keyOf(key: string): string {
    return `${this.number}\0${key}`;
  }
}

export class LocalProjection<Row> implements Projection<Row> {
  readonly name: string;
  private readonly definition: ProjectionDefinition<Row>;
  private readonly stage: ProjectionStage;
  private readonly onClosed: () => void;
  private shown: RowSet<Row> | undefined;
  private shownBefore: Generation | undefined;
  private next: RowSet<Row> | undefined;
  private closed = false;
  private failure: unknown;
  private readonly opening: Promise<void>;

  constructor(definition: ProjectionDefinition<Row>, stage: ProjectionStage, onClosed: () => void) {
    this.definition = definition;
    this.name = definition.name;
    this.stage = stage;
    this.onClosed = onClosed;
    this.opening = this.open();
    this.opening.catch((error: unknown) => {
      this.failure = error; // callers learn it when they ask
    });
  }

  /** What it keeps has been read. */
  private opened(timeoutMs: number = this.stage.waitTimeoutMs): Promise<void> {
    return within(this.opening, { what: `projection '${this.name}'`, timeoutMs, trouble: () => this.failure });
  }

  async get(key: string): Promise<Row | undefined> {
    await this.opened();
    const generation = this.shown;
    if (generation) return generation.get(key);
    const { shownBefore } = this;
    if (shownBefore === undefined) return this.next!.get(key);
    return deepFreeze(
      (await this.stage.local.get(rowTable(this.name), `${shownBefore.generation}\0${key}`)) as Row | undefined,
    );
  }

  async entries(range: RangeOptions = {}): Promise<{ key: string; row: Row }[]> {
    const { prefix = '', start, end, limit = Number.MAX_SAFE_INTEGER } = checkRange('entries', range);
    await this.opened();
    const number = this.shown?.number ?? this.shownBefore?.generation ?? this.next!.number;
    if (this.definition.into === 'memory') {
      const { memory } = this.shown ?? this.next!;
      const keys = [...memory.keys()].filter((key) => isWithin(key, { prefix, start, end })).sort(compareKeys);
      return keys.slice(0, limit).map((key) => ({ key, row: memory.get(key)! }));
    }
    const own = `${number}\0`;
    const found = await valuesOf(this.stage.local, rowTable(this.name), {
      prefix: own + prefix,
      start: own + (start ?? prefix),
      ...(end !== undefined && { end: own + end }),
      limit,
    });
    return found.map(({ key, value }) => ({ key: key.slice(own.length), row: deepFreeze(value as Row) }));
  }

  async caughtUpTo(target: number | { readonly position: number }, options: WaitOptions = {}): Promise<void> {
    checkWaitFields(options);
    await this.opened(options.timeoutMs);
    const { next } = this;
    if (this.shown) return this.shown.subscription.caughtUpTo(target, options);
    await next!.subscription.caughtUpTo(target, options);
    await this.switching;
  }

  async rebuild(): Promise<void> {
    await this.opened();
    if (this.next === undefined) this.build((this.shown?.number ?? 0) + 1);
    return this.switching;
  }

  status(): SubscriptionStatus & { version: number; isRebuilding: boolean } {
    const generation = this.shown ?? this.next;
    const version = this.definition.version ?? 1;
    const state = this.closed ? 'closed' : this.failure === undefined ? 'starting' : 'failed';
    const status = generation?.subscription.status() ?? emptyStatus(this.name, state, this.failure);
    return { ...status, name: this.name, version, isRebuilding: this.next !== undefined };
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.opening.catch(() => {});
    await Promise.all([this.shown?.subscription.close(), this.next?.subscription.close()]);
    this.onClosed();
  }

  private switching: Promise<void> = Promise.resolve();

  private async open(): Promise<void> {
    const { into, version = 1 } = this.definition;
    const { local: handlerState } = this.stage;
    const found = into === 'memory' ? undefined : await handlerState.get(projectionTable, this.name);
    const { shown, building } = keptProjectionOf(found ?? {}, this.name);
    const isShown = shown?.version === version;
    const last = Math.max(shown?.generation ?? 0, building?.generation ?? 0);
    // What was being built goes on if it is ours; else it is of no use.
    const goesOn = !isShown && building?.version === version;
    if (building && !goesOn) await this.forget(building.generation);
    if (this.closed) return;
    if (isShown) {
      this.shown = new RowSet(this.definition, shown.generation, this.stage);
      return;
    }
    // Rows of another version are shown as they are until ours have come as far.
    this.shownBefore = shown;
    this.build(goesOn ? last : last + 1);
  }

  private keep(kept: KeptProjection): void {
    if (this.definition.into !== 'memory') this.stage.local.stage(projectionTable, this.name, kept);
  }

  private build(number: number): void {
    const { version = 1 } = this.definition;
    const shown = this.shown ? { version, generation: this.shown.number } : this.shownBefore;
    this.keep({ ...(shown && { shown }), building: { version, generation: number } });
    const next = new RowSet(this.definition, number, this.stage);
    this.next = next;
    this.switching = this.switchTo(next);
    this.switching.catch(() => {}); // the callers of `switch` learn it
  }

  private async switchTo(next: RowSet<Row>): Promise<void> {
    const target = this.shown
      ? (): number => this.shown!.subscription.position
      : (): number => this.stage.syncedPosition;
    await catchUp(next.subscription, target);
    const before = this.shown;
    const old = before?.number ?? this.shownBefore?.generation;
    this.keep({ shown: { version: this.definition.version ?? 1, generation: next.number } });
    this.shown = next;
    this.shownBefore = undefined;
    this.next = undefined;
    await before?.subscription.close();
    if (old !== undefined) await this.forget(old);
  }

  private async forget(generation: number): Promise<void> {
    if (this.definition.into === 'memory') return;
    const { local: handlerState } = this.stage;
    handlerState.stage(checkpointTable, subscriptionName(this.name, generation), undefined);
    handlerState.stage(filterTable, subscriptionName(this.name, generation), undefined);
    for (;;) {
      const rows = await handlerState.range(rowTable(this.name), { prefix: `${generation}\0`, limit: rowsPerTrim });
      for (const { key } of rows) handlerState.stage(rowTable(this.name), key, undefined);
      await handlerState.durable();
      if (rows.length < rowsPerTrim || this.closed) return;
    }
  }
}
