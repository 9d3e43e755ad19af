// Starts the stages in order, stops them in reverse, and is the only file that knows all of them.
//
//   directory → log thread → sync thread → flush thread → reading, entities, handlers → shards → messages left over → relay

import { MessageChannel } from 'node:worker_threads';
import { openHostsOf, streamForThread } from '../adapters/kafka/settings.ts';
import { embeddedStore } from '../adapters/lmdb/store/description.ts';
import { TrunklineError } from '../base/errors.ts';
import { unawaited } from '../base/guarded.ts';
import { StopSteps } from '../base/stop-steps.ts';
import type { Bus } from '../bus/bus.ts';
import { Deliveries } from '../dispatch/deliveries.ts';
import { CommandDispatcher } from '../dispatch/dispatcher.ts';
import { type Refused, unanswered } from '../dispatch/fences.ts';
import { readLastRun } from '../dispatch/last-run.ts';
import { Refs } from '../dispatch/refs.ts';
import { Shards } from '../dispatch/shards.ts';
import { EventPublisher } from '../entity/publisher.ts';
import { RuntimeStore } from '../entity/store.ts';
import { Transactions } from '../entity/transactions.ts';
import { FlushThread } from '../flush/host.ts';
import { admitBytesOf, mapBytesFor, openLogReader } from '../log/lmdb.ts';
import type { LogSource } from '../log/log.ts';
import type { FlushPolicy } from '../log/policy.ts';
import { bootId, markerFile } from '../log/run-manifest.ts';
import { LogThreads } from '../log/threads.ts';
import { declaredEvents } from '../model/catalogue.ts';
import { deliveryEvents } from '../model/undelivered.ts';
import type { OutboxHost } from '../outbox/host.ts';
import { type OutboxAdapter, relayRingBytesLeast } from '../outbox/outbox.ts';
import { shardSettings } from '../shard/settings.ts';
import { ControlBlockWriter, Signal, StopStage } from '../shared/control-block.ts';
import { shutExitGuardAtExit } from '../shared/exit-guard.ts';
import { countOpening } from '../shared/log-signals.ts';
import { loadAdapter, type StoreAdapter } from '../store/adapter.ts';
import type { LocalDescription, LocalStore } from '../store/local.ts';
import { Reading } from '../store/reading.ts';
import { staleCode } from '../store/store.ts';
import type { KeptLetters } from '../wire/message.ts';
import { checkLogOrigin, checkOrigin, type DataDirectory } from './directory.ts';
import { Ending } from './ending.ts';
import { HandlerStage } from './handlers-stage.ts';
import type { ResolvedOptions } from './options.ts';

const storeSinks: readonly string[] = ['store', 'memory']; // without these nothing becomes `stored`, see `options.ts`

/** The parts of a running runtime. Those with a `!` are there once `start` has resolved. */
export class Stages {
  readonly control: ControlBlockWriter<'host'> = new ControlBlockWriter('host');
  readonly dispatcher: CommandDispatcher;
  readonly deliveries: Deliveries;
  readonly refs: Refs;
  readonly ending: Ending;
  /** Events that sinks have passed over, by sink. */
  readonly setAside: Map<string, number> = new Map();
  log!: LogThreads;
  flushThread: FlushThread | undefined;
  reading: Reading | undefined;
  publisher!: EventPublisher;
  transactions!: Transactions;
  store!: RuntimeStore;
  handlers: HandlerStage | undefined;
  shards: Shards | undefined;
  outbox: OutboxHost | undefined;
  failure: TrunklineError | undefined;
  private readonly admitBytes: number;
  private readonly options: ResolvedOptions;
  private readonly directory: DataDirectory;
  private readonly local: LocalDescription;
  private readonly openGate: () => void;
  private logReader: LogSource | undefined;
  /** Refused in an earlier run, which may have ended before its shards answered for it. */
  private readonly refusedBefore: Refused[] = [];
  /** What `stop` is waiting for. */
  private waitingFor = 'nothing';

  constructor(options: ResolvedOptions, directory: DataDirectory, bus: Bus) {
    this.options = options;
    this.directory = directory;
    this.local = embeddedStore(directory.storeFolder);
    this.openGate = shutExitGuardAtExit(this.control);
    const { aggregates } = options;
    // Of each shard, of this thread, and of the relay.
    this.admitBytes = admitBytesOf(options.log, (options.shards + 2) * options.flush.ringBytes);
    this.control.publish('admitBytes', this.admitBytes);
    const callerOptions = {
      ack: options.ack,
      maxInFlight: options.maxInFlight,
      whenFull: options.flush.whenFull,
      logLimitBytes: this.admitBytes,
      hasStream: options.stream !== undefined,
      waitTimeoutMs: options.waitTimeoutMs,
    };
    this.dispatcher = new CommandDispatcher(aggregates, this.control, bus, callerOptions, (error) =>
      this.reportDefect(error),
    );
    const events = deliveryEvents(options.logger, options.messages);
    this.deliveries = new Deliveries(this.dispatcher, this.control, options.messages, events);
    this.dispatcher.deliveries = this.deliveries;
    this.refs = new Refs(aggregates, this.dispatcher);
    this.ending = new Ending(this.control, () => {
      const { count } = this.dispatcher.inFlight;
      return count > 0 ? `${count} commands in flight` : this.waitingFor;
    });
    this.apply(options.flush);
  }

  private warnOfOpenHosts({ store, stream, logger }: ResolvedOptions): void {
    for (const one of [...openHostsOf(stream?.options), ...(store?.openHosts() ?? [])]) {
      logger.warn(one, 'a connection to another machine has no TLS, or does not verify the server');
    }
  }

  async start(): Promise<void> {
    const { options, directory, control } = this;
    this.warnOfOpenHosts(options);
    checkOrigin(directory, markerFile(directory.logFolder));
    const mapBytes = mapBytesFor(options.log.maxBytes);
    const flushWake = new MessageChannel();
    this.log = await LogThreads.start(
      {
        folder: directory.logFolder,
        mapBytes,
        maxBytes: options.log.maxBytes,
        admitBytes: this.admitBytes,
        batchBytesLimit: 64 << 20,
        groupLimit: Math.max(options.flush.ringBytes, options.store ? relayRingBytesLeast : 0) / 2,
        retainMs: options.log.retainMs,
        retainBytes: options.log.retainBytes,
        bootId: options.bootId ?? bootId(),
      },
      control,
      {
        wake: () => this.dispatcher.turn(),
        poisoned: (cause) => this.poisoned(cause),
        diskFull: (isFull) =>
          options.logger.warn(
            { dataDir: directory.path },
            isFull
              ? 'the disk is full: the log takes no commands until there is room on it'
              : 'the disk has room again: the log goes on',
          ),
      },
      flushWake.port2,
    );
    checkLogOrigin(directory, this.log.logId);
    const { recovery } = this.log;
    if (recovery.leftOut.length > 0) {
      options.logger.warn({ recovery }, 'the log was damaged; what could not be kept is named');
    }
    await FlushThread.start(
      {
        controlBlock: control.memory,
        logFolder: directory.logFolder,
        local: this.local,
        dataDir: directory.path,
        moduleMs: options.starts.timeoutMs,
        logId: this.log.logId,
        lost: this.log.lost,
        hasBegun: directory.origin !== undefined,
        mapBytes,
        sinks: options.sinks,
        moduleRoots: options.moduleRoots,
        store: options.store?.describe(),
        stream: options.stream && { ...options.stream, options: streamForThread(options.stream.options) },
        events: options.stream || options.sinks.length > 0 ? declaredEvents(options.aggregates) : [],
      },
      flushWake.port1,
      {
        wake: () => this.dispatcher.turn(),
        sinkError: (name, error, isFinal) => {
          options.logger.error(
            { err: error, sink: name },
            `a sink ${isFinal ? 'has stopped' : 'failed; it is tried again'}`,
          );
          const { progress } = this.dispatcher;
          if (this.dispatcher.closed !== undefined) return; // at the end every error is the last
          if (!isFinal) {
            if (name === 'store') progress.troubled('stored', error);
            if (name === options.stream?.name) progress.troubled('published', error);
          } else if (name === options.stream?.name) progress.failLevel('published', error);
          // Nothing becomes `stored` any more, and shards may not load: waiters learn the error.
          else if (storeSinks.includes(name)) this.fail(error);
        },
        sinkReport: (name, error) => options.logger.warn({ err: error, sink: name }, error.message),
        setAside: (name, count, errors) => {
          this.setAside.set(name, (this.setAside.get(name) ?? 0) + count);
          for (const error of errors) options.logger.error({ err: error, sink: name }, error.message);
          if (count > errors.length)
            options.logger.error({ sink: name, count }, 'so many events were set aside in all');
        },
        quarantined: (refused, isNews) => {
          if (!isNews) return this.refusedEarlier(refused);
          const events = refused.filter(({ code }) => code !== staleCode);
          const text = 'the store has not taken these events; they are quarantined';
          if (events.length > 0) options.logger.error({ refused: events }, text);
          if (events.length < refused.length) {
            const stale = refused.filter(({ code }) => code === staleCode);
            options.logger.warn({ stale }, 'another has written these aggregates: they are loaded again');
          }
          this.publisher?.fenced(refused.map(({ aggregateType: type, aggregateId: id }) => ({ type, id })));
          this.dispatcher.fence(refused);
          this.dispatcher.refusals.add(refused, refused.length - events.length);
          this.dispatcher.turn(); // who waits for `stored` has waited for this news
        },
        held: (change) => this.dispatcher.held(change, options.logger),
        failed: (cause) => this.fail(new TrunklineError('ThreadFailed', { thread: 'flush', cause })),
        begun: (thread) => {
          this.flushThread = thread;
        },
      },
    );
    directory.remember({ logId: this.log.logId, holds: options.store ? 'memory' : 'events' });
    this.logReader = openLogReader(directory.logFolder, mapBytes);
    const adapter =
      options.store && (await loadAdapter<StoreAdapter & Partial<OutboxAdapter>>(options.store.describe()));
    const reading = (this.reading = await Reading.open({
      openLocal: async () => (await loadAdapter<LocalStore>(this.local)).openArchive(this.local.folder),
      logId: this.log.logId,
      log: this.logReader,
      control,
      store: adapter && { options: options.store!, adapter },
      report: (error) => options.logger.error({ err: error }, error.message),
      progress: this.dispatcher.progress,
      waitTimeoutMs: options.waitTimeoutMs,
    }));
    const { localHead, lookUp } = reading;
    const entities = { ...options, ringBytes: options.flush.ringBytes };
    this.publisher = new EventPublisher(this.dispatcher, control, localHead, this.refs.definitions, entities, lookUp);
    this.log.attach(this.publisher.ring);
    const append = await adapter?.openAppend?.(options.store!.settings);
    this.transactions = new Transactions(append, this.refs.definitions, () => this.outbox);
    this.publisher.transactions = this.transactions;
    this.store = new RuntimeStore(reading, this.publisher, this.transactions, this.refs.definitions);
    const { progress } = this.dispatcher;
    progress.isStoreElsewhere = options.store !== undefined;
    progress.confirm = (basis) => reading.confirm(basis);
    this.dispatcher.eventsFrom = (...which) => reading.eventsFrom(...which);
    this.publisher.recover(this.logReader, control.position('remembered') + 1, this.log.recovery.lastPosition);
    this.handlers = await HandlerStage.open({
      folder: directory.handlersFolder,
      logId: this.log.logId,
      store: options.store,
      history: reading.history,
      control,
      progress,
      runtimeHasFailed: () => this.dispatcher.closed !== undefined,
      messageCounts: () => this.deliveries.counts,
      definitions: this.refs.definitions,
      moduleRoots: options.moduleRoots,
      logger: options.logger,
      waitTimeoutMs: options.waitTimeoutMs,
      moduleMs: options.starts.timeoutMs,
      options: options.handlers,
    });
    const { messageBox } = this.handlers;
    const firstOpen = Math.max(this.log.recoveredFloor, control.position('settledBefore') + 1);
    const lastRun = await readLastRun(this.logReader, firstOpen, this.log.recovery.lastPosition);
    // What handlers keep may be damaged, or another log's: everything but messages goes on without it.
    const load = async (): Promise<KeptLetters> => {
      try {
        return await messageBox.load(firstOpen, lastRun.carriedOut);
      } catch (error) {
        options.logger.error({ err: error }, 'dead letters of messages cannot be read: messages wait, retrying');
        throw error;
      }
    };
    this.handlers.serveRequests();
    const kept = await load().catch(() => undefined);
    const { lastEnd, lastPosition } = this.log.recovery;
    if (lastEnd === 'killed' || lastEnd === 'power loss') {
      await this.handlers.recover(lastPosition, lastRun.carriedOut).catch((error: unknown) => {
        options.logger.error({ err: error }, 'what was in hand at the end of the last run cannot be read');
      });
    }
    await this.startShards(mapBytes);
    this.refusedEarlier([]);
    this.dispatcher.turn();
    this.handlers.lanes = this.deliveries;
    this.deliveries.care = this.handlers.care;
    if (kept) this.deliveries.recover(lastRun, messageBox, kept);
    else this.deliveries.recoverLater(lastRun, messageBox, load);
    if (adapter?.openOutbox) await this.startOutbox(adapter as OutboxAdapter);
    this.dispatcher.turn();
  }

  /** Where there are transactions, what they commit comes into this log. */
  private async startOutbox(adapter: OutboxAdapter): Promise<void> {
    const { options, control, dispatcher, log, logReader } = this;
    const { OutboxHost } = await import('../outbox/host.ts');
    const settings = {
      store: options.store!.settings,
      actorTypes: options.aggregates.map(({ name }) => name),
      ringBytes: options.flush.ringBytes,
      logger: options.logger,
    };
    this.outbox = await OutboxHost.start(settings, adapter, { log, logReader: logReader!, control, dispatcher });
  }

  private async startShards(mapBytes: number): Promise<void> {
    const { options, local, directory, log, control } = this;
    const common = { local, logFolder: directory.logFolder, controlBlock: control.memory, logId: log.logId, mapBytes };
    this.shards = new Shards(this.dispatcher, log, shardSettings(options, common), options.starts, {
      warning: (message, details) => options.logger.warn(details, message),
      died: (shard, cause) => options.logger.error({ shard, cause }, 'a shard died; starting another'),
      failed: (error) => this.fail(error),
    });
    await this.shards.start();
  }

  /** As soon as there are shards. */
  private refusedEarlier(refused: readonly Refused[]): void {
    this.refusedBefore.push(...refused);
    if (this.dispatcher.inFlight.channels.length === 0) return;
    this.dispatcher.fence(unanswered(this.refusedBefore.splice(0), this.logReader!, this.control.position('written')));
  }

  private poisoned(cause: string): void {
    this.dispatcher.turn();
    this.fail(new TrunklineError('LogPoisoned', { cause }));
  }

  /** An exception that was caught where none is expected; what it concerned has failed, everything else goes on. */
  private reportDefect(error: unknown): void {
    try {
      this.options.logger.error({ err: error }, 'an unexpected exception; everything else goes on');
    } catch {} // a logger's own exception has no other place to go
  }

  private fail(error: TrunklineError): void {
    if (this.failure) return;
    this.failure = error;
    this.options.logger.error({ err: error }, 'the runtime has failed; close it and start again');
    this.dispatcher.inFlight.fail(error);
  }

  /** A flush policy, from now on. */
  apply(flush: FlushPolicy): void {
    const { control, dispatcher } = this;
    control.setFlag(Signal.syncIntervalMs, flush.syncIntervalMs);
    control.setFlag(Signal.syncBytes, flush.syncBytes);
    control.setFlag(Signal.batchBytes, flush.batchBytes);
    control.setFlag(Signal.spinMicros, flush.spinMicros);
    control.setFlag(Signal.rejectsWhenFull, flush.whenFull === 'reject' ? 1 : 0);
    dispatcher.options.whenFull = flush.whenFull;
    // What waits for room in the log may not have to, by the new policy.
    countOpening(control);
    if (dispatcher.inFlight.channels.length > 0) dispatcher.turn();
  }

  /** Every stage is ended, whatever becomes of the others; the directory's lock goes last, and always. @throws InternalFault */
  async stop(): Promise<void> {
    const { control, dispatcher, ending, options } = this;
    const { abandoned } = ending;
    const { inFlight } = dispatcher;
    const steps = new StopSteps((what) => {
      this.waitingFor = what;
    });
    inFlight.closed ??= new TrunklineError('RuntimeClosed', { state: 'closing' });
    unawaited(abandoned.then(() => this.handlers?.endWithin(0)));
    await steps.take('messages', () => this.deliveries.close());
    // What goes wrong with what handlers keep is reported, and may be the fault of its store.
    const reportHandlers = (error: unknown): void =>
      options.logger.error({ err: error }, 'the handlers did not end in order');
    await steps.take('handlers', () => Promise.race([this.handlers?.close().catch(reportHandlers), abandoned]));
    const relay = 'the relay of the outbox';
    await steps.take(relay, () => ending.orCut(this.outbox?.stop(), () => this.outbox?.cut()));
    if (!this.failure) await steps.take('commands in flight', () => Promise.race([inFlight.whenDrained(), abandoned]));
    // Until here messages in progress may need what they are kept in.
    await steps.take('messages', () => this.deliveries.end());
    await steps.take('what handlers keep', () =>
      ending.orCut(this.handlers?.closeTables().catch(reportHandlers), () => this.handlers?.cut()),
    );
    control.setFlag(Signal.stopping, StopStage.shards);
    await steps.take('shards', () => this.shards?.close(abandoned));
    control.setFlag(Signal.stopping, StopStage.log);
    await steps.take('the log thread', () => this.log?.logEnded().catch(() => {})); // it has been reported
    await steps.take('commands in flight', () => {
      dispatcher.turn();
      inFlight.abandon('the runtime was closed before it ended');
    });
    control.setFlag(Signal.stopping, StopStage.sync);
    await steps.take('the sync thread', () => this.log?.syncEnded().catch(() => {}));
    control.setFlag(Signal.stopping, StopStage.flush);
    await steps.take('the flush thread', () => this.flushThread?.ended(control, abandoned).catch(() => {}));
    await steps.take(relay, () => ending.orCut(this.outbox?.finish(), () => this.outbox?.cut()));
    await steps.take('commands in flight', () => {
      dispatcher.turn();
      inFlight.fail(new TrunklineError('RuntimeClosed', { state: 'closed' }));
    });
    await steps.take('readers of the store', () => ending.orAbandoned(this.reading?.close()));
    await steps.take('readers of the log', () => ending.orAbandoned(this.logReader?.close()));
    await steps.take('the gate', () => this.openGate());
    await steps.take('the lock', () => this.directory.release());
    steps.end();
  }
}
