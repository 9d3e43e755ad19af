// The control block: one small piece of shared memory that says how far everything has come. This file is its layout, and
// the table of its writers: each word names the one thread that writes it (`By<'log'>`), or the protocol by which several do.
//
// Each thread reads all of it (ControlBlock) and writes its own words: ControlBlockWriter and ShardControlBlock take no other
// word, so that a second writer does not compile. A thread's entry makes its writer and hands it down. The raw words stay in
// this folder (`signalsOf`): its protocols are the only code that writes a word of several writers.
//
// What counts without end is a watermark (64 bits), never a signal (32 bits).

import type { MessagePort } from 'node:worker_threads';
import { monotonicMs } from '../base/clock.ts';
import { isBlocked, Notifier, Parker } from './notifier.ts';

/** A thread with words of its own. Each shard writes its own element of the arrays of shards. */
export type Writer = 'log' | 'sync' | 'flush' | 'host' | 'shard';

/** The file of this folder that has the rule for a word of several writers, and all code that writes it. */
type Protocol = 'notifier' | 'log-signals' | 'exit-guard' | 'reserve-lock';

declare const writtenBy: unique symbol;
/** Where a word is: at run time a number. Who may write there exists for the compiler alone. */
export type By<W extends Writer | Protocol> = number & { readonly [writtenBy]: W };

const watermarkLimit = 18;
const shardLimit = 64;
const wordsOffset = watermarkLimit * 8;

/** Watermarks, in the order of the levels. Each is the last position that has reached the level, or what its comment says. */
export const Watermark = {
  written: 0 as By<'log'>,
  /** its first value: see {@link publishRecovered} */
  synced: 1 as By<'sync'>,
  stored: 2 as By<'flush'>,
  published: 3 as By<'flush'>,
  /** lowest position that a sink still needs */
  floor: 4 as By<'flush'>,
  /** the log need keep no message up to here: it has a durable outcome, is a dead letter, or waits in the message box */
  settled: 5 as By<'host'>,
  /** where this run began to write: holes before it are what a recovery has reported as left out */
  begun: 7 as By<'log'>,
  /** what this machine's own environment holds: the embedded store, or the local cache beside another store */
  remembered: 8 as By<'flush'>,
  /** what has been committed. Rings let it be read after this, and before `written` says so: who looks at a ring first reads this */
  appended: 9 as By<'log'>,
  /** not a position: bytes that the log takes, as of the last change of `full` */
  usedBytes: 6 as By<'log'>,
  /** not a position: what the clock of idempotency keys is ahead of the monotonic clock, milliseconds; see `keyClock` */
  keyClockAhead: 10 as By<'flush'>,
  /** not a position: from how many bytes on users' commands are not let in any more */
  admitBytes: 12 as By<'host'>,
  /** `settled` as the store had it when it was opened: a start delivers no message up to here from the log, only from the box */
  settledBefore: 11 as By<'flush'>,
  /** not a position: bytes of chunks committed so far */
  committedBytes: 14 as By<'log'>,
  /** not a position: how many events the store has refused; counted before `stored` moves past them, and reported to the host by messages */
  quarantined: 13 as By<'flush'>,
} as const;

/** Signals: flags, settings, and the words on which threads park (`notifier.ts`). */
export const Signal = {
  /** each: whether that thread is parked, and how */
  logNotifier: 0 as By<'notifier'>,
  syncNotifier: 1 as By<'notifier'>,
  flushNotifier: 2 as By<'notifier'>,
  hostNotifier: 3 as By<'notifier'>,
  /** how far the stop has come, see {@link StopStage} */
  stopping: 4 as By<'host'>,
  /** 1: a write failed; nothing is acknowledged any more */
  writeFailed: 5 as By<'log'>,
  /** 1: a sync failed: likewise */
  syncFailed: 19 as By<'sync'>,
  /** how much room the log has left, and for whom: see `LogRoom` in log-signals.ts */
  full: 6 as By<'log'>,
  /** 1: a control message waits for the log thread, see `log-signals.ts` */
  logInbox: 7 as By<'log-signals'>,
  /** 1: a caller waits for `synced` (`stored`): ring its thread when it moves */
  awaitsSynced: 8 as By<'host'>,
  awaitsStored: 9 as By<'host'>,
  /** flush policy, see log/policy.ts: changeable while running */
  syncIntervalMs: 10 as By<'host'>,
  syncBytes: 11 as By<'host'>,
  batchBytes: 12 as By<'host'>,
  spinMicros: 13 as By<'host'>,
  /** 1: a caller waits for `synced` or `stored` now: the next sync does not linger, see `log-signals.ts` */
  hurry: 14 as By<'log-signals'>,
  /** 1: who is let in may be refused for want of room in a ring, see `whenFull` in policy.ts */
  rejectsWhenFull: 15 as By<'host'>,
  /** 1: `close` waits no longer; every thread leaves what it is at */
  abandoned: 16 as By<'host'>,
  /** 1: the process is ending; no thread begins a transaction any more */
  exiting: 17 as By<'exit-guard'>,
  /** how many threads are inside a transaction, see `exit-guard.ts` */
  transactions: 18 as By<'exit-guard'>,
  /** 1: a caller waits for `published`: as for `stored` */
  awaitsPublished: 20 as By<'host'>,
  /** 1: a thread makes the log's file longer, see `reserve-lock.ts` */
  reserving: 24 as By<'reserve-lock'>,
  /** 1: the log has room left, but its file cannot grow: the disk is full */
  diskFull: 25 as By<'log'>,
  /** 1: the disk is short, and what the log retained is given up: see `RetentionNews` in log/log.ts */
  retentionGivenUp: 29 as By<'log'>,
  /** how often the log has let in more than before, see `log-signals.ts` */
  openings: 26 as By<'log-signals'>,
  /** 1: the log wants room that messages hold, and nothing else does; see `dispatch/relief.ts` */
  heldByMessages: 27 as By<'log'>,
  /** KiB of messages that wait beside the log: they count with what it holds */
  waitingKib: 28 as By<'host'>,
  /** from here on one word for each shard: as `logNotifier` */
  firstShardNotifier: 32 as By<'notifier'>,
  /** likewise: counts the turns of its loops */
  firstShardBeat: 96 as By<'shard'>,
  /** likewise: how many actors it held after its last sweep */
  firstShardActors: 160 as By<'shard'>,
} as const;

/** Threads stop one stage after the other, each when `stopping` has come to its number and its work is drained. */
export const StopStage = { shards: 1, log: 2, sync: 3, flush: 4 } as const;

export type WatermarkName = keyof typeof Watermark;
type NamesBy<W extends Writer> = {
  [Name in WatermarkName]: (typeof Watermark)[Name] extends By<W> ? Name : never;
}[WatermarkName];

/** What every thread may do: read, and wake a thread that sleeps. */
export class ControlBlock {
  readonly memory: SharedArrayBuffer;
  protected readonly watermarks: BigInt64Array;
  protected readonly signals: Int32Array;

  constructor(memory?: SharedArrayBuffer) {
    this.memory = memory ?? new SharedArrayBuffer(wordsOffset + (Signal.firstShardActors + shardLimit) * 4);
    this.watermarks = new BigInt64Array(this.memory, 0, watermarkLimit);
    this.signals = new Int32Array(this.memory, wordsOffset);
  }

  position(name: WatermarkName): number {
    return Number(Atomics.load(this.watermarks, Watermark[name]));
  }

  flag(word: By<any>): number {
    return Atomics.load(this.signals, word);
  }

  /** A write or a sync has failed: nothing is acknowledged any more. */
  get isPoisoned(): boolean {
    return (this.flag(Signal.writeFailed) | this.flag(Signal.syncFailed)) !== 0;
  }

  /**
   * The clock by which idempotency keys expire, milliseconds. It goes on by the monotonic clock, and only while a runtime
   * runs; the store keeps where it stands. So neither a date that is corrected nor a long stop makes a key expire early.
   */
  keyClock(): number {
    return this.position('keyClockAhead') + monotonicMs();
  }

  /** The turns of a shard's loops. One that stands still while the shard is not blocked is held by a command. */
  beatOf(shard: number): number {
    return Atomics.load(this.signals, Signal.firstShardBeat + shard);
  }

  actorsOf(shard: number): number {
    return Atomics.load(this.signals, Signal.firstShardActors + shard);
  }

  isShardBlocked(shard: number): boolean {
    return isBlocked(Atomics.load(this.signals, Signal.firstShardNotifier + shard));
  }

  /** Wakes the thread that parks on the word; `port` as {@link Notifier} takes it. */
  notifier(word: By<'notifier'>, port?: MessagePort): Notifier {
    return new Notifier(this.signals, word, port);
  }

  shardNotifier(shard: number, port?: MessagePort): Notifier {
    return new Notifier(this.signals, Signal.firstShardNotifier + shard, port);
  }
}

const parksOn: Record<Exclude<Writer, 'shard'>, By<'notifier'>> = {
  log: Signal.logNotifier,
  sync: Signal.syncNotifier,
  flush: Signal.flushNotifier,
  host: Signal.hostNotifier,
};

/** What one thread may do: read all words, write its own, and park. */
export class ControlBlockWriter<W extends Exclude<Writer, 'shard'>> extends ControlBlock {
  readonly thread: W;

  constructor(thread: W, memory?: SharedArrayBuffer) {
    super(memory);
    this.thread = thread;
  }

  publish(name: NamesBy<W>, position: number): void {
    Atomics.store(this.watermarks, Watermark[name], BigInt(position));
  }

  setFlag(word: By<W>, value: number): void {
    Atomics.store(this.signals, word, value);
  }

  parker(): Parker {
    return new Parker(this.signals, parksOn[this.thread]);
  }
}

/** What one shard may do: read all words, write its own elements, and park. */
export class ShardControlBlock extends ControlBlock {
  private readonly shard: number;

  constructor(shard: number, memory: SharedArrayBuffer) {
    super(memory);
    this.shard = shard;
  }

  /** One turn of the shard's loop. Not atomic: one thread writes, and the reader looks again a second later. */
  beat(): void {
    this.signals[Signal.firstShardBeat + this.shard]!++;
  }

  setActors(count: number): void {
    Atomics.store(this.signals, Signal.firstShardActors + this.shard, count);
  }

  parker(): Parker {
    return new Parker(this.signals, Signal.firstShardNotifier + this.shard);
  }
}

/**
 * Where recovery has left the log. By the log thread, before it reports that it is ready: the sync thread, which writes
 * `synced` from then on, is started after that and needs its first value.
 */
export function publishRecovered(log: ControlBlockWriter<'log'>, nextPosition: number): void {
  const sync = new ControlBlockWriter('sync', log.memory);
  log.publish('begun', nextPosition);
  log.publish('appended', nextPosition - 1);
  log.publish('written', nextPosition - 1);
  sync.publish('synced', nextPosition - 1);
}

/** The signals themselves, for the protocols of this folder alone. */
export const signalsOf = (control: ControlBlock): Int32Array => control['signals'];
