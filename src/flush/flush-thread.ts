// Entry of the flush thread: a leaf. Runs one flusher for the embedded store and one for each sink of the user's, on one
// event loop; tells everyone how far the store is, and the log what it may truncate. Its data: {@link FlushThreadData}.
//
// A null message (from the sync thread on the sync thread's port, from the runtime on the parent's) means: look again. Once
// `stopping` has come to its stage the thread comes up to what is synced, closes its sinks, and returns.

import { setPriority } from 'node:os';
import { clearInterval, clearTimeout, pause, setInterval, setTimeout } from '../base/clock.ts';
import { describeError, isError, TrunklineError } from '../base/errors.ts';
import { guarded } from '../base/guarded.ts';
import { runThread, threadData, threadPort } from '../base/thread-entry.ts';
import { confineModules } from '../base/user-module.ts';
import { toWire, type WireError } from '../base/wire-error.ts';
import { openLogReader } from '../log/lmdb.ts';
import type { LogSource } from '../log/log.ts';
import { endOfLoss } from '../log/losses.ts';
import type { Sink, SinkInfo } from '../log/sink.ts';
import { type By, ControlBlockWriter, Signal, StopStage } from '../shared/control-block.ts';
import { guardTransaction } from '../shared/exit-guard.ts';
import { loadAdapter } from '../store/adapter.ts';
import type { LocalSink, LocalStore } from '../store/local.ts';
import type { RefusedEvent } from '../store/store.ts';
import type { FlushThreadData, FlushThreadReport, FlushThreadRequest, SinkStatus } from './contract.ts';
import { Flusher } from './flusher.ts';
import type { FlusherSettings } from './flusher-settings.ts';
import type { SinkOptions } from './sink-options.ts';
import { makeUserSink } from './user-sink.ts';

const storeName = 'store';
const cacheName = 'memory'; // of the local cache; a word of status and logs since 0.1.0
const niceness = 5;
const lookMs = 20; // while stopping: how soon it notices that `close()` does not wait any longer
const idleBoundMs = 1000; // looks at its flags that often in any case
// Each commit costs some ten to twenty pages beyond its events. At 100,000 events/s this makes one for 5,000 events. A
// caller that waits for `stored` does not wait for it.
const storeLingerMs = 50;
const streamBatch = { count: 5000, bytes: 4 << 20, delayMs: 10 };
const openGraceMs = 10_000; // a sink that takes longer to open does not delay the start any more
const moduleMsMost = 60_000;
const aliveEveryMs = 1_000;
const stopGraceMs = 10_000;
const abortGraceMs = 1_000; // then a sink has so long to notice that `close()` has given up

const data = threadData<FlushThreadData>();
const control = new ControlBlockWriter('flush', data.controlBlock);
const report = (message: FlushThreadReport): void => threadPort.postMessage(message);
const isStopping = (): boolean => control.flag(Signal.stopping) >= StopStage.flush;

async function main(): Promise<void> {
  // On Linux this is the thread's own priority: commands go first, the store catches up behind.
  setPriority(niceness);
  confineModules(data.moduleRoots);
  let log: LogSource | undefined;
  try {
    log = openLogReader(data.logFolder, data.mapBytes);
    const flushers = await makeFlushers(log);
    await follow(flushers);
  } catch (error) {
    report({ type: 'failed', error: wire(error) });
  }
  await log?.close();
  data.syncPort.close();
  data.hostPort.close();
}

// In one function: the list of the flushers, each with what it publishes; they share the floor and the notifier.
async function makeFlushers(log: LogSource): Promise<Flusher[]> {
  const hostNotifier = control.notifier(Signal.hostNotifier, data.hostPort);
  const flushers: Flusher[] = [];
  const add = (name: string, sink: Sink, settings: Partial<FlusherSettings>): void => {
    const flusher = new Flusher({
      name,
      sink,
      log,
      limit: () => control.position('synced'),
      // The store was there before every loss: what the log does not have from before this run, it never will. Another sink
      // must learn that it comes too late for what is in the store alone.
      endOfLoss: (position) =>
        (name === storeName || name === cacheName) && position < control.position('begun')
          ? control.position('begun')
          : endOfLoss(data.lost, position),
      lastPosition: lastPosition(),
      dataDir: data.dataDir,
      ...settings,
      onPosition(position) {
        settings.onPosition?.(position);
        publishFloor(flushers);
      },
      onSetAside: (events) => setAside(name, events),
      onFailure(error, retryInMs) {
        report({ type: 'sink-error', name, error: wire(error, name), retryInMs });
      },
    });
    flushers.push(flusher);
  };
  /** A cursor that is a level: notifies callers that wait for it, and does not linger while there are any. */
  const level = (name: 'stored' | 'published', word: By<'host'>): Partial<FlusherSettings> => ({
    isHurried: () => control.flag(word) !== 0,
    onPosition(position) {
      control.publish(name, position);
      if (control.flag(word) !== 0) hostNotifier.notify();
    },
  });
  const stored = level('stored', Signal.awaitsStored);
  const onRemembered = (position: number): void => control.publish('remembered', position);
  const { store: elsewhere, local, logId, stream } = data;
  const { openSink } = await loadAdapter<LocalStore>(local);
  const logBegins = log.firstPosition() || control.position('begun');
  if (elsewhere === undefined) {
    const onPosition = (position: number): void => {
      onRemembered(position);
      stored.onPosition!(position);
    };
    const store = await openSink(local.folder, logId, { control, logBegins });
    add(storeName, uncut(store), { ...stored, onPosition, lingerMs: storeLingerMs, retryMsLimit });
  } else {
    const adapter = await loadAdapter(elsewhere);
    const storedPosition = (): number => control.position('stored');
    const cache = await openSink(local.folder, logId, {
      control,
      cache: { storedPosition },
      logBegins,
      hasBegun: data.hasBegun,
    });
    const store = await adapter.openSink(elsewhere.settings, {
      logId,
      firstPosition: log.firstPosition(),
      report: (error) => report({ type: 'sink-report', name: storeName, error: wire(error, storeName) }),
      isLastReader: stream === undefined && data.sinks.length === 0,
      quarantined: async (refused, isNews) => {
        await flushers[0]!.tried; // the local cache is open
        quarantined(refused, cache, isNews);
      },
    });
    add(cacheName, uncut(cache), { onPosition: onRemembered, lingerMs: storeLingerMs, retryMsLimit });
    const { delayMs: lingerMs, bytes: batchBytes, events: batchFrames } = elsewhere.batch;
    add(storeName, store, { ...stored, lingerMs, batchBytes, batchFrames, retryMsLimit });
  }
  if (stream) {
    const { count: batchFrames, bytes: batchBytes, delayMs: lingerMs } = stream.batch ?? streamBatch;
    const bounds = { batchFrames, batchBytes, lingerMs, backlogLimit: stream.backlogLimit, onBehind, retryMsLimit };
    add(stream.name, await makeSink(stream, log), { ...level('published', Signal.awaitsPublished), ...bounds });
  }
  for (const options of data.sinks) add(options.name, await makeSink(options, log), {});
  return flushers;
}

/** Counted in full, named up to a bound: a batch may consist of nothing else. */
function setAside(name: string, events: readonly TrunklineError<'EventQuarantined'>[]): void {
  const errors = events.slice(0, noticesAtOnce).map((error) => wire(error, name));
  report({ type: 'set-aside', name, count: events.length, errors });
}

const noticesAtOnce = 100;
// A store or broker that comes back, or a disk that has room again, finds a backlog: it is noticed soon.
const retryMsLimit = 1_000;

/** What the store has refused, this machine must not go by: of these aggregates only the store knows the state. */
function quarantined(refused: readonly RefusedEvent[], cache: LocalSink, isNews: boolean): void {
  const aggregates = refused.map(({ aggregateType: type, aggregateId: id }) => ({ type, id }));
  guardTransaction(control, () => cache.loseOwnership(aggregates));
  if (isNews) control.publish('quarantined', control.position('quarantined') + refused.length);
  for (let i = 0; i < refused.length; i += noticesAtOnce) {
    report({ type: 'quarantined', refused: refused.slice(i, i + noticesAtOnce), isNews });
  }
}

function onBehind(stream: string, lag: number, limit: number): void {
  report({
    type: 'sink-report',
    name: stream,
    error: wire(new TrunklineError('StreamBehind', { stream, lag, limit })),
  });
}

/** The process does not end inside one of the store's transactions. */
function uncut(store: LocalSink): Sink {
  return {
    open: () => store.open(),
    write: (batch) => guardTransaction(control, () => store.write(batch)),
    close: () => store.close(),
  };
}

async function makeSink(options: SinkOptions, log: LogSource): Promise<Sink> {
  const { dataDir, logId } = data;
  const { name, module } = options;
  const info: SinkInfo = {
    name,
    dataDir,
    logId,
    firstPosition: log.firstPosition(),
    lastPosition: lastPosition(),
    events: data.events,
    report: (error) => report({ type: 'sink-report', name, error: wire(error, name) }),
    setAside: (events) => setAside(name, events),
  };
  report({ type: 'starting', what: `sink '${name}'`, module });
  return makeUserSink(options, info, data.moduleMs ?? moduleMsMost);
}

/** The lowest position that any sink still needs. A sink that is not open may need everything. */
function publishFloor(flushers: readonly Flusher[]): void {
  let floor = Number.MAX_SAFE_INTEGER;
  for (const flusher of flushers) floor = Math.min(floor, flusher.isOpen ? flusher.position + 1 : 0);
  control.publish('floor', floor);
}

async function follow(flushers: readonly Flusher[]): Promise<void> {
  const alive = reportAlive();
  const runs = flushers.map((flusher) => flusher.run());
  try {
    await flushers[0]!.tried;
    await within(
      openGraceMs,
      flushers.map(({ tried }) => tried),
    );
    clearInterval(alive);
    check(flushers);
    const open = flushers.filter((flusher) => flusher.isOpen);
    report({ type: 'ready', checkpoints: Object.fromEntries(open.map(({ name, position }) => [name, position])) });
    await watch(flushers);
  } finally {
    clearInterval(alive);
    for (const flusher of flushers) flusher.stop();
    const gaveUp = abandoned();
    await Promise.race([runs[0], gaveUp]); // the environment here takes what is synced, unless `close()` has given up
    if (!(await within(data.stopGraceMs ?? stopGraceMs, runs, gaveUp))) {
      for (const flusher of flushers) flusher.abort();
      await within(abortGraceMs, runs);
    }
  }
}

/** While sinks of the user's open: one whose code holds this thread is found by its silence. */
function reportAlive(): NodeJS.Timeout | undefined {
  if (data.sinks.length === 0) return undefined;
  const what = `sinks ${data.sinks.map(({ name }) => `'${name}'`).join(', ')}: one`;
  const module = data.sinks.map((sink) => sink.module).join(', ');
  const say = (): void => report({ type: 'starting', what, module });
  say();
  return setInterval(guarded(say), aliveEveryMs);
}

async function abandoned(): Promise<void> {
  while (control.flag(Signal.abandoned) === 0) await pause(lookMs, undefined, { ref: false });
}

/** Where the log ended when this run began. */
const lastPosition = (): number => control.position('begun') - 1;

/**
 * Without the environment here, with a stream that can never work, or with a log that has lost its end, there is nothing to
 * start. Without a store elsewhere there is, if it is only away.
 */
function check(flushers: readonly Flusher[]): void {
  for (const { name, isOpen, status } of flushers) {
    const { state, lastError } = status; // no error: it has not answered yet
    const isHere = name === cacheName || (name === storeName && data.store === undefined);
    const mayBeAway = !isHere && (lastError === undefined || isError(lastError, 'StoreUnavailable'));
    const isStore = isHere || name === storeName;
    const isVital = isStore || name === data.stream?.name || isError(lastError, 'LogDamaged');
    if (isVital && (state === 'failed' || (isStore && !isOpen && !mayBeAway))) throw lastError;
  }
}

/** Wake the flushers whenever more is synced; until it is time to stop. */
function watch(flushers: readonly Flusher[]): Promise<void> {
  return new Promise((resolve) => {
    const parker = control.parker();
    let seen = 0;
    const hasWork = (): boolean => control.position('synced') !== seen || isStopping();
    const look = (): void => {
      do {
        parker.rise();
        if (isStopping()) {
          clearInterval(timer);
          resolve();
          return;
        }
        seen = control.position('synced');
        for (const flusher of flushers) flusher.wake();
      } while (!parker.arm(hasWork));
    };
    const timer = setInterval(guarded(look), idleBoundMs);
    data.syncPort.on('message', guarded(look));
    threadPort.on(
      'message',
      guarded((request: FlushThreadRequest) => {
        if (request === null) look();
        else if (request.type === 'status') reportStatus(flushers);
        else configure(flushers, request);
      }),
    );
    look();
  });
}

function reportStatus(flushers: readonly Flusher[]): void {
  const sinks: Record<string, SinkStatus> = {};
  for (const { name, status } of flushers) {
    sinks[name] = { ...status, lastError: status.lastError && wire(status.lastError, name) };
  }
  report({ type: 'status', sinks });
}

function configure(
  flushers: readonly Flusher[],
  { name, change, number }: Extract<FlushThreadRequest, { type: 'configure' }>,
): void {
  let error: WireError | undefined;
  try {
    flushers.find((flusher) => flusher.name === name)!.configure(change);
  } catch (thrown) {
    error = wire(thrown, name);
  }
  report({ type: 'configured', number, error });
}

/** Whether all have ended within so many milliseconds, and before it was `cutShort`. */
async function within(
  boundMs: number,
  runs: readonly Promise<void>[],
  cutShort: Promise<void> = new Promise(() => {}),
): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(
    guarded(() => resolve(false)),
    boundMs,
  );
  const ended = Promise.all(runs).then(() => true);
  const inTime = await Promise.race([ended, late, cutShort.then(() => false)]);
  clearTimeout(timer);
  return inTime;
}

function wire(error: unknown, sink: string = storeName): WireError {
  const { stack, message } = describeError(error);
  const cause = stack || message;
  const ours = error instanceof TrunklineError ? error : new TrunklineError('SinkFailed', { sink, cause });
  return toWire(ours, { aggregateType: '', command: '' });
}

// A sink of the user's that has left a socket open does not keep the thread: no native call is in progress any more.
runThread(main, data.sinks.length === 0 ? 0 : abortGraceMs);
