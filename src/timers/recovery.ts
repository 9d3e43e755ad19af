// What the last run has left of timers: those that its commands have set or cancelled, and that the tables perhaps do not have yet; and
// those that were carried out, and that the tables perhaps still have. Host thread.
//
// Invariant: the log is held from `lastRun.from` on until both have been looked through.
import { yieldToLoop } from '../base/clock.ts';
import type { LastRun } from '../dispatch/last-run.ts';
import type { HeldChange, TimerFeed } from '../dispatch/timer-feed.ts';
import { eachFrame } from '../log/frames.ts';
import type { Timers } from './timers.ts';

/** Between two of these the event loop has its turn. */
const positionsAtOnce = 10_000;

/** `resolved`: messages that are not to be delivered from the log, since they are dead letters, or were given up. */
export async function recoverTimers(
  timers: Timers,
  feed: TimerFeed,
  lastRun: LastRun,
  resolved: ReadonlySet<string>,
): Promise<void> {
  const { log, from, to, carriedOut } = lastRun;
  await timers.begin(async (take) => {
    for (let next = from; next <= to; next += positionsAtOnce) {
      const changes: HeldChange[] = [];
      eachFrame(log, next, Math.min(to, next + positionsAtOnce - 1), (frame, position) => {
        const change = feed.held(frame, position);
        if (change !== undefined) changes.push(change);
      });
      for (const change of changes) {
        const { timer } = change;
        if (timer !== undefined && resolved.has(timer.message.id))
          await take({ ...change, timer: undefined }); // what it has replaced stays so
        // It ends now, whatever its date: it may have been moved, or the clock set back.
        else if (timer !== undefined && carriedOut.has(timer.message.id))
          await take({ ...change, timer: { ...timer, dueMs: 0 } });
        else await take(change);
      }
      await yieldToLoop();
    }
  });
  if (carriedOut.size > 0) await timers.finish((id) => carriedOut.has(id));
}
