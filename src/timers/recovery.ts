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
        // What is resolved waits no more, and what it has replaced does not come back.
        const isResolved = change.timer !== undefined && resolved.has(change.timer.message.id);
        await take(isResolved ? { ...change, timer: undefined } : change);
      }
      await yieldToLoop();
    }
  });
  if (carriedOut.size > 0) await timers.finish((id) => carriedOut.has(id));
}
