// What the last run has left of messages in the log: those that it had written and perhaps not carried out, and the outcomes
// that it had written, without those that are void since. Read before anything of this run is delivered. Caller's thread.
//
// Invariant: the log keeps a message's outcome for as long as the message can still be delivered (`Deliveries` holds `settled`
// below it), so none is missing here.
import { pause, yieldToLoop } from '../clock.ts';
import type { WireError } from '../errors.ts';
import { FrameKind } from '../frame.ts';
import { eachFrame } from '../log/frames.ts';
import type { LogSource } from '../log/log.ts';
import { type Message, messageIn } from '../message.ts';
import { isMessageKey, messageKeyPrefix, type Outcome } from '../receipt.ts';

/** Between two of these the event loop has its turn: the log may hold gigabytes. */
const positionsAtOnce = 10_000;
const readAgainMs = 100;
const readAgainMsLimit = 60_000;

export interface LastRun {
  /** Where it was read from. */
  readonly from: number;
  /** In log order. */
  readonly messages: readonly Message[];
  /** Ids of messages that have an outcome, each with the error by which its target refused it, if it did. */
  readonly carriedOut: ReadonlyMap<string, WireError | undefined>;
}

export async function readLastRun(log: LogSource, from: number, to: number): Promise<LastRun> {
  const messages: Message[] = [];
  const carriedOut = new Map<string, WireError | undefined>();
  for (let next = from; next <= to; next += positionsAtOnce) {
    eachFrame(log, next, Math.min(to, next + positionsAtOnce - 1), (frame, position) => {
      const message = messageIn(frame, position);
      if (message !== undefined) messages.push(message);
      else if (frame.kind === FrameKind.receipt && isMessageKey(frame.name)) {
        const id = frame.name.slice(messageKeyPrefix.length);
        const { expiresAt, error } = JSON.parse(frame.dataJson) as Outcome;
        if (expiresAt === 0) carriedOut.delete(id);
        else carriedOut.set(id, error);
      }
    });
    await yieldToLoop();
  }
  return { from, messages, carriedOut };
}

/** What could not be read at the start, later; undefined on `stopped`. `read` says what went wrong. */
export async function readInTheEnd<T>(read: () => Promise<T>, stopped: AbortSignal): Promise<T | undefined> {
  for (let waitMs = readAgainMs; ; waitMs = Math.min(2 * waitMs, readAgainMsLimit)) {
    await pause(waitMs, undefined, { signal: stopped }).catch(() => {});
    if (stopped.aborted) return undefined;
    try {
      return await read();
    } catch {}
  }
}
