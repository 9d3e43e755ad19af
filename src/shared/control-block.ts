// How far everything has come: one small piece of shared memory that all threads of a runtime look at. Any thread may read
// all of it. What counts without end is a position (64 bits), never a word.
//
// Writers (one at a time; where there are several, what they write is said here):
//
// | written by | positions and words |
// |---|---|
// | log thread | `begun`, `appended`, `written`, `usedBytes`, `committedBytes`, `full`, `diskFull`, `heldByMessages`; `synced` once, before it reports that it is ready |
// | sync thread | `synced` from then on |
// | flush thread | `stored`, `published`, `passed`, `remembered`, `floor`, `quarantined`, `heldNews`; `settledBefore` and `keyClockAhead` once, before it reports that it is ready |
// | host thread | `settled`, `waitingKib`, `awaits…`, `stopping`, `abandoned`, flush policy, `rejectsWhenFull`; `admitBytes` once, before any thread starts |
// | a shard | its own beat and count of actors |
// | log and sync thread | `poisoned`: only ever from 0 to 1 |
// | several, by a protocol of their own | notifiers (`shared/ring/notifier.ts`), `logInbox` (`log.ts`), `hurry` and `openings` (below), `transactions` and `exiting` (`exit-guard.ts`), `reserving` (`reserve-lock.ts`) |

import { monotonicMs } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';

const positionCount = 18;
const wordsOffset = positionCount * 8;

/** Positions, in the order of the levels. Each is the last position that has reached the level. */
export const Watermark = {
  written: 0,
  synced: 1,
  stored: 2,
  published: 3,
  /** lowest position that a sink still needs */
  floor: 4,
  /** the log need keep no message up to here: it has a durable outcome, is a dead letter, or waits in the message box */
  settled: 5,
  /** where this run began to write: holes before it are what a recovery has reported as left out */
  begun: 7,
  /** what this machine's own environment holds: the embedded store, or the memory beside another store */
  remembered: 8,
  /** what has been committed. Rings let it be read after this, and before `written` says so: who looks at a ring first reads this */
  appended: 9,
  /** not a position: bytes that the log takes, told when it is full */
  usedBytes: 6,
  /** not a position: what the clock of idempotency keys is ahead of the monotonic clock, milliseconds; see `keyClock` */
  keyClockAhead: 10,
  /** not a position: from how many bytes on users' commands are not let in any more */
  admitBytes: 12,
  /** `settled` as the store had it when it was opened: a start delivers no message up to here from the log, only from the box */
  settledBefore: 11,
  /** not a position: bytes of chunks committed so far */
  committedBytes: 14,
  /** not a position: how many events the store has refused; counted before `stored` moves past them, and told to the caller by messages */
  quarantined: 13,
  /** the store has everything up to here but what others hold there: `stored` stays before the first of that */
  passed: 15,
  /** not a position: how often the flush thread has said what is held or is held no more; counted before `passed` moves, and told by messages */
  heldNews: 16,
} as const;
export type WatermarkName = keyof typeof Watermark;

/** Words: notifiers (see `shared/ring/notifier.ts`) and flags. */
export const Signal = {
  logNotifier: 0,
  syncNotifier: 1,
  flushNotifier: 2,
  hostNotifier: 3,
  /** how far the stop has come, see {@link StopStage} */
  stopping: 4,
  /** 1: a write or a sync failed; nothing is acknowledged any more */
  poisoned: 5,
  /** how much room the log has left, and for whom: see {@link LogRoom} */
  full: 6,
  /** 1: a control message waits for the log thread */
  logInbox: 7,
  /** 1: a caller waits for `synced` (`stored`): ring its thread when it moves */
  awaitsSynced: 8,
  awaitsStored: 9,
  /** flush policy, see log/policy.ts: changeable while running */
  syncIntervalMs: 10,
  syncBytes: 11,
  batchBytes: 12,
  spinMicros: 13,
  /** 1: a caller waits for `synced` or `stored` now: the next sync does not linger, see {@link hurrySync} */
  hurry: 14,
  /** 1: who is let in may be refused for want of room in a ring, see `whenFull` in options.ts */
  rejectsWhenFull: 15,
  /** 1: `close` waits no longer; every thread leaves what it is at */
  abandoned: 16,
  /** 1: the process is ending; no thread begins a transaction any more */
  exiting: 17,
  /** how many threads are inside a transaction, see `exit-guard.ts` */
  transactions: 18,
  /** 1: a caller waits for `published`: as for `stored` */
  awaitsPublished: 20,
  /** 1: a thread makes the log's file longer, see `reserve-lock.ts` */
  reserving: 24,
  /** 1: the log has room left, but its file cannot grow: the disk is full */
  diskFull: 25,
  /** how often the log has let in more than before, see {@link countOpening} */
  openings: 26,
  /** 1: the log wants room that messages hold, and nothing else does; see `dispatch/relief.ts` */
  heldByMessages: 27,
  /** KiB of messages that wait beside the log: they count with what it holds */
  waitingKib: 28,
  firstShardNotifier: 32,
  /** counts turns of each shard's loops: one that stands still while its notifier does not say `blocked` is held by a command */
  firstShardBeat: 96,
  /** how many actors each shard held after its last sweep */
  firstShardActors: 160,
} as const;

/**
 * `plenty`: for all. `admitted`: users' commands are not let in any more; with `whenFull: 'reject'` those that have
 * begun go on, else they wait. `reserve`: what is left is for internal traffic (messages, answers), which is what frees
 * the log.
 */
export const LogRoom = { plenty: 0, admitted: 1, reserve: 2 } as const;

/** Threads stop one stage after the other, each when `stopping` has come to its number and its work is drained. */
export const StopStage = { shards: 1, log: 2, sync: 3, flush: 4 } as const;

const shardLimit = 64;

export class ControlBlock {
  readonly memory: SharedArrayBuffer;
  readonly words: Int32Array;
  private readonly positions: BigInt64Array;

  constructor(memory?: SharedArrayBuffer) {
    this.memory = memory ?? new SharedArrayBuffer(wordsOffset + (Signal.firstShardActors + shardLimit) * 4);
    this.positions = new BigInt64Array(this.memory, 0, positionCount);
    this.words = new Int32Array(this.memory, wordsOffset);
  }

  position(name: WatermarkName): number {
    return Number(Atomics.load(this.positions, Watermark[name]));
  }

  publish(name: WatermarkName, position: number): void {
    Atomics.store(this.positions, Watermark[name], BigInt(position));
  }

  /** One turn of a shard's loop. Not atomic: one thread writes, and the reader looks again a second later. */
  beat(shard: number): void {
    this.words[Signal.firstShardBeat + shard]!++;
  }

  /**
   * The clock by which idempotency keys expire, milliseconds. It goes on by the monotonic clock, and only while a runtime
   * runs; the store keeps where it stands. So neither a date that is corrected nor a long stop makes a key expire early.
   */
  keyClock(): number {
    return this.position('keyClockAhead') + monotonicMs();
  }

  get isPoisoned(): boolean {
    return this.flag(Signal.poisoned) !== 0;
  }

  flag(word: number): number {
    return Atomics.load(this.words, word);
  }

  setFlag(word: number, value: number): void {
    Atomics.store(this.words, word, value);
  }
}

/** Why nothing new is let in, as the log thread has last said. */
export function logFull(control: ControlBlock, limitBytes: number): TrunklineError {
  const diskIsFull = control.flag(Signal.diskFull) !== 0;
  return new TrunklineError('LogFull', { usedBytes: control.position('usedBytes'), limitBytes, diskIsFull });
}

/**
 * `full` has gone down, or means less: say so after it, and ring the caller. A count, since the log may be full again before
 * the host thread looks: it must wake what was let in meanwhile all the same.
 */
export function countOpening({ words }: ControlBlock): void {
  Atomics.add(words, Signal.openings, 1);
}

/**
 * A caller waits for `synced`: end the sync thread's lingering. Any thread; cheap when it is said already. It holds for
 * the next sync, which takes it back: a thread that still waits says it again, and one that does not need not say so.
 */
export function hurrySync(control: ControlBlock): void {
  if (Atomics.exchange(control.words, Signal.hurry, 1) === 0) Atomics.notify(control.words, Signal.hurry);
}
