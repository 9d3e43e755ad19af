// Entry of the flush thread: a leaf. Runs one flusher for the embedded store and one for each sink of the user's, on one
// event loop; tells everyone how far the store is, and the log what it may truncate. workerData: {@link FlushThreadData}.
//
// A null message (from the sync thread on the bell's port, from the runtime on the parent's) means: look again. Once
// `stopping` has come to its stage the thread comes up to what is synced, closes its sinks, and returns.

import { setPriority } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { TrunklineError, toWire, type WireError } from '../errors.ts';
import { throughGate } from '../log/gate.ts';
import { Levels, LevelWord, StopStage } from '../log/levels.ts';
import { openLogReader } from '../log/lmdb.ts';
import type { LogSource } from '../log/log.ts';
import type { SinkOptions } from '../options.ts';
import { Bell, Sleeper } from '../ring/bell.ts';
import { EmbeddedSink } from '../store/lmdb/sink.ts';
import type { FlusherStatus, Sink, SinkInfo, SinkModule } from './flush.ts';
import { Flusher } from './flusher.ts';

export interface FlushThreadData {
  levels: SharedArrayBuffer;
  logFolder: string;
  mapBytes: number;
  storeFolder: string;
  dataDir: string;
  logId: string;
  sinks: readonly SinkOptions[];
  /** How long a user's sink may take for its last batches, milliseconds; default 10,000. */
  stopGraceMs?: number;
  /** sync thread → flush thread: null messages */
  bellPort: MessagePort;
  /** flush thread → runtime: null messages */
  callerPort: MessagePort;
}

/** What the runtime may ask; null means only: look again. */
export type FlushThreadRequest = { type: 'status' } | null;

export type SinkStatus = Omit<FlusherStatus, 'lastError'> & { lastError: WireError | undefined };

export type FlushThreadReport =
  /** the store is open, and every sink has been tried once; the checkpoints of those that are open */
  | { type: 'ready'; checkpoints: Record<string, number> }
  | { type: 'failed'; error: WireError }
  /** `retryInMs` undefined: the sink has stopped; what it still needs stays in the log */
  | { type: 'sink-error'; name: string; error: WireError; retryInMs: number | undefined }
  | { type: 'status'; sinks: Record<string, SinkStatus> };

const storeName = 'store';
const niceness = 5;
const lookMs = 20; // while stopping: how soon it notices that nobody waits any longer
const idleBoundMs = 1000; // looks at its flags that often in any case
// Each commit costs some ten to twenty pages beyond its events. At 100,000 events/s this makes one for 5,000 events; whoever
// waits for `stored` does not wait for it.
const storeLingerMs = 50;
const openGraceMs = 10_000; // a sink that takes longer to open does not delay the start any more
const stopGraceMs = 10_000;
const abortGraceMs = 1_000; // then a sink has so long to notice that nobody waits

const data = workerData as FlushThreadData;
const levels = new Levels(data.levels);
const report = (message: FlushThreadReport): void => parentPort!.postMessage(message);
const isStopping = (): boolean => levels.flag(LevelWord.stopping) >= StopStage.flush;

async function main(): Promise<void> {
  // On Linux this is the thread's own priority: whoever waits for a command goes first, the store catches up behind.
  setPriority(niceness);
  let log: LogSource | undefined;
  try {
    log = openLogReader(data.logFolder, data.mapBytes);
    const flushers = await makeFlushers(log);
    await follow(flushers);
  } catch (error) {
    report({ type: 'failed', error: wire(error) });
  }
  await log?.close();
  data.bellPort.close();
  data.callerPort.close();
  parentPort!.close();
  // A sink that has left a socket open does not keep the thread: nothing native is under way any more.
  setTimeout(() => process.exit(0), abortGraceMs).unref();
}

async function makeFlushers(log: LogSource): Promise<Flusher[]> {
  const callerBell = new Bell(levels.words, LevelWord.callerBell, data.callerPort);
  const flushers: Flusher[] = [];
  const add = (name: string, sink: Sink, onPosition: (position: number) => void, lingerMs: number): void => {
    const flusher = new Flusher({
      name,
      sink,
      log,
      limit: () => levels.position('synced'),
      lingerMs,
      // The store alone was there before every loss: a new sink must be told that it comes too late.
      knownHolesEnd: () => (name === storeName ? levels.position('begun') : 0),
      isHurried: () => levels.flag(LevelWord.awaitsStored) !== 0,
      onPosition(position) {
        onPosition(position);
        publishFloor(flushers);
      },
      onFailure(error, retryInMs) {
        report({ type: 'sink-error', name, error: wire(error, name), retryInMs });
      },
    });
    flushers.push(flusher);
  };
  const onStored = (position: number): void => {
    levels.publish('stored', position);
    if (levels.flag(LevelWord.awaitsStored) !== 0) callerBell.ring();
  };
  const logBegins = log.firstPosition() || levels.position('begun');
  const store = new EmbeddedSink(data.storeFolder, data.logId, undefined, logBegins);
  add(storeName, uncut(store), onStored, storeLingerMs);
  for (const options of data.sinks) add(options.name, await makeSink(options, log), () => {}, 0);
  return flushers;
}

/** The store's transactions are not met by the end of the process. */
function uncut(store: EmbeddedSink): Sink {
  return {
    open: () => store.open(),
    write: (batch) => throughGate(levels, () => store.write(batch)),
    close: () => store.close(),
  };
}

async function makeSink({ name, module, options }: SinkOptions, log: LogSource): Promise<Sink> {
  const { dataDir, logId } = data;
  const info: SinkInfo = { name, dataDir, logId, firstPosition: log.firstPosition() };
  const invalid = (reason: string, cause?: unknown): TrunklineError =>
    new TrunklineError('InvalidOptions', { option: `sinks.${name}.module`, value: module, reason }, { cause });
  let made: unknown;
  try {
    const { createSink } = (await import(module)) as SinkModule;
    if (typeof createSink !== 'function') throw invalid('exports no function createSink');
    made = await createSink(options, info);
  } catch (error) {
    throw error instanceof TrunklineError ? error : invalid(`createSink failed: ${String(error)}`, error);
  }
  const sink = made as Partial<Sink> | undefined;
  if (typeof sink?.open === 'function' && typeof sink.write === 'function' && typeof sink.close === 'function') {
    return sink as Sink;
  }
  throw invalid('createSink must return an object with open, write and close');
}

/** The lowest position that any sink still needs. A sink that is not open may need everything. */
function publishFloor(flushers: readonly Flusher[]): void {
  let floor = Number.MAX_SAFE_INTEGER;
  for (const flusher of flushers) floor = Math.min(floor, flusher.isOpen ? flusher.position + 1 : 0);
  levels.publish('floor', floor);
}

async function follow(flushers: readonly Flusher[]): Promise<void> {
  const runs = flushers.map((flusher) => flusher.run());
  try {
    await flushers[0]!.tried;
    await within(
      openGraceMs,
      flushers.map(({ tried }) => tried),
    );
    check(flushers);
    const open = flushers.filter((flusher) => flusher.isOpen);
    report({ type: 'ready', checkpoints: Object.fromEntries(open.map(({ name, position }) => [name, position])) });
    await watch(flushers);
  } finally {
    for (const flusher of flushers) flusher.stop();
    await Promise.race([runs[0], abandoned()]); // the store takes what is synced, unless nobody waits any longer
    const graceMs = levels.flag(LevelWord.abandoned) !== 0 ? 0 : (data.stopGraceMs ?? stopGraceMs);
    if (!(await within(graceMs, runs))) {
      for (const flusher of flushers) flusher.abort();
      await within(abortGraceMs, runs);
    }
  }
}

async function abandoned(): Promise<void> {
  while (levels.flag(LevelWord.abandoned) === 0) await pause(lookMs, undefined, { ref: false });
}

/** Without the store there is nothing to start; with a sink that is ahead of the log it would skip what comes next. */
function check(flushers: readonly Flusher[]): void {
  const [store] = flushers;
  if (!store!.isOpen) throw store!.status.lastError;
  const written = levels.position('written');
  const ahead = flushers.find(({ position }) => position > written);
  if (ahead === undefined) return;
  const reason = `it ends at position ${written}, and sink '${ahead.name}' holds ${ahead.position} already`;
  throw new TrunklineError('LogDamaged', { dataDir: data.dataDir, reason });
}

/** Wake the flushers whenever more is synced; until it is time to stop. */
function watch(flushers: readonly Flusher[]): Promise<void> {
  return new Promise((resolve) => {
    const sleeper = new Sleeper(levels.words, LevelWord.flushBell);
    let seen = 0;
    const hasWork = (): boolean => levels.position('synced') !== seen || isStopping();
    const look = (): void => {
      do {
        sleeper.rise();
        if (isStopping()) {
          clearInterval(timer);
          resolve();
          return;
        }
        seen = levels.position('synced');
        for (const flusher of flushers) flusher.wake();
      } while (!sleeper.arm(hasWork));
    };
    const timer = setInterval(look, idleBoundMs);
    data.bellPort.on('message', look);
    parentPort!.on('message', (request: FlushThreadRequest) => (request === null ? look() : reportStatus(flushers)));
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

/** Whether all have ended within so many milliseconds. */
async function within(boundMs: number, runs: readonly Promise<void>[]): Promise<boolean> {
  const timer = new AbortController();
  const late = pause(boundMs, false, { signal: timer.signal }).catch(() => false);
  const inTime = await Promise.race([Promise.all(runs).then(() => true), late]);
  timer.abort();
  return inTime;
}

function wire(error: unknown, sink: string = storeName): WireError {
  const cause = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const ours = error instanceof TrunklineError ? error : new TrunklineError('SinkFailed', { sink, cause });
  return toWire(ours, { aggregateType: '', command: '' });
}

await main();
