// The second clock: what is written becomes synced. Runs in the sync thread, which does nothing else.
//
// - The written position is noted before the fdatasync and published as synced after it; whatever is committed meanwhile
//   belongs to the next one (natural group commit).
// - A hurry holds for one sync. A thread that still waits says it again, so that one that has gone keeps nothing fast.
// - A failed fdatasync is final. The kernel may have dropped the pages and report success the next time, so it is never
//   repeated: the log is poisoned, and nothing is acknowledged as synced any more.
import { performance } from '../base/clock.ts';
import { type ControlBlockWriter, Signal, StopStage } from '../shared/control-block.ts';
import { lingerUntilHurried, takeHurry } from '../shared/log-signals.ts';
import type { Notifier } from '../shared/notifier.ts';

/** How long the thread sleeps at most without looking up. Every wake-up it needs is rung for; this is the safety net. */
const BLOCK_BOUND_MS = 1000;
/** While it lingers, the log thread does not ring for bytes (see `syncBytes`): so it looks. */
const LINGER_SLICE_MS = 5;

export interface SyncSurroundings {
  control: ControlBlockWriter<'sync'>;
  /** Makes everything committed so far survive power loss, or throws. */
  sync: () => void;
  /** Called now and then, between two syncs: what is to be done ahead of need. */
  prepare?: () => void;
  flushNotifier: Notifier;
  hostNotifier: Notifier;
}

/** Returns when the runtime stops and all is synced; or with the error that poisoned the log. */
export function syncUntilStopped({ control, sync, prepare, flushNotifier, hostNotifier }: SyncSurroundings): unknown {
  const parker = control.parker();
  let synced = control.position('synced');
  let syncedBytes = 0;
  const isStopping = () => control.flag(Signal.stopping) >= StopStage.sync;
  const hasWork = () => control.position('written') > synced || isStopping();
  const bytesWaiting = () => control.position('committedBytes') - syncedBytes;
  const mustNotLinger = () =>
    isStopping() || control.flag(Signal.hurry) !== 0 || bytesWaiting() >= control.flag(Signal.syncBytes);

  for (;;) {
    parker.block(hasWork, BLOCK_BOUND_MS);
    if (!hasWork()) continue;
    const deadline = performance.now() + control.flag(Signal.syncIntervalMs);
    while (!mustNotLinger()) {
      const remaining = deadline - performance.now();
      if (remaining <= 0) break;
      // Not by the notifier: the log thread would ring it, and pay for it, at every commit.
      lingerUntilHurried(control, Math.min(remaining, LINGER_SLICE_MS));
    }
    const stopping = isStopping();
    // Before `written` is noted: all waits that began until here are covered.
    takeHurry(control);
    const bytes = control.position('committedBytes');
    const written = control.position('written');
    try {
      sync();
    } catch (error) {
      control.setFlag(Signal.syncFailed, 1);
      hostNotifier.notify();
      flushNotifier.notify();
      return error;
    }
    synced = written;
    syncedBytes = bytes;
    control.publish('synced', synced);
    flushNotifier.notify();
    if (control.flag(Signal.awaitsSynced) !== 0) hostNotifier.notify();
    if (stopping) return undefined;
    prepare?.();
  }
}
