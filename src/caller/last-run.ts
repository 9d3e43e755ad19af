// What the last run has left of messages in the log: those that it had written and perhaps not carried out, and the outcomes
// that it had written. Read before anything of this run is delivered. Caller's thread.
//
// Invariant: the log keeps a message's outcome for as long as the message can still be delivered (`Deliveries` holds `settled`
// below it), so none is missing here.
import { setImmediate as breathe } from 'node:timers/promises';
import { FrameKind } from '../frame.ts';
import { eachFrame } from '../log/frames.ts';
import type { LogSource } from '../log/log.ts';
import { type Message, messageIn } from '../message.ts';
import { isMessageKey, messageKeyPrefix } from '../receipt.ts';

/** Between two of these the event loop has its turn: the log may hold gigabytes. */
const positionsAtOnce = 10_000;

export interface LastRun {
  /** Where it was read from. */
  readonly from: number;
  /** In log order. */
  readonly messages: readonly Message[];
  /** Ids of messages that have an outcome. */
  readonly carriedOut: ReadonlySet<string>;
}

export async function readLastRun(log: LogSource, from: number, to: number): Promise<LastRun> {
  const messages: Message[] = [];
  const carriedOut = new Set<string>();
  for (let next = from; next <= to; next += positionsAtOnce) {
    eachFrame(log, next, Math.min(to, next + positionsAtOnce - 1), (frame, position) => {
      const message = messageIn(frame, position);
      if (message !== undefined) messages.push(message);
      else if (frame.kind === FrameKind.receipt && isMessageKey(frame.name)) {
        carriedOut.add(frame.name.slice(messageKeyPrefix.length));
      }
    });
    await breathe();
  }
  return { from, messages, carriedOut };
}
