// Messages as the log or the message box has them, by their positions; always a bounded part. Host thread.

import { eachFrame } from '../log/frames.ts';
import type { LogSource } from '../log/log.ts';
import { FrameReader } from '../wire/frame.ts';
import { type LetterBox, type Message, messageIn } from '../wire/message.ts';

/** So much text at once, unless one has more; and so many positions between two turns of the event loop. */
const textAtOnce = 256 << 10;
const positionsAtOnce = 10_000;

export interface Stretch {
  readonly messages: Message[];
  /** All up to here are among them. */
  readonly upTo: number;
}

export interface Placed {
  readonly message: Message;
  /** It is in the box; else in the log. */
  readonly isKept: boolean;
}

const textOf = ({ inputJson, metadataJson }: Message): number => inputJson.length + metadataJson.length;

/** Those in the log from `from` up to `to`, or up to a bound before that. */
export function stretchFrom(log: LogSource, from: number, to: number, most: number): Stretch {
  const messages: Message[] = [];
  const end = Math.min(to, from + positionsAtOnce - 1);
  let text = 0;
  let upTo = end;
  eachFrame(log, from, end, (frame, position) => {
    const message = messageIn(frame, position);
    if (message === undefined) return true;
    messages.push(message);
    text += textOf(message);
    if (messages.length < most && text < textAtOnce) return true;
    upTo = position;
    return false;
  });
  return { messages, upTo };
}

/** Those at the positions, which ascend, or the first of them. @throws if one is in neither place */
export async function messagesAt(log: LogSource, box: LetterBox, positions: readonly number[]): Promise<Placed[]> {
  const kept: (Message | undefined)[] = [];
  if (box.waitingBytes > 0) for (const position of positions) kept.push(await box.waitingAt(position));
  const inLog = new Messages(log);
  const placed: Placed[] = [];
  let text = 0;
  for (let at = 0; at < positions.length && text < textAtOnce; at++) {
    const message = kept[at] ?? inLog.at(positions[at]!);
    placed.push({ message, isKept: kept[at] !== undefined });
    text += textOf(message);
  }
  return placed;
}

/** A walk over single messages, each behind the one before; a chunk that holds several is read once. Not across an await. */
class Messages {
  private readonly log: LogSource;
  private readonly frame = new FrameReader(Buffer.alloc(0));
  private next = 0;
  private end = 0;

  constructor(log: LogSource) {
    this.log = log;
  }

  at(position: number): Message {
    if (position >= this.end) {
      const chunk = this.log.read(position);
      this.next = chunk?.firstPosition ?? Number.POSITIVE_INFINITY;
      this.end = this.next + (chunk?.count ?? 0);
      if (chunk !== undefined) this.frame.over(chunk.frames).at(0);
    }
    for (; this.next < position; this.next++) this.frame.at(this.frame.next);
    const message = this.next === position ? messageIn(this.frame, position) : undefined;
    if (message === undefined) throw new Error(`the log has no message at position ${position}`);
    return message;
  }
}
