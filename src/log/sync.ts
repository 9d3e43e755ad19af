// The second clock: what is written becomes synced. Runs in the sync thread, which does nothing else.
//
// - The written position is noted before the fdatasync and published as synced after it; whatever is committed meanwhile
//   belongs to the next one (natural group commit).
// - A hurry holds for one sync. A thread that still waits says it again, so that one that has gone keeps nothing fast.
// - A failed fdatasync is final. The kernel may have dropped the pages and report success the next time, so it is never
//   repeated: the log is poisoned, and nothing is acknowledged as synced any more.
import { performance } from '../base/clock.ts';
import { type Levels, LevelWord, StopStage } from '../shared/levels.ts';
import type { Bell } from '../shared/ring/bell.ts';
import { Sleeper } from '../shared/ring/bell.ts';

/** How long the thread sleeps at most without looking up. Every wake-up it needs is rung for; this is the safety net. */
const BLOCK_BOUND_MS = 1000;
/** While it lingers, the log thread does not ring for bytes (see `syncBytes`): so it looks. */
const LINGER_SLICE_MS = 5;

export interface SyncSurroundings {
  levels: Levels;
  /** Makes everything committed so far survive power loss, or throws. */
  sync: () => void;
  /** Called now and then, between two syncs: what is to be done ahead of need. */
  prepare?: () => void;
  flushBell: Bell;
  callerBell: Bell;
}

/** Returns when the runtime stops and all is synced; or with the error that poisoned the log. */
export function syncUntilStopped({ levels, sync, prepare, flushBell, callerBell }: SyncSurroundings): unknown {
  const sleeper = new Sleeper(levels.words, LevelWord.syncBell);
  let synced = levels.position('synced');
  let syncedBytes = 0;
  const isStopping = () => levels.flag(LevelWord.stopping) >= StopStage.sync;
  const hasWork = () => levels.position('written') > synced || isStopping();
  const bytesWaiting = () => levels.position('committedBytes') - syncedBytes;
  const mustNotLinger = () =>
    isStopping() || levels.flag(LevelWord.hurry) !== 0 || bytesWaiting() >= levels.flag(LevelWord.syncBytes);

  for (;;) {
    sleeper.block(hasWork, BLOCK_BOUND_MS);
    if (!hasWork()) continue;
    const deadline = performance.now() + levels.flag(LevelWord.syncIntervalMs);
    while (!mustNotLinger()) {
      const remaining = deadline - performance.now();
      if (remaining <= 0) break;
      // Not on the bell: the log thread would ring it, and pay for it, at every commit.
      Atomics.wait(levels.words, LevelWord.hurry, 0, Math.min(remaining, LINGER_SLICE_MS));
    }
    const stopping = isStopping();
    // Before `written` is noted: all waits that began until here are covered.
    Atomics.store(levels.words, LevelWord.hurry, 0);
    const bytes = levels.position('committedBytes');
    const written = levels.position('written');
    try {
      sync();
    } catch (error) {
      levels.setFlag(LevelWord.poisoned, 1);
      callerBell.ring();
      flushBell.ring();
      return error;
    }
    synced = written;
    syncedBytes = bytes;
    levels.publish('synced', synced);
    flushBell.ring();
    if (levels.flag(LevelWord.awaitsSynced) !== 0) callerBell.ring();
    if (stopping) return undefined;
    prepare?.();
  }
}
