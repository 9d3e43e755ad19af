// A projection into a table of the user's own: batches of events folded into rows, written in the transaction that says that
// they are handled. Owned by the host thread.
//
//   nothing shown ─ build beside ─▶ caught up ─ one transaction: its rows into the table, `shown` ─▶ folded into the table
//                        ▲                                                                                    │
//                        └───────────── another version, or rebuild(): beside the running one ────────────────┘
//
// Invariants: rows and the fact that their events are handled count together, so each event is folded once. The table is
// complete up to the position of what folds into it, and has a single writer: nothing folds while it takes over other rows.

import { performance } from '../../../base/clock.ts';
import { isError, TrunklineError } from '../../../base/errors.ts';
import { keptJson } from '../../../base/json.ts';
import { pauseUnless } from '../../../base/on-abort.ts';
import { printAs, statusLine } from '../../../base/one-line.ts';
import { tame } from '../../../base/tame.ts';
import { within } from '../../../base/wait.ts';
import { checkpointTable } from '../../../handler-state/checkpoint.ts';
import type { Effects } from '../../../handler-state/effects.ts';
import type { Change } from '../../../handler-state/handler-state-store.ts';
import { mayComeBack, storeBackoffMs } from '../../../handler-state/store-backoff.ts';
import type { StoredEvent } from '../../../model/event.ts';
import { catchUp } from '../../../projections/folding.ts';
import {
  type Generation,
  type KeptProjection,
  keptProjectionOf,
  type Projection,
  type ProjectionDefinition,
  type ProjectionTable,
  projectionTable,
  subscriptionName,
} from '../../../projections/projection.ts';
import type { ProjectionStage } from '../../../projections/projection-adapter.ts';
import type { Delivery, SubscriptionStatus } from '../../../subscriptions/handlers.ts';
import { allParts } from '../../../subscriptions/parts.ts';
import {
  checkRange,
  checkWaitFields,
  type RangeOptions,
  type WaitOptions,
} from '../../../subscriptions/reading-options.ts';
import { resolveSubscription } from '../../../subscriptions/settings.ts';
import type { RunningSubscription } from '../../../subscriptions/subscription.ts';
import { emptyStatus } from '../../../subscriptions/subscription-status.ts';
import { mayPass } from '../session/sqlstate.ts';
import { execute } from '../session/statement.ts';
import { foldBatch } from './batch-fold.ts';
import { blamelessClient } from './blameless-client.ts';
import { KnownRows } from './known-rows.ts';
import { pageSize } from './row-pages.ts';
import { RowTable } from './row-table.ts';
import type { PostgresTables } from './tables.ts';

interface Building {
  readonly generation: number;
  readonly subscription: RunningSubscription;
}

type SqlClient = Parameters<RowTable<unknown>['read']>[0];

export class TableProjection<Row> implements Projection<Row> {
  readonly name: string;
  private readonly definition: ProjectionDefinition<Row>;
  private readonly into: ProjectionTable;
  private readonly stage: ProjectionStage;
  private readonly store: PostgresTables;
  private readonly onClosed: () => void;
  private readonly opening: Promise<RowTable<Row>>;
  private readonly closed = new AbortController();
  private failure: unknown;
  private kept: KeptProjection = {};
  /** The rows in the table are this projection's own; what else a table holds is its user's, and stays. */
  private isOurs = false;
  private readonly pages = pageSize();
  private shown: RunningSubscription | undefined;
  private next: Building | undefined;
  private switching: Promise<void> = Promise.resolve();

  /** While the store is unavailable, or something holds it up there. */
  private trouble: unknown;

  /** @throws InvalidOptions */
  constructor(
    definition: ProjectionDefinition<Row>,
    into: ProjectionTable,
    stage: ProjectionStage,
    onClosed: () => void,
  ) {
    this.store = stage.remote as PostgresTables;
    this.definition = definition;
    this.into = into;
    this.name = definition.name;
    this.stage = stage;
    this.onClosed = onClosed;
    this.opening = this.open();
    this.opening.catch((error: unknown) => {
      this.failure = error; // callers learn it when they ask
    });
  }

  /** The table, once what the projection keeps has been read. */
  private opened(timeoutMs: number = this.stage.waitTimeoutMs): Promise<RowTable<Row>> {
    return within(this.opening, { what: `projection '${this.name}'`, timeoutMs, trouble: () => this.trouble });
  }

  async get(key: string): Promise<Row | undefined> {
    const table = await this.opened();
    return (await this.store.read((client) => table.read(client, [key]))).get(key)?.row;
  }

  async entries(range: RangeOptions = {}): Promise<{ key: string; row: Row }[]> {
    const asGiven = checkRange('entries', range);
    const table = await this.opened();
    const tell = (key: string, error: unknown): void => this.stage.local.broken.note(table.name, key, error);
    return this.store.read((client) => table.range(client, asGiven, tell));
  }

  async caughtUpTo(target: number | { readonly position: number }, options: WaitOptions = {}): Promise<void> {
    checkWaitFields(options);
    const { timeoutMs = 30_000, signal } = options;
    await this.opened(timeoutMs);
    const giveUpAt = performance.now() + timeoutMs;
    for (;;) {
      const { shown, next, switching } = this;
      const current = shown ?? next!.subscription;
      try {
        await current.caughtUpTo(target, { timeoutMs: Math.max(1, giveUpAt - performance.now()), signal });
      } catch (error) {
        // One that is closed gives its place to another, which knows better.
        if (this.closed.signal.aborted || !isError(error, 'RuntimeClosed')) throw error;
      }
      if (shown !== undefined && shown === this.shown) return;
      await switching;
    }
  }

  async rebuild(): Promise<void> {
    const table = await this.opened();
    if (this.next === undefined) await this.build(table, (this.kept.shown?.generation ?? 0) + 1, false);
    return this.switching;
  }

  status(): SubscriptionStatus & { version: number; isRebuilding: boolean } {
    const subscription = this.failure === undefined ? (this.shown ?? this.next?.subscription) : undefined;
    const state = this.closed.signal.aborted ? 'closed' : this.failure === undefined ? 'starting' : 'failed';
    return {
      ...(subscription?.status() ?? emptyStatus(this.name, state, this.failure)),
      ...(this.failure === undefined && this.trouble !== undefined && { lastError: tame(this.trouble) }),
      name: this.name,
      version: this.version,
      isRebuilding: this.next !== undefined,
    };
  }

  async close(): Promise<void> {
    this.closed.abort(new TrunklineError('RuntimeClosed', { state: 'closed' }));
    await this.opening.catch(() => {});
    await Promise.all([this.shown?.close(), this.next?.subscription.close()]);
    await this.switching.catch(() => {});
    this.onClosed();
  }

  private get version(): number {
    return this.definition.version ?? 1;
  }

  private async open(): Promise<RowTable<Row>> {
    const { init } = this.definition;
    const table = await this.patiently(() =>
      this.store.read((client) => RowTable.find<Row>(client, this.into, init, this.store.schema)),
    );
    const json = await this.patiently(() => this.store.get(projectionTable, this.name));
    this.kept = json === undefined ? {} : keptProjectionOf(keptJson(json), this.name);
    const { building } = this.kept;
    const last = Math.max(this.kept.shown?.generation ?? 0, building?.generation ?? 0);
    // Rows that are shown in another table say nothing of this one: it gets its own, from the first event on.
    const shown =
      this.kept.shown?.table === undefined || this.kept.shown.table === table.name ? this.kept.shown : undefined;
    this.isOurs = shown !== undefined;
    if (shown !== undefined) await this.noteTable(table, shown);
    if (!this.isOurs) await this.patiently(() => this.store.read((client) => table.refuseRows(client)));
    const goesOn =
      shown?.version !== this.version &&
      building?.version === this.version &&
      (await this.isThere(table, building.generation));
    if (building && !goesOn) await this.forget(table, building.generation);
    if (shown?.version === this.version) this.shown = this.fold(shown.generation, table);
    else if (goesOn) await this.build(table, building.generation, true);
    // Rows of another version stay as they are until ours have come as far.
    else await this.build(table, last + 1, false);
    return table;
  }

  /** An earlier release has not kept in which table the rows are. */
  private async noteTable(table: RowTable<Row>, shown: Generation): Promise<void> {
    if (shown.table !== undefined) return;
    const kept = { ...this.kept, shown: { ...shown, table: table.name } };
    await this.transact(kept, [], async () => {});
  }

  private async build(table: RowTable<Row>, generation: number, goesOn: boolean): Promise<void> {
    const beside = this.beside(table, generation);
    const { shown } = this.kept;
    const kept = { ...(shown && { shown }), building: { version: this.version, generation } };
    await this.transact(kept, [], async (client) => {
      if (!goesOn) await beside.make(client, table);
    });
    this.closed.signal.throwIfAborted();
    const next = { generation, subscription: this.fold(generation, beside) };
    this.next = next;
    this.switching = this.switchTo(next, table, beside);
    this.switching.catch(() => {}); // the callers of `switch` learn it
  }

  private async switchTo(
    { generation, subscription }: Building,
    table: RowTable<Row>,
    beside: RowTable<Row>,
  ): Promise<void> {
    const target = this.shown ? (): number => this.shown!.position : (): number => this.stage.syncedPosition;
    await catchUp(subscription, target);
    await this.shown?.close();
    await subscription.close();
    this.closed.signal.throwIfAborted();
    const old = this.kept.shown?.generation;
    const gone = old === undefined ? [] : [removed(checkpointTable, subscriptionName(this.name, old))];
    const kept = { shown: { version: this.version, generation, table: table.name } };
    try {
      await this.transact(kept, gone, (client) => table.become(client, beside, this.isOurs, this.pages));
    } catch (error) {
      if (!this.closed.signal.aborted) this.failure = error; // nothing folds any more
      throw error;
    }
    this.isOurs = true;
    this.closed.signal.throwIfAborted();
    this.shown = this.fold(generation, table);
    this.next = undefined;
  }

  private forget(table: RowTable<Row>, generation: number): Promise<void> {
    const { shown } = this.kept;
    const gone = [removed(checkpointTable, subscriptionName(this.name, generation))];
    return this.transact({ ...(shown && { shown }) }, gone, (client) => this.beside(table, generation).drop(client));
  }

  private beside(table: RowTable<Row>, generation: number): RowTable<Row> {
    return table.beside({ logId: this.store.logId, projection: this.name }, generation);
  }

  /** Whether rows that were being built are: without their table they are built again, from the first event on. */
  private isThere(table: RowTable<Row>, generation: number): Promise<boolean> {
    return this.patiently(() => this.store.read((client) => this.beside(table, generation).isMade(client)));
  }

  /** What is kept of the projection changes together with the tables. */
  private async transact(
    kept: KeptProjection,
    changes: readonly Change[],
    work: (client: SqlClient) => Promise<void>,
  ): Promise<void> {
    const json = JSON.stringify(kept);
    await this.patiently(async () => {
      const transaction = await this.store.begin(undefined, 0, true);
      if (transaction === 'taken') return;
      try {
        const client = transaction.client as unknown as SqlClient;
        // The last try may have been committed, its reply lost: once its lock is ours that is settled.
        await execute(client, this.store.projectionLock(this.name));
        if ((await this.store.get(projectionTable, this.name)) === json) return;
        await work(client);
        await transaction.commit([{ table: projectionTable, key: this.name, json }, ...changes]);
      } finally {
        transaction.rollback();
      }
    });
    this.kept = kept;
  }

  /** Again and again while the store is unavailable. */
  private async patiently<T>(work: () => Promise<T>): Promise<T> {
    for (let failures = 1; ; failures++) {
      this.closed.signal.throwIfAborted();
      try {
        const done = await work();
        this.trouble = undefined;
        return done;
      } catch (error) {
        if (!mayComeBack(error) && !mayPass(error)) throw error;
        this.heldUp(error);
        await pauseUnless(this.closed.signal, storeBackoffMs(failures));
      }
    }
  }

  private fold(generation: number, table: RowTable<Row>): RunningSubscription {
    const { name, events = '*', aggregates } = this.definition;
    const { batchEvents: max = 2_000 } = this.into;
    const settings = resolveSubscription(
      {
        name: subscriptionName(name, generation),
        events,
        aggregates,
        batch: { max },
        window: 2 * max, // one batch at the store, and the next: what waits longer costs collections of garbage
        onExhausted: 'stop',
        retry: { attempts: 3 },
        handle: () => {},
      },
      this.stage.definitions,
    );
    const { schema } = this.store;
    const known = new KnownRows<Row>(this.into.cachedRows ?? 20_000);
    const call = async (events: readonly StoredEvent[], { tx }: Delivery): Promise<void> => {
      const parts = allParts(events, settings.wanted);
      const effects = tx as Effects;
      const opening = effects.ownClient(this.heldUp).then((client) => {
        return blamelessClient(client, events, { projection: name, schema });
      });
      const taken = known.take();
      const { changed, names } = await foldBatch(this.definition, table, opening, parts, taken);
      effects.afterCommit(() => {
        this.trouble = undefined;
        known.giveBack(taken, changed, names);
      });
    };
    return this.stage.begin(settings, call, { isInternal: true });
  }

  private readonly heldUp = (error: unknown): void => {
    this.trouble = error;
    this.stage.projectionHeldUp(this.name, error);
  };
}

printAs<TableProjection<unknown>>(TableProjection, (one) => statusLine('Projection', one));

const removed = (table: string, key: string): Change => ({ table, key, json: undefined });
