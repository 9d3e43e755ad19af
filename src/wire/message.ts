// A message: a command that one aggregate sends another. What its frame says, and the contract of the place where messages
// lie that could not be delivered. Messages of one sender to one target form a lane, and are carried out in its order.
import { checked, number, object, optional, type Shape, text } from '../base/json.ts';
import { FrameKind, type FrameReader } from './frame.ts';

/** An aggregate, by its names. */
export interface Address {
  readonly aggregateType: string;
  readonly aggregateId: string;
}

/** How many messages between aggregates there are. */
export interface MessageCounts {
  /** Neither carried out nor among the dead letters; like the next two known to a running service alone. */
  readonly underWay?: number;
  /** Since the start: refused by their targets; given up after their attempts. */
  readonly refused?: number;
  readonly failed?: number;
  readonly deadLetters: number;
}

export interface Message extends Address {
  readonly id: string;
  readonly position: number;
  /** undefined: an older release has written it. */
  readonly sender: Address | undefined;
  readonly command: string;
  readonly inputJson: string;
  readonly metadataJson: string;
}

const address = object<Address>({ aggregateType: text, aggregateId: text });

export const messageShape: Shape<Message> = object<Message>({
  aggregateType: text,
  aggregateId: text,
  id: text,
  position: number,
  sender: optional(address),
  command: text,
  inputJson: text,
  metadataJson: text,
});

/** @throws RecordInvalid */
export const messageOf = (value: unknown): Message => checked(value, messageShape, 'a message that waits');

/**
 * The name of a frame that goes from one aggregate to another: the command, then those it comes from, the nearest one last,
 * each after U+0000, which no name and no id holds.
 */
export const nameWithSenders = (command: string, senders: readonly Address[]): string =>
  senders.reduce((name, { aggregateType, aggregateId }) => `${name}\0${aggregateType}\0${aggregateId}`, command);

export function sendersIn(name: string): { command: string; senders: Address[] } {
  const [command = '', ...rest] = name.split('\0');
  const senders: Address[] = [];
  for (let i = 0; i + 1 < rest.length; i += 2) senders.push({ aggregateType: rest[i]!, aggregateId: rest[i + 1]! });
  return { command, senders };
}

/** undefined: the frame is something else. */
export function messageIn(frame: FrameReader, position: number): Message | undefined {
  if (frame.kind !== FrameKind.message) return undefined;
  const { command, senders } = sendersIn(frame.name);
  return {
    id: frame.id,
    position,
    sender: senders.at(-1),
    aggregateType: frame.aggregateType,
    aggregateId: frame.aggregateId,
    command,
    inputJson: frame.dataJson,
    metadataJson: frame.metadataJson,
  };
}

/** What the keys of a lane's letters begin with. */
export function laneOf({ sender, aggregateType, aggregateId }: Pick<Message, 'sender' | keyof Address>): string {
  const { aggregateType: type = '', aggregateId: id = '' } = sender ?? {};
  return `${type}\0${id}\0${aggregateType}\0${aggregateId}\0`;
}

/** The end of a lane's key: type and id of its target, each before U+0000. */
export const targetOf = (lane: string): string => lane.split('\0').slice(2).join('\0');

/** As if nothing had been kept. */
export const noLetters = (): {
  carriedOut: string[];
  resolved: Set<string>;
  waiting: number;
} => ({ carriedOut: [], resolved: new Set(), waiting: 0 });

/** Why a message lies among the dead letters. */
export interface MessageFailure {
  readonly error: unknown;
  readonly attempts: number;
}

/** Who hears of messages that were not carried out. */
export interface DeliveryEvents {
  /** Its target refused it: an outcome, and the end of it. */
  refused(message: Message, error: unknown): void;
  /** It lies among the dead letters now; `failure` undefined: behind another. */
  parked(message: Message, failure: MessageFailure | undefined): void;
  /** It has been pushed back for a while, and holds the log. */
  heldUp(message: Message, error: unknown): void;
}

/** What an earlier run has left in a {@link LetterBox}. */
export interface KeptLetters {
  /** Lanes that have a letter with an outcome in the log. */
  readonly carriedOut: readonly string[];
  /** Messages that the log may still hold, and that are not to be delivered from there. */
  readonly resolved: ReadonlySet<string>;
  /** How many messages are kept here for delivery; the log may hold them, too. */
  readonly waiting: number;
}

/**
 * Where dead letters of messages are kept, and messages that wait for delivery while the log has no room for them. A method
 * resolves once its change is durable: the box repeats a commit that fails, until it succeeds or the runtime is closed
 * (`RuntimeClosed`). The counts include changes that are not durable yet.
 */
export interface LetterBox {
  /** Letters in all. */
  readonly total: number;
  /** Letters of a lane. */
  count(lane: string): number;
  /** Lanes whose letters are to be delivered again, by now. */
  requested(): readonly string[];
  /** Which request to deliver the lane's letters again is open; undefined: none. A later request has a higher number. */
  requestOf(lane: string): number | undefined;
  /** `from`: the first position that the log may deliver again. `carriedOut`: messages that have an outcome in the log. */
  load(from: number, carriedOut: Pick<ReadonlySet<string>, 'has'>): Promise<KeptLetters>;
  /** Bytes of the messages that wait here: JSON of input and metadata, and some for each message. */
  readonly waitingBytes: number;
  /** They wait here from now on. `begun` is asked of each in the turn in which it is staged; false: that one does not. */
  keep<Of extends { readonly message: Message }>(some: readonly Of[], begun: (one: Of) => boolean): Promise<void>;
  /** Those that wait here from a position on, in log order, so many at most. */
  waitingFrom(position: number, most: number): Promise<Message[]>;
  /** undefined: it does not wait here. */
  waitingAt(position: number): Promise<Message | undefined>;
  /** One that waits here has an outcome, and waits no longer. */
  release(message: Message): Promise<void>;
  /**
   * The message becomes a dead letter, and waits here no longer, if it does (`isWaiting`). `failure` undefined: it only waits
   * behind a letter of its lane. Resolves to false, and changes nothing, where the lane has no such letter any more, or where
   * the message was a letter before (`isLetter`) and has been discarded since.
   */
  park(message: Message, failure: MessageFailure | undefined, isLetter: boolean, isWaiting?: boolean): Promise<boolean>;
  /** The first letter of a lane. */
  first(lane: string): Promise<Message | undefined>;
  remove(message: Message): Promise<void>;
  /** The lane's letters are no longer to be delivered again, unless that has been requested again since. */
  endRequeue(lane: string, request: number): Promise<void>;
}
