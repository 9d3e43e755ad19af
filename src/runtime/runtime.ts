// The runtime as a user has it: its parts are in `stages.ts`.
import { availableParallelism } from 'node:os';
import { checkRecord, checkSignalOptions, nameOfDefinition } from '../base/checks.ts';
import { isError, TrunklineError } from '../base/errors.ts';
import { asForbidden, checkPermissions } from '../base/node-permissions.ts';
import { printAs } from '../base/one-line.ts';
import { awaitedOutside } from '../base/refusable-call.ts';
import { detached, type Running } from '../base/running.ts';
import { promised } from '../base/thenable.ts';
import { heldUpBy } from '../base/wait.ts';
import type { Bus } from '../bus/bus.ts';
import type { DeadLetters } from '../dead-letters/dead-letters.ts';
import type { StateOptions } from '../dispatch/refs.ts';
import type { EventPublisher } from '../entity/publisher.ts';
import type { RuntimeStore } from '../entity/store.ts';
import { UnitOfWork, type UnitOfWorkOptions } from '../entity/unit-of-work.ts';
import type { RecoveryReport } from '../log/log.ts';
import { changeFlush, type FlushPolicy } from '../log/policy.ts';
import type {
  AggregateLike,
  AnyAggregate,
  EventNameOf,
  EventsNamed,
  Ref,
  SendOptions,
  StateOf,
} from '../model/aggregate.ts';
import { checkLevel, type Level } from '../model/receipt.ts';
import type { LiveRehearsalOptions } from '../rehearsal/live/contract.ts';
import type { RunningRehearsal } from '../rehearsal/live/rehearsals.ts';
import { callerOf, isInsideShard, noteViolation } from '../shard/shard-guard.ts';
import type { EventQuery, StateAt } from '../store/store.ts';
import type { PendingTimers } from '../timers/pending-timers.ts';
import type { Schedules } from '../timers/schedules.ts';
import type { ReadState } from '../wire/carried.ts';
import { mintId } from '../wire/ids.ts';
import { deepFreeze } from '../wire/payload.ts';
import { type CloseOptions, checkCloseOptions, closeDeadlineMs } from './close-options.ts';
import { EffectTables } from './effects.ts';
import { type RuntimeOptions, resolveOptions } from './options.ts';
import { Projections } from './projections.ts';
import type { Stages } from './stages.ts';
import type { RuntimeStatus } from './status.ts';
import { Subscriptions } from './subscriptions.ts';

/**
 * Start a runtime in this thread: recover the log, start the threads, and be ready for commands.
 *
 * ```ts
 * await using runtime = await createRuntime({ dataDir: './data', aggregates: [Counter] });
 * const receipt = await runtime.ref(Counter, 'visits').add(1);
 * ```
 * @throws InvalidOptions, DataDirInUse, DataDirUnsafe, DataDirNotWritable, DiskFull, DataDirNewerFormat, LogDamaged, StoreDamaged, ModuleMismatch,
 * StartTimedOut, RuntimeInsideShard, NodeForbids
 */
export function createRuntime(options: RuntimeOptions): Promise<Runtime> {
  if (isInsideShard()) {
    const module = callerOf(createRuntime) ?? options?.aggregates?.[0]?.module ?? 'a module';
    noteViolation(module);
    const refused = Promise.reject(new TrunklineError('RuntimeInsideShard', { module }));
    refused.catch(() => {}); // the shard reports it, whether or not the module awaits
    return refused;
  }
  return start(options);
}

async function start(options: RuntimeOptions): Promise<Runtime> {
  const resolved = resolveOptions(options, availableParallelism());
  checkPermissions();
  // Shards import this file, too, by way of the user's modules: what only a start needs is loaded by it.
  const { startStages } = await import('./stages.ts').catch((error: unknown) => Promise.reject(asForbidden(error)));
  return new Runtime(await startStages(resolved));
}

/** A running runtime; made by {@link createRuntime}, ended by `close` or `await using`. A class, so that dependency injection can name it. */
export class Runtime implements AsyncDisposable {
  /** Live listeners. */
  readonly bus: Bus;
  /** What the start found in the log. */
  readonly recovery: RecoveryReport;
  /** The event store: what is `stored`, plus saving events of entities. */
  readonly store: RuntimeStore;
  /** Publishes events of entities, from this thread. */
  readonly publisher: EventPublisher;
  /** Durable handlers, and replays. */
  readonly subscriptions: Subscriptions;
  /** Rows that are folded from events. */
  readonly projections: Projections;
  /** What happens once for a key, and the tables that effects have written. */
  readonly effects: EffectTables;
  /** A command that comes again and again, by the clock. See {@link Schedules.start}. */
  readonly schedule: Schedules['start'];
  /** Durable timers that are not due yet. */
  readonly timers: PendingTimers;
  /** A durable handler: every event that it wants, at least once. Short for {@link Subscriptions.subscribe}. */
  readonly subscribe: Subscriptions['subscribe'];
  /** Subscribe an instance of a class. Short for {@link Subscriptions.register}. */
  readonly register: Subscriptions['register'];
  /** Events of the past, once more; moves no checkpoint. Short for {@link Subscriptions.replay}. */
  readonly replay: Subscriptions['replay'];
  /** Fold events into rows, from the start, and keep them current. Short for {@link Projections.project}. */
  readonly project: Projections['project'];
  /** Run an effect once for a key, however often it is asked for. Short for {@link EffectTables.once}. */
  readonly once: EffectTables['once'];
  /** What an effect has put into a table. Short for {@link EffectTables.get}. */
  readonly effect: EffectTables['get'];
  private readonly stages: Stages;
  private flush: FlushPolicy;

  /** @internal Use {@link createRuntime}. */
  constructor(stages: Stages) {
    this.stages = stages;
    this.flush = stages.options.flush;
    this.bus = stages.bus;
    this.recovery = stages.log.recovery;
    this.store = stages.store;
    this.publisher = stages.publisher;
    this.timers = stages.timers;
    this.schedule = (...schedule) => stages.schedules.start(...schedule);
    this.subscriptions = new Subscriptions(stages.handlers);
    this.projections = new Projections(stages.handlers);
    this.effects = new EffectTables(stages.handlers);
    this.subscribe = (options: any) => this.subscriptions.subscribe(options);
    this.register = (handler, options) => this.subscriptions.register(handler, options);
    this.replay = (options: any) => this.subscriptions.replay(options);
    this.project = (definition: any) => this.projections.project<any>(definition);
    this.once = (effectKey, effect) => this.effects.once(effectKey, effect);
    this.effect = (table, key) => this.effects.get(table, key);
  }

  /** What handlers could not handle. */
  get deadLetters(): DeadLetters {
    return this.stages.handlers.open.deadLetters;
  }

  /**
   * One aggregate, by its definition and id (1 to 255 bytes of UTF-8). Cheap; sends nothing.
   * @throws UnknownAggregateType, InvalidId, InvalidOptions
   */
  ref<A extends AnyAggregate>(aggregate: A, id: string): Ref<A> {
    return this.stages.dispatch.refs.of(nameOfDefinition(aggregate), id) as unknown as Ref<A>;
  }

  /**
   * Send a command by names, as a gateway would that learns them at run time.
   * @throws UnknownAggregateType, UnknownCommand, InvalidId, InvalidOptions (as rejections)
   */
  async command(type: string, id: string, command: string, input: unknown[], options?: SendOptions): Promise<unknown> {
    return this.stages.dispatch.refs.send(type, id, command, input, options);
  }

  /**
   * An aggregate as it is now, without a command made for it: its actor answers in its turn, behind the commands that came
   * before; those that wait for room in the log, or for the store, have not begun, and are not waited for. undefined: it has no event. Properties whose value is `undefined` are left out, as by JSON. A state that JSON cannot carry (a `Map`, a `Date`) is folded from its events.
   *
   * ```ts
   * const auction = await runtime.state(Auction, 'a-1');
   * auction?.state.highestBid; auction?.version;
   * ```
   * @throws UnknownAggregateType, InvalidId, InvalidOptions, and what a command does (as rejections)
   */
  async state<A extends AnyAggregate>(
    aggregate: A,
    id: string,
    options: StateOptions = {},
  ): Promise<StateAt<StateOf<A>> | undefined> {
    try {
      const { value, version, position } = await this.stages.dispatch.refs.readState(
        nameOfDefinition(aggregate),
        id,
        options,
      );
      return version === 0 ? undefined : { state: deepFreeze(value) as ReadState<StateOf<A>>, version, position };
    } catch (error) {
      if (!isError(error, 'UnserialisableValue')) throw error;
      return this.store.stateAt(aggregate, id, { version: Number.MAX_SAFE_INTEGER });
    }
  }

  /**
   * Events in log order, over the store and the tail of the log without a seam: those written when it was called, or, with
   * `follow`, without end.
   */
  events<const A extends AggregateLike = any, const T extends EventNameOf<A> = EventNameOf<A>>(
    query: EventQuery<A, T> = {},
  ): AsyncIterableIterator<EventsNamed<A, T>> {
    this.checkOpen();
    const events = this.stages.reading.history.events(query); // checks the query
    const { type, types = [], aggregate } = query;
    const names = type === undefined ? types : [type, ...types];
    this.stages.dispatch.refs.checkEventNames(names, aggregate === undefined ? undefined : [aggregate]);
    return events as AsyncIterableIterator<EventsNamed<A, T>>;
  }

  /** A new UUIDv7 that this runtime knows as its own: with a store elsewhere, its aggregate begins without a query. */
  newId(): string {
    return mintId(this.stages.log.logId);
  }

  /**
   * A unit of work over entities of this thread: collects their events, and publishes them after its commit.
   * @throws InvalidOptions, RuntimeClosed
   */
  unitOfWork(options: UnitOfWorkOptions = {}): UnitOfWork {
    this.checkOpen();
    return new UnitOfWork(this.publisher, this.stages.transactions, options);
  }

  /**
   * Resolves when everything written so far has come to the level; `published` is behind `stored` with a store elsewhere.
   * @throws InvalidOptions, RuntimeClosed, LogPoisoned, the signal's reason; after `waitTimeoutMs` what holds the level up
   * (StoreUnavailable …), or WaitTimedOut (as rejections)
   */
  async reached(level: Level, options: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    this.checkOpen();
    checkLevel('level', level);
    checkSignalOptions('reached', options);
    const { dispatch, control } = this.stages;
    const position = control.position('written');
    return dispatch.reached(level, position, options.signal).catch((error: unknown) => {
      throw heldUpBy(error);
    });
  }

  /**
   * Change the flush policy while running; a preset, or single fields. All but `ringBytes`.
   * @throws InvalidOptions, RuntimeClosed
   */
  setFlush(flush: NonNullable<RuntimeOptions['flush']>): FlushPolicy {
    this.checkOpen();
    const { options, applyFlush } = this.stages;
    this.flush = changeFlush(flush, this.flush, options.log.maxBytes);
    applyFlush(this.flush);
    return { ...this.flush };
  }

  /**
   * Turn publishing on or off, by `{aggregateType}` or `{aggregateType}.{eventType}` (which goes first), until the runtime
   * ends: events that pass meanwhile are never published. Resolves when it is in force; `InvalidOptions` without a stream.
   */
  async setPublishing(publishing: Readonly<Record<string, boolean>>): Promise<void> {
    this.checkOpen();
    checkRecord('publishing', publishing);
    const { dispatch, flushThread, options } = this.stages;
    for (const name of Object.keys(publishing)) {
      const [aggregate = '', ...eventType] = name.split('.'); // a type of events may hold dots
      if (eventType.length > 0) dispatch.refs.checkEventNames([eventType.join('.')], [aggregate]);
    }
    return flushThread.configure(options.stream?.name, { publishing });
  }

  /**
   * Rehearse a release to come on live traffic: each command of a share of the aggregates runs once more, by the new definitions,
   * in a thread of its own, on the state that its aggregate had; what it returns, raises, sends, asks and rejects is compared with
   * what happened. Nothing of it leaves that thread. One at a time.
   *
   * ```ts
   * await using rehearsal = await runtime.rehearse({ new: [OrderV2], share: 0.05, on: (difference) => log(difference) });
   * rehearsal.status().different;
   * ```
   * @throws InvalidOptions, RehearsalRunning, ModuleMismatch, StartTimedOut, ThreadFailed, RuntimeInsideShard, RuntimeClosed, the
   * signal's reason (as rejections)
   */
  async rehearse(options: LiveRehearsalOptions): Promise<RunningRehearsal> {
    this.checkOpen();
    return this.stages.rehearse(options);
  }

  private checkOpen(): void {
    if (this.stages.shutdown.isClosed) throw new TrunklineError('RuntimeClosed', { state: 'closed' });
  }

  /** State, levels of the log, threads, stores, handlers and counts, as of now. Cheap: a probe may ask each second. */
  status(): RuntimeStatus {
    const { control, dispatch, log, shards, outbox, handlers, failure, shutdown } = this.stages;
    const { inFlight, refusals } = dispatch;
    const hasFailed = failure.error !== undefined || control.isPoisoned;
    const messages = dispatch.deliveries.counts;
    return {
      state: shutdown.isClosed ? 'closed' : hasFailed ? 'failed' : shutdown.hasBegun ? 'closing' : 'open',
      written: control.position('written'),
      synced: control.position('synced'),
      stored: control.position('stored'),
      published: control.position('published'),
      retentionIsGivenUp: log.retentionIsGivenUp,
      inFlight: inFlight.count,
      messagesUnderWay: messages.underWay,
      messagesRefused: messages.refused,
      messagesFailed: messages.failed,
      messageDeadLetters: messages.deadLetters,
      actors: shards.actors,
      shardRestarts: shards.restartCount,
      shardDeathsAtStart: shards.deathsAtStart,
      downShards: shards.down,
      heldShards: shards.held,
      listenerErrors: this.stages.listenerErrors.count,
      relay: outbox?.status,
      upkeep: outbox?.upkeepStatus,
      unreadable: this.stages.reading.unreadable,
      quarantined: refusals.count - refusals.answers,
      setAside: Object.fromEntries(this.stages.setAside),
      subscriptions: handlers.status(),
    };
  }

  /**
   * Stop: admit nothing more, let what is in flight end, sync, flush, and join every thread. Idempotent; called again, it may
   * shorten what the first call has left to handlers.
   *
   * At the deadline (default 30 s) nothing is waited for any longer: commands still in progress are given up (their callers
   * get `OutcomeUnknown`, or `NotExecuted`), a thread that a command's code does not give back is ended, what is written
   * stays, and the data directory is free again. `close` then says what it gave up:
   * @throws CloseTimedOut; InternalFault: everything has ended, a part of it not in order; InvalidOptions: nothing is stopped;
   * WaitsForItself: awaited in a handler, for whose end it waits, or in a commit of a unit of work; it goes on by itself
   */
  close(options: CloseOptions = {}): Promise<void> {
    return promised(() => this.closeOf(options));
  }

  private closeOf(options: CloseOptions): Promise<void> {
    checkCloseOptions(options);
    const { stages } = this;
    const { shutdown, handlers } = stages;
    if (shutdown.isClosed) return Promise.resolve();
    const { deadlineMs = closeDeadlineMs, handlerGraceMs } = options;
    const closed = shutdown.within(deadlineMs);
    if (handlerGraceMs !== undefined) detached((ms) => handlers.endWithin(ms), handlerGraceMs);
    if (handlerGraceMs === 0) return closed; // it waits for no handler
    return awaitedOutside({ running: () => runningIn(stages) }, 'close()', closed);
  }

  /** `close()`, at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

printAs(Runtime, (runtime) => {
  const { state, written, stored } = runtime.status();
  return `Runtime ${state}: written ${written}, stored ${stored}`;
});

/** Code of the user's that the end of the stages waits for. */
function* runningIn({ handlers, publisher }: Stages): Iterable<Running> {
  yield* handlers.running();
  yield* publisher.commits.running();
}
