// Dead letters of messages as they are kept, and messages that wait for delivery where the log has no room for them: in the
// tables on this machine, as the log is whose messages they are. One entry a message: dead letters in the order of lane and
// position, those that wait in the order of the log. Owned by the host thread.
//
// Invariants: a message is in the box, durably, before the log may forget it; and what has been discarded is remembered for as
// long as the log may still hold it. A message either waits or is a dead letter: it changes from one to the other in one
// commit. What is counted here changes in the turn in which it is staged.

import { dateMs } from '../base/clock.ts';
import { checked, number, object, oneOf, optional, text } from '../base/json.ts';
import type { StateTables } from '../handler-state/handler-state.ts';
import { firstRecord, recordAt, recordsOf, wholeOf } from '../handler-state/records.ts';
import { SerialChanges } from '../handler-state/serial-changes.ts';
import { TimerTables } from '../timers/timer-tables.ts';
import {
  type KeptLetters,
  type LetterBox,
  laneOf,
  type Message,
  type MessageFailure,
  messageOf,
  messageShape,
  noLetters,
} from '../wire/message.ts';
import { isTimer } from '../wire/timer.ts';
import { type LetterError, letterError, letterErrorShape } from './letters.ts';

const letterTable = 'message-letters';
/** Lanes that are to be delivered again; also after a restart. */
const requeuedTable = 'message-lanes-requeued';
/** Messages that wait for delivery, by position: no dead letters. */
const waitingTable = 'messages-waiting';
/** Ids of messages that were given up, with their positions. */
const discardedTable = 'messages-discarded';

/** A dead letter, as JSON. */
export interface MessageRecord {
  message: Message;
  /** `failed`: its attempts are used up. `behind`: an earlier message of its lane has failed. */
  reason: 'failed' | 'behind';
  attempts: number;
  error?: LetterError;
  /** ISO 8601. */
  parkedAt: string;
}

const messageRecord = object<MessageRecord>({
  message: messageShape,
  reason: oneOf('failed', 'behind'),
  attempts: number,
  error: optional(letterErrorShape),
  parkedAt: text,
});
const recordIn = (value: unknown): MessageRecord => checked(value, messageRecord, 'a dead letter of a message');
const discarded = object<{ position: number }>({ position: number });
const positionIn = (value: unknown): number => checked(value, discarded, 'a message that was given up').position;

const positionKey = (position: number): string => String(position).padStart(16, '0');
const keyOf = (message: Message): string => `${laneOf(message)}${positionKey(message.position)}`;
/** What a message that waits takes here; at least so much beside its texts. */
const waitingBytesLeast = 256;
const waitingBytesOf = ({ inputJson, metadataJson }: Message): number =>
  waitingBytesLeast + Buffer.byteLength(inputJson) + Buffer.byteLength(metadataJson);

export class MessageBox implements LetterBox {
  total = 0;
  private readonly handlerState: StateTables;
  private readonly hasTables: () => boolean;
  /** How many letters each lane has. */
  private readonly counts = new Map<string, number>();
  /** Open requests to deliver a lane again, by lane. */
  private readonly requests = new Map<string, number>();
  private lastRequest = 0;
  waitingBytes = 0;
  private readonly changes: SerialChanges;
  /** Pending timers: one that is due is a message. */
  readonly timers: TimerTables;

  /** `hasTables`: whether anything has been kept yet; they are not opened to find nothing. */
  constructor(handlerState: StateTables, hasTables: () => boolean) {
    this.handlerState = handlerState;
    this.hasTables = hasTables;
    this.changes = new SerialChanges(handlerState);
    this.timers = new TimerTables(handlerState, hasTables, this.changes, (message) => this.givenUp(message));
  }

  count(lane: string): number {
    return this.counts.get(lane) ?? 0;
  }

  requested(): readonly string[] {
    return [...this.requests.keys()];
  }

  requestOf(lane: string): number | undefined {
    return this.requests.get(lane);
  }

  /** May be called again where it has failed. */
  async load(from: number, carriedOut: Pick<ReadonlySet<string>, 'has'>): Promise<KeptLetters> {
    const kept = noLetters();
    if (!this.hasTables()) return kept;
    this.forgetAll();
    for await (const message of this.letters((record) => record.message)) {
      this.counted(laneOf(message), 1);
      if (message.position >= from) kept.resolved.add(message.id);
      if (carriedOut.has(message.id)) {
        this.request(laneOf(message));
        kept.carriedOut.push(laneOf(message));
      }
    }
    for await (const entry of this.handlerState.entries(discardedTable)) {
      const { key } = entry;
      // Of a broken one the log may still hold the message.
      const position = wholeOf(this.handlerState, discardedTable, entry, positionIn) ?? from;
      if (position >= from) kept.resolved.add(key);
      else this.handlerState.stage(discardedTable, key, undefined);
    }
    for await (const { key } of this.handlerState.entries(requeuedTable)) this.requests.set(key, ++this.lastRequest);
    for await (const { record } of recordsOf(this.handlerState, waitingTable, messageOf)) {
      this.waitingBytes += waitingBytesOf(record);
      kept.waiting++;
    }
    return kept;
  }

  private forgetAll(): void {
    for (const all of [this.counts, this.requests]) all.clear();
    this.total = 0;
    this.waitingBytes = 0;
  }

  keep<Of extends { readonly message: Message }>(some: readonly Of[], begun: (one: Of) => boolean): Promise<void> {
    return this.changes.durablyInTheEnd(async () => {
      for (const one of some) {
        if (!begun(one)) continue;
        this.handlerState.stage(waitingTable, positionKey(one.message.position), one.message);
        this.waitingBytes += waitingBytesOf(one.message);
      }
    });
  }

  release(message: Message): Promise<void> {
    return this.changes.durablyInTheEnd(async () => this.waitsNoMore(message));
  }

  private waitsNoMore(message: Message): void {
    this.handlerState.stage(waitingTable, positionKey(message.position), undefined);
    this.waitingBytes -= waitingBytesOf(message);
  }

  async waitingFrom(position: number, most: number): Promise<Message[]> {
    const found: Message[] = [];
    const options = { start: positionKey(position), first: most };
    for await (const { record } of recordsOf(this.handlerState, waitingTable, messageOf, options)) {
      found.push(record);
      if (found.length === most) break;
    }
    return found;
  }

  waitingAt(position: number): Promise<Message | undefined> {
    return recordAt(this.handlerState, waitingTable, positionKey(position), messageOf);
  }

  park(message: Message, failure: MessageFailure | undefined, isLetter: boolean, isWaiting = false): Promise<boolean> {
    const lane = laneOf(message);
    return this.changes.durablyInTheEnd(async () => {
      const before = await this.recordOf(message);
      // Looked up here, so that both change in one commit.
      const pending = isTimer(message) ? await this.timers.of(message) : undefined;
      if (before === undefined && (isLetter || (failure === undefined && this.count(lane) === 0))) return false;
      const record: MessageRecord = {
        message,
        reason: failure ? 'failed' : 'behind',
        attempts: (before?.attempts ?? 0) + (failure?.attempts ?? 0),
        ...(failure && { error: letterError(failure.error) }),
        parkedAt: before?.parkedAt ?? new Date(dateMs()).toISOString(),
      };
      this.handlerState.stage(letterTable, keyOf(message), record);
      if (pending !== undefined) this.timers.unstage(pending);
      if (isWaiting && !isTimer(message)) this.waitsNoMore(message);
      if (before === undefined) this.counted(lane, 1);
      return true;
    });
  }

  async first(lane: string): Promise<Message | undefined> {
    return (await this.firstRecord(lane))?.message;
  }

  async remove(message: Message): Promise<void> {
    await this.changes.durablyInTheEnd(() => this.take(message));
  }

  /** `begun` is called for each of the lanes, in the turn in which its request is open. */
  requeue(lanes: Iterable<string>, begun: (lane: string) => void): Promise<void> {
    return this.changes.durably(async () => {
      for (const lane of lanes) {
        this.request(lane);
        begun(lane);
      }
    });
  }

  endRequeue(lane: string, request: number): Promise<void> {
    return this.changes.durablyInTheEnd(async () => {
      if (this.requests.get(lane) !== request) return;
      this.requests.delete(lane);
      this.handlerState.stage(requeuedTable, lane, undefined);
    });
  }

  /**
   * Given up permanently; a lane whose first letter now waits behind nothing is delivered again. Returns those that were still
   * letters; `begun` is called for each of their lanes, in the turn in which they are so no longer.
   */
  discard(
    messages: readonly Message[],
    begun: (lane: string, ids: ReadonlySet<string>) => void,
  ): Promise<readonly Message[]> {
    return this.changes.durably(async () => {
      const discarded: Message[] = [];
      for (const message of messages) {
        if (!(await this.take(message))) continue;
        this.givenUp(message);
        discarded.push(message);
      }
      const ids = new Set(discarded.map(({ id }) => id));
      for (const lane of new Set(discarded.map(laneOf))) {
        if ((await this.firstRecord(lane))?.reason === 'behind') this.request(lane);
        begun(lane, ids);
      }
      return discarded;
    });
  }

  private givenUp({ id, position }: Message): void {
    this.handlerState.stage(discardedTable, id, { position });
  }

  private async take(message: Message): Promise<boolean> {
    if ((await this.recordOf(message)) === undefined) return false;
    this.handlerState.stage(letterTable, keyOf(message), undefined);
    this.counted(laneOf(message), -1);
    return true;
  }

  private request(lane: string): void {
    this.requests.set(lane, ++this.lastRequest);
    this.handlerState.stage(requeuedTable, lane, true);
  }

  private counted(lane: string, change: 1 | -1): void {
    const count = Math.max(0, this.count(lane) + change); // another process's box has counted nothing
    this.total = Math.max(0, this.total + change);
    if (count > 0) this.counts.set(lane, count);
    else this.counts.delete(lane);
  }

  private recordOf(message: Message): Promise<MessageRecord | undefined> {
    return recordAt(this.handlerState, letterTable, keyOf(message), recordIn);
  }

  private async firstRecord(lane: string): Promise<MessageRecord | undefined> {
    return (await firstRecord(this.handlerState, letterTable, lane, recordIn))?.record;
  }

  /** A user's change of letters goes on; its caller waits no longer than the bound. @throws WaitTimedOut */
  inTime<T>(work: Promise<T>): Promise<T> {
    return this.handlerState.inTime('the change of dead letters of messages', work);
  }

  /**
   * What `read` makes of letters; one of which it makes nothing is broken. `prefix`: what the lanes begin with. `matching`: a part
   * of the JSON of those that are looked for.
   */
  async *letters<T>(read: (record: MessageRecord) => T, prefix = '', matching = ''): AsyncGenerator<T> {
    const options = { prefix, matching };
    const readOne = (value: unknown): T => read(recordIn(value));
    for await (const { record } of recordsOf(this.handlerState, letterTable, readOne, options)) yield record;
  }
}
