// The runtime: starts the stages in order, stops them in reverse, and is the only file that knows all of them.
//
//   directory → log thread → sync thread → flush thread → caller → shards → messages left over from the last run
import { availableParallelism } from 'node:os';
import { MessageChannel } from 'node:worker_threads';
import { isInsideShard, noteViolation } from './actor/inside.ts';
import type { AnyAggregate, Ref, SendOptions } from './aggregate.ts';
import { Bus } from './bus/bus.ts';
import { Caller } from './caller/caller.ts';
import { Deliveries } from './caller/deliveries.ts';
import { Refs } from './caller/refs.ts';
import { Shards } from './caller/shards.ts';
import { declaredEvents } from './catalogue.ts';
import { checkLevel } from './checks.ts';
import { type DataDirectory, openDirectory } from './directory.ts';
import { closeDeadlineMs, Ending } from './ending.ts';
import { EventPublisher } from './entity/publisher.ts';
import { RuntimeStore } from './entity/store.ts';
import { Transactions } from './entity/transactions.ts';
import { UnitOfWork, type UnitOfWorkOptions } from './entity/unit-of-work.ts';
import { TrunklineError } from './errors.ts';
import type { StoredEvent } from './event.ts';
import { FlushThread } from './flush/host.ts';
import { mintId } from './ids.ts';
import { shutGateAtExit } from './log/gate.ts';
import { Levels, LevelWord, StopStage } from './log/levels.ts';
import { mapBytesFor, openLogReader } from './log/lmdb.ts';
import type { LogSource, RecoveryReport } from './log/log.ts';
import { bootId } from './log/marker.ts';
import { LogThreads } from './log/threads.ts';
import {
  changeFlush,
  checkCloseOptions,
  type FlushPolicy,
  type ResolvedOptions,
  type RuntimeOptions,
  resolveOptions,
} from './options.ts';
import { OutboxHost, relayRingBytesLeast } from './outbox/host.ts';
import type { Level } from './receipt.ts';
import { shardSettings } from './shard-settings.ts';
import type { RuntimeStatus } from './status.ts';
import { PostgresAppend } from './store/postgres/append.ts';
import { Reading } from './store/reading.ts';
import type { EventQuery } from './store/store.ts';

/**
 * Start a runtime in this thread: recover the log, start the threads, and be ready for commands.
 *
 * ```ts
 * await using runtime = await createRuntime({ dataDir: './data', aggregates: [Counter] });
 * const receipt = await runtime.ref(Counter, 'visits').add(1);
 * ```
 * @throws InvalidOptions, DataDirInUse, DataDirNotWritable, DataDirNewerFormat, LogDamaged, StoreDamaged, ModuleMismatch,
 * RuntimeInsideShard
 */
export function createRuntime(options: RuntimeOptions): Promise<Runtime> {
  if (isInsideShard()) {
    const module = options?.aggregates?.[0]?.module ?? 'a module';
    noteViolation(module);
    const refused = Promise.reject(new TrunklineError('RuntimeInsideShard', { module }));
    refused.catch(() => {}); // the shard reports it, whether or not the module awaits
    return refused;
  }
  return start(options);
}

async function start(options: RuntimeOptions): Promise<Runtime> {
  const resolved = resolveOptions(options, availableParallelism());
  const directory = openDirectory(resolved.dataDir);
  const runtime = new Runtime(resolved, directory);
  try {
    await runtime.start();
  } catch (error) {
    await runtime.close({ deadlineMs: closeDeadlineMs }).catch(() => {});
    throw error;
  }
  return runtime;
}

/** A running runtime; made by {@link createRuntime}, ended by `close` or `await using`. */
export class Runtime implements AsyncDisposable {
  /** Live listeners. */
  readonly bus: Bus;
  /** What the start found in the log. */
  recovery!: RecoveryReport;
  /** The event store: what is `stored`, plus saving events of entities. */
  store!: RuntimeStore;
  /** Publishes events of entities, from this thread. */
  publisher!: EventPublisher;
  private readonly options: ResolvedOptions;
  private readonly directory: DataDirectory;
  private readonly levels = new Levels();
  private readonly openGate = shutGateAtExit(this.levels);
  private readonly caller: Caller;
  private readonly deliveries: Deliveries;
  private readonly refs: Refs;
  private flush: FlushPolicy;
  private log: LogThreads | undefined;
  private flushThread: FlushThread | undefined;
  private shards: Shards | undefined;
  private logReader: LogSource | undefined;
  private reading: Reading | undefined;
  private transactions!: Transactions;
  private outbox: OutboxHost | undefined;
  private closing: Promise<void> | undefined;
  private listenerErrors = 0;
  private failure: TrunklineError | undefined;
  private isClosed = false;

  /** @internal Use {@link createRuntime}. */
  constructor(options: ResolvedOptions, directory: DataDirectory) {
    this.options = options;
    this.directory = directory;
    this.flush = options.flush;
    const { logger, aggregates } = options;
    const listenerFailed = (error: unknown, event: StoredEvent): void => {
      this.listenerErrors++;
      logger.error({ err: error, eventId: event.id, eventType: event.type }, 'a live listener threw');
    };
    this.bus = new Bus(listenerFailed, () => this.checkOpen());
    this.caller = new Caller(aggregates, this.levels, this.bus, {
      ack: options.ack,
      maxInFlight: options.maxInFlight,
      whenFull: options.flush.whenFull,
      logLimitBytes: options.log.maxBytes,
      hasStream: options.stream !== undefined,
    });
    this.deliveries = new Deliveries(this.caller, this.levels, (error, target) =>
      logger.warn({ err: error, ...target }, 'a sent command was refused by its target'),
    );
    this.caller.deliveries = this.deliveries;
    this.refs = new Refs(aggregates, this.caller);
    this.applyPolicy();
  }

  /** @internal */
  async start(): Promise<void> {
    const { options, directory, levels } = this;
    const mapBytes = mapBytesFor(options.log.maxBytes);
    const flushWake = new MessageChannel();
    this.log = await LogThreads.start(
      {
        folder: directory.logFolder,
        mapBytes,
        maxBytes: options.log.maxBytes,
        batchBytesLimit: 64 << 20,
        groupLimit: Math.max(options.flush.ringBytes, options.store ? relayRingBytesLeast : 0) / 2,
        retainMs: options.log.retainMs,
        retainBytes: options.log.retainBytes,
        bootId: options.bootId ?? bootId(),
      },
      levels,
      { wake: () => this.caller.turn(), poisoned: (cause) => this.poisoned(cause) },
      flushWake.port2,
    );
    this.recovery = this.log.recovery;
    if (this.recovery.leftOut.length > 0) {
      options.logger.warn({ recovery: this.recovery }, 'the log was damaged; what could not be kept is named');
    }
    this.flushThread = await FlushThread.start(
      {
        levels: levels.memory,
        logFolder: directory.logFolder,
        storeFolder: directory.storeFolder,
        dataDir: directory.path,
        logId: this.log.logId,
        mapBytes,
        sinks: options.sinks,
        postgres: options.store?.settings,
        stream: options.stream,
        events: options.stream || options.sinks.length > 0 ? declaredEvents(options.aggregates) : [],
      },
      flushWake.port1,
      {
        wake: () => this.caller.turn(),
        sinkError: (name, error, isFinal) => {
          options.logger.error(
            { err: error, sink: name },
            `a sink ${isFinal ? 'has stopped' : 'failed; it is tried again'}`,
          );
          if (isFinal && name === options.stream?.name) this.caller.progress.failLevel('published', error);
        },
        sinkReport: (name, error) => options.logger.warn({ err: error, sink: name }, error.message),
        quarantined: (refused, fenced) => {
          options.logger.error({ refused }, 'the store has not taken these events; they are quarantined');
          this.publisher?.fenced(fenced);
          this.shards?.fenced(fenced);
        },
        failed: (cause) => options.logger.error({ cause }, 'the flush thread failed'),
      },
    );
    this.logReader = openLogReader(directory.logFolder, mapBytes);
    const reading = new Reading({
      storeFolder: directory.storeFolder,
      logId: this.log.logId,
      log: this.logReader,
      levels,
      store: options.store,
      stored: (position, signal) => this.caller.reached('stored', position, signal),
    });
    this.reading = reading;
    const { localHead, lookUp } = reading;
    this.publisher = new EventPublisher(this.caller, levels, localHead, this.refs.definitions, options, lookUp);
    this.log.attach(this.publisher.ring);
    const append = options.store && new PostgresAppend(options.store.settings.schema);
    this.transactions = new Transactions(append, this.refs.definitions, () => this.outbox?.hint());
    this.publisher.transactions = this.transactions;
    this.store = new RuntimeStore(reading.archive, this.publisher, this.transactions, () => reading.caughtUp());
    this.caller.eventsFrom = (...which) => reading.eventsFrom(...which);
    this.publisher.recover(this.logReader, levels.position('remembered') + 1, this.recovery.lastPosition);
    await this.startShards(mapBytes);
    this.caller.turn();
    this.deliveries.recover(this.logReader, this.log.recoveredFloor, this.recovery.lastPosition);
    await this.startOutbox();
    this.caller.turn();
  }

  /** Where there are transactions, what they commit comes into this log. */
  private async startOutbox(): Promise<void> {
    const { options, levels, caller, log, logReader } = this;
    if (options.store)
      this.outbox = await OutboxHost.start(options, { log: log!, logReader: logReader!, levels, caller });
  }

  private async startShards(mapBytes: number): Promise<void> {
    const { options, directory, log, levels } = this;
    const settings = shardSettings(options, directory, { levels: levels.memory, logId: log!.logId, mapBytes });
    this.shards = new Shards(this.caller, log!, options.aggregates, settings, {
      warning: (message, details) => options.logger.warn(details, message),
      died: (shard, cause) => options.logger.error({ shard, cause }, 'a shard died; starting another'),
      failed: (error) => this.fail(error),
    });
    await this.shards.start();
  }

  private poisoned(cause: string): void {
    this.caller.turn();
    this.fail(new TrunklineError('LogPoisoned', { cause }));
  }

  private fail(error: TrunklineError): void {
    if (this.failure) return;
    this.failure = error;
    this.options.logger.error({ err: error }, 'the runtime has failed; close it and start again');
    this.caller.fail(error);
  }

  /**
   * One aggregate, by its definition and id (1 to 255 bytes of UTF-8). Cheap; sends nothing.
   * @throws UnknownAggregateType, InvalidId
   */
  ref<A extends AnyAggregate>(aggregate: A, id: string): Ref<A> {
    return this.refs.of(String(aggregate?.name), id) as unknown as Ref<A>;
  }

  /**
   * Send a command by names, as a gateway would that learns them at run time.
   * @throws UnknownAggregateType, UnknownCommand, InvalidId, InvalidOptions (as rejections)
   */
  async command(type: string, id: string, command: string, input: unknown[], options?: SendOptions): Promise<unknown> {
    return this.refs.send(type, id, command, input, options);
  }

  /**
   * Events in log order, over the store and the tail of the log without a seam: those written when it was called, or, with
   * `follow`, without end.
   */
  events(query: EventQuery = {}): AsyncIterableIterator<StoredEvent> {
    this.checkOpen();
    return this.reading!.history.events(query);
  }

  /** A new UUIDv7 that this runtime knows as its own: with a store elsewhere, its aggregate begins without a query. */
  newId(): string {
    return mintId(this.log!.logId);
  }

  /**
   * A unit of work over entities of this thread: collects their events, and publishes them after its commit.
   * @throws InvalidOptions, RuntimeClosed
   */
  unitOfWork(options: UnitOfWorkOptions = {}): UnitOfWork {
    this.checkOpen();
    return new UnitOfWork(this.publisher, this.transactions, options);
  }

  /**
   * Resolves when everything written so far has come to the level.
   * @throws InvalidOptions, RuntimeClosed, LogPoisoned, the signal's reason (as rejections)
   */
  async reached(level: Level, options: { signal?: AbortSignal } = {}): Promise<void> {
    this.checkOpen();
    checkLevel('level', level);
    return this.caller.reached(level, this.levels.position('written'), options.signal);
  }

  /**
   * Change the flush policy while running; a preset, or single fields. All but `ringBytes`.
   * @throws InvalidOptions, RuntimeClosed
   */
  setFlush(flush: NonNullable<RuntimeOptions['flush']>): FlushPolicy {
    this.checkOpen();
    this.flush = changeFlush(flush, this.flush, this.options.log.maxBytes);
    this.applyPolicy();
    return { ...this.flush };
  }

  /**
   * Turn publishing on or off, by `{aggregateType}` or `{aggregateType}.{eventType}` (which goes first), until the runtime
   * ends: events that pass meanwhile are never published. Resolves when it is in force; `InvalidOptions` without a stream.
   */
  setPublishing(publishing: Readonly<Record<string, boolean>>): Promise<void> {
    return this.flushThread!.configure(this.options.stream?.name, { publishing });
  }

  private applyPolicy(): void {
    const { levels, flush, caller } = this;
    levels.setFlag(LevelWord.syncIntervalMs, flush.syncIntervalMs);
    levels.setFlag(LevelWord.syncBytes, flush.syncBytes);
    levels.setFlag(LevelWord.batchBytes, flush.batchBytes);
    levels.setFlag(LevelWord.spinMicros, flush.spinMicros);
    caller.options.whenFull = flush.whenFull;
  }

  private checkOpen(): void {
    if (this.isClosed || !this.reading) throw new TrunklineError('RuntimeClosed', { state: 'closed' });
  }

  status(): RuntimeStatus {
    const { levels } = this;
    const hasFailed = this.failure !== undefined || levels.flag(LevelWord.poisoned) !== 0;
    return {
      state: this.isClosed ? 'closed' : hasFailed ? 'failed' : this.closing ? 'closing' : 'open',
      written: levels.position('written'),
      synced: levels.position('synced'),
      stored: levels.position('stored'),
      published: levels.position('published'),
      inFlight: this.caller.inFlight,
      messagesUnderWay: this.deliveries.count,
      shardRestarts: this.shards?.restartCount ?? 0,
      heldShards: this.shards?.held ?? [],
      listenerErrors: this.listenerErrors,
      relay: this.outbox?.status,
      quarantined: this.flushThread?.quarantinedCount ?? 0,
    };
  }

  /**
   * Stop: admit nothing more, let what is in flight end, sync, flush, and join every thread. Idempotent.
   *
   * At the deadline (default 30 s) nothing is waited for any longer: commands still under way are given up (their callers
   * get `OutcomeUnknown`, or `NotExecuted`), a thread that a command's code does not give back is ended, what is written
   * stays, and the data directory is free again. `close` then says what it gave up:
   * @throws CloseTimedOut; InvalidOptions: nothing is stopped
   */
  async close(options: { deadlineMs?: number } = {}): Promise<void> {
    checkCloseOptions(options);
    if (this.isClosed) return;
    this.closing ??= this.stop();
    return this.ending.within(options.deadlineMs ?? closeDeadlineMs, this.closing);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private stage = 'nothing';
  private readonly ending = new Ending(this.levels, () => {
    const { inFlight } = this.caller;
    return inFlight > 0 ? `${inFlight} commands in flight` : this.stage;
  });

  private async stop(): Promise<void> {
    const { levels, caller } = this;
    caller.closed ??= new TrunklineError('RuntimeClosed', { state: 'closing' });
    this.deliveries.close();
    this.stage = 'the relay of the outbox';
    await this.outbox?.stop();
    this.stage = 'commands in flight';
    if (!this.failure) await Promise.race([caller.whenDrained(), this.ending.abandoned]);
    this.stage = 'shards';
    levels.setFlag(LevelWord.stopping, StopStage.shards);
    await this.shards?.close(this.ending.abandoned);
    this.stage = 'the log thread';
    levels.setFlag(LevelWord.stopping, StopStage.log);
    await this.log?.logEnded().catch(() => {});
    caller.turn();
    caller.abandon('the runtime was closed before it ended');
    this.stage = 'the sync thread';
    levels.setFlag(LevelWord.stopping, StopStage.sync);
    await this.log?.syncEnded().catch(() => {});
    this.stage = 'the flush thread';
    levels.setFlag(LevelWord.stopping, StopStage.flush);
    await this.flushThread?.ended().catch(() => {});
    caller.turn();
    caller.fail(new TrunklineError('RuntimeClosed', { state: 'closed' }));
    await this.reading?.close();
    await this.logReader?.close();
    this.openGate();
    this.directory.release();
    this.isClosed = true;
  }
}
