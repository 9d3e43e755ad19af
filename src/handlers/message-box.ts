// Dead letters of messages as they are kept: in the tables on this machine, as the log is whose messages they are. One entry
// a message, in the order of lane and position. Owned by the caller's thread.
//
// Invariant: a message is in the box, durably, before the log may forget it; and what has been discarded is remembered for as
// long as the log may still hold it.
import type { KeptLetters, LetterBox, Message, MessageFailure } from '../message.ts';
import { laneOf } from '../message.ts';
import { type LetterError, letterError } from './letters.ts';
import type { Tables } from './tables.ts';

const letterTable = 'message-letters';
/** Lanes that are to be delivered again; also after a restart. */
const requeuedTable = 'message-lanes-requeued';
/** Ids of messages that were given up, with their positions. */
const discardedTable = 'messages-discarded';

const lettersPerPage = 1000;

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

const keyOf = (message: Message): string => `${laneOf(message)}${String(message.position).padStart(16, '0')}`;

export class MessageBox implements LetterBox {
  private readonly tables: Tables;
  private readonly hasTables: () => boolean;

  /** `hasTables`: whether anything has been kept yet; they are not opened to find nothing. */
  constructor(tables: Tables, hasTables: () => boolean) {
    this.tables = tables;
    this.hasTables = hasTables;
  }

  async load(from: number): Promise<KeptLetters> {
    const lanes = new Map<string, number>();
    const resolved = new Set<string>();
    if (!this.hasTables()) return { lanes, requeued: [], resolved };
    for await (const { message } of this.letters()) {
      const lane = laneOf(message);
      lanes.set(lane, (lanes.get(lane) ?? 0) + 1);
      if (message.position >= from) resolved.add(message.id);
    }
    for (const { key, value } of await this.tables.range(discardedTable)) {
      if ((value as { position: number }).position >= from) resolved.add(key);
      else this.tables.stage(discardedTable, key, undefined);
    }
    const requeued = (await this.tables.range(requeuedTable)).map(({ key }) => key);
    return { lanes, requeued, resolved };
  }

  async park(message: Message, failure: MessageFailure | undefined): Promise<void> {
    const before = (await this.tables.get(letterTable, keyOf(message))) as MessageRecord | undefined;
    const record: MessageRecord = {
      message,
      reason: failure ? 'failed' : 'behind',
      attempts: (before?.attempts ?? 0) + (failure?.attempts ?? 0),
      ...(failure && { error: letterError(failure.error) }),
      parkedAt: before?.parkedAt ?? new Date().toISOString(),
    };
    this.tables.stage(letterTable, keyOf(message), record);
    await this.tables.durable();
  }

  async first(lane: string): Promise<Message | undefined> {
    const [entry] = await this.tables.range(letterTable, { prefix: lane, limit: 1 });
    return (entry?.value as MessageRecord | undefined)?.message;
  }

  async remove(message: Message): Promise<void> {
    this.tables.stage(letterTable, keyOf(message), undefined);
    await this.tables.durable();
  }

  async requeue(lanes: Iterable<string>): Promise<void> {
    for (const lane of lanes) this.tables.stage(requeuedTable, lane, true);
    await this.tables.durable();
  }

  async endRequeue(lane: string): Promise<void> {
    this.tables.stage(requeuedTable, lane, undefined);
    await this.tables.durable();
  }

  /** Given up for good; a lane whose first letter now waits behind nothing is delivered again. */
  async discard(messages: readonly Message[]): Promise<void> {
    for (const message of messages) {
      this.tables.stage(letterTable, keyOf(message), undefined);
      this.tables.stage(discardedTable, message.id, { position: message.position });
    }
    for (const lane of new Set(messages.map(laneOf))) {
      const [entry] = await this.tables.range(letterTable, { prefix: lane, limit: 1 });
      const goesOn = (entry?.value as MessageRecord | undefined)?.reason === 'behind';
      if (goesOn) this.tables.stage(requeuedTable, lane, true);
    }
    await this.tables.durable();
  }

  /** A user's change of letters goes on; its caller waits no longer than the bound. @throws WaitTimedOut */
  inTime(work: Promise<void>): Promise<void> {
    return this.tables.inTime('the change of dead letters of messages', work);
  }

  async *letters(): AsyncIterable<MessageRecord> {
    for (let start = ''; ; ) {
      const page = await this.tables.range(letterTable, { start, limit: lettersPerPage });
      for (const { value } of page) yield value as MessageRecord;
      if (page.length < lettersPerPage) return;
      start = `${page.at(-1)!.key}\0`;
    }
  }
}
