// A durable timer: a command that an aggregate sends itself, to be carried out from a date on. What its frames say.
//
// A timer's frame has kind `timer`, the aggregate that has set it, and in `version` what it does:
//
//   set      name = command U+0000 name of the timer (empty: it has none)   occurredAt = when it is due   data = arguments
//   cancel   name = U+0000 name of the timer                                data = empty
//
// A timer with the name of a pending one of its aggregate replaces that. Once it is due it is a message of its aggregate to itself:
// what is known of messages (one execution, attempts, dead letters) holds for it.
import { FrameKind, type FrameReader } from './frame.ts';
import { type Address, laneOf, type Message } from './message.ts';

export const TimerFrame = { set: 0, cancel: 1 } as const;

export interface Timer {
  readonly message: Message;
  /** Milliseconds since 1970. */
  readonly dueMs: number;
}

/** What a frame changes. */
export interface TimerChange {
  /** Of an aggregate's timers those of one name have one key: the lane of their messages. */
  readonly key: string;
  readonly position: number;
  /** undefined: it is cancelled. */
  readonly timer: Timer | undefined;
}

/** Where a message names its sender: no aggregate type is empty. Behind U+0001, which no name holds, stands the id of one without a name. */
const senderType = '';
const unnamed = '\u0001';

const senderOf = (name: string, id: string): Address => ({
  aggregateType: senderType,
  aggregateId: name === '' ? `${unnamed}${id}` : name,
});

/** Of a message that a schedule sends, by the message's id: as of a timer without a name. */
export const scheduleSender = (id: string): Address => senderOf('', id);

export const isTimer = ({ sender }: Message): boolean => sender?.aggregateType === senderType;

/** undefined: it has none, or the message is no timer's. */
export function timerName({ sender }: Message): string | undefined {
  if (sender?.aggregateType !== senderType || sender.aggregateId.startsWith(unnamed)) return undefined;
  return sender.aggregateId;
}

export const timerFrameName = (command: string, name: string): string => `${command}\0${name}`;

/** Of a frame of kind `timer`; undefined: it is something else. */
export function timerChangeIn(frame: FrameReader, position: number): TimerChange | undefined {
  if (frame.kind !== FrameKind.timer) return undefined;
  const { name: both, aggregateType, aggregateId, id } = frame;
  const at = both.indexOf('\0');
  const sender = senderOf(both.slice(at + 1), id);
  const key = laneOf({ sender, aggregateType, aggregateId });
  if (frame.version === TimerFrame.cancel) return { key, position, timer: undefined };
  const command = both.slice(0, at);
  const { dataJson: inputJson, metadataJson, occurredAt: dueMs } = frame;
  const message: Message = { id, position, sender, aggregateType, aggregateId, command, inputJson, metadataJson };
  return { key, position, timer: { message, dueMs } };
}
