// What the last run has left of messages in the log: how many it had written that are perhaps not carried out, and the outcomes
// that it had written, without those that are void since. Read before anything of this run is delivered. Neither the messages
// nor the outcomes are held in memory: they are read when their turn comes (`intake.ts`). Host thread.
//
// Invariant: the log keeps a message's outcome for as long as the message can still be delivered (`Deliveries` holds `settled`
// below it), so none is missing here.
import { backoffMs } from '../base/backoff.ts';
import { yieldToLoop } from '../base/clock.ts';
import { pauseUnless } from '../base/on-abort.ts';
import { eachFrame } from '../log/frames.ts';
import type { LogSource } from '../log/log.ts';
import { isMessageKey, messageInKey, outcomeOrFault } from '../model/receipt.ts';
import { FrameKind } from '../wire/frame.ts';
import { type CarriedOut, Outcomes } from './outcomes.ts';

/** Between two of these the event loop has its turn: the log may hold gigabytes. */
const positionsAtOnce = 10_000;
const pauses = { minMs: 100, maxMs: 60_000 };

export interface LastRun {
  readonly log: LogSource;
  /** Where it was read from, and to. */
  readonly from: number;
  readonly to: number;
  /** Messages in that part of the log. */
  readonly messages: number;
  /** Those that have an outcome, each with the error by which its target refused it, if it did. */
  readonly carriedOut: CarriedOut;
}

export async function readLastRun(log: LogSource, from: number, to: number): Promise<LastRun> {
  let messages = 0;
  const carriedOut = new Outcomes(log);
  for (let next = from; next <= to; next += positionsAtOnce) {
    eachFrame(log, next, Math.min(to, next + positionsAtOnce - 1), (frame, position) => {
      if (frame.kind === FrameKind.message) messages++;
      else if (frame.kind === FrameKind.receipt && isMessageKey(frame.name)) {
        const { id } = messageInKey(frame.name);
        const { expiresAt, error } = outcomeOrFault(frame.dataJson);
        if (expiresAt === 0) carriedOut.delete(id);
        else carriedOut.set(id, position, error !== undefined);
      }
    });
    await yieldToLoop();
  }
  return { log, from, to, messages, carriedOut };
}

/** What could not be read at the start, later; undefined on `stopped`. `read` says what went wrong. */
export async function readInTheEnd<T>(read: () => Promise<T>, stopped: AbortSignal): Promise<T | undefined> {
  for (let failures = 1; ; failures++) {
    await pauseUnless(stopped, backoffMs(failures, pauses));
    if (stopped.aborted) return undefined;
    try {
      return await read();
    } catch {}
  }
}
