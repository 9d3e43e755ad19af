// Dead letters of messages between aggregates as users have them: `runtime.deadLetters.messages`. Owned by the host thread.

import { checkAggregate, checkDate, checkInteger, invalid } from '../base/checks.ts';
import { dateMs } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { checkedJson, list } from '../base/json.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import { Evolution } from '../model/evolution.ts';
import { type Address, laneOf } from '../wire/message.ts';
import { metadataIn } from '../wire/metadata.ts';
import { isTimer } from '../wire/timer.ts';
import type { LetterError } from './letters.ts';
import type { MessageBox, MessageRecord } from './message-box.ts';

/** Which messages; all conditions must hold. */
export interface MessageLetterQuery {
  /** Type and id of the target. */
  aggregate?: AnyAggregate | string | undefined;
  aggregateId?: string | undefined;
  /** Type and id of the sender. */
  sender?: AnyAggregate | string | undefined;
  senderId?: string | undefined;
  command?: string | undefined;
  reason?: 'failed' | 'behind' | undefined;
  /** Parked so long ago or longer, milliseconds. */
  olderThanMs?: number | undefined;
  /** At most so many; default 1,000. */
  limit?: number | undefined;
}

/** A message that could not be delivered, or that waits behind one of the same sender to the same target. */
export interface MessageLetter {
  /** The message's id. */
  readonly id: string;
  /** `failed`: its attempts are used up. `behind`: an earlier message of its sender to its target has failed. */
  readonly reason: 'failed' | 'behind';
  /** undefined: it is a timer's, or an older release has sent it. */
  readonly sender: Address | undefined;
  readonly target: Address;
  readonly command: string;
  readonly input: readonly unknown[];
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly position: number;
  readonly attempts: number;
  /** What the last attempt came to. */
  readonly error: LetterError | undefined;
  readonly parkedAt: Date;
}

/** What became of a letter. */
export interface MessageLetterOutcome {
  readonly id: string;
  /** `requeued`: it will be delivered, in the order of its sender and target. */
  readonly outcome: 'requeued' | 'discarded';
}

/** What is said to the deliveries of a running runtime. */
export interface LaneControl {
  requeue(lane: string): void;
  /** Letters are in the box no longer, those of this lane among them. */
  discarded(lane: string, ids: ReadonlySet<string>): void;
}

const queryFields = fieldsOf<MessageLetterQuery>({
  aggregate: true,
  aggregateId: 'text',
  sender: true,
  senderId: 'text',
  command: 'text',
  reason: 'text',
  olderThanMs: true,
  limit: true,
});

/** Messages that could not be delivered; see `runtime.deadLetters.messages`. */
export class MessageLetters {
  private readonly box: MessageBox;
  private readonly lanes: LaneControl | undefined;
  private readonly evolution: Evolution;

  /** @internal `lanes`: undefined outside of a running runtime. */
  constructor(box: MessageBox, lanes: LaneControl | undefined, evolution: Evolution = Evolution.none) {
    this.box = box;
    this.evolution = evolution;
    this.lanes = lanes;
  }

  /** In the order of sender, target and message. @throws InvalidOptions */
  async list(query: MessageLetterQuery = {}): Promise<MessageLetter[]> {
    return this.find(query, (record) => this.shown(record));
  }

  /** @throws UnknownDeadLetter */
  async show(id: string): Promise<MessageLetter> {
    return this.shown(await this.one(id));
  }

  /**
   * Deliver them again, those of one sender to one target in order: from the first that failed, and what waits behind it.
   * One by its id, or all that are selected; at once in a running runtime, else at the next start.
   * @throws UnknownDeadLetter, InvalidOptions
   */
  async requeue(which: string | MessageLetterQuery): Promise<MessageLetterOutcome[]> {
    const records = await this.select('requeue', which);
    const lanes = new Set(records.map(({ message }) => laneOf(message)));
    await this.box.inTime(this.box.requeue(lanes, (lane) => this.lanes?.requeue(lane)));
    return records.map(({ message }) => ({ id: message.id, outcome: 'requeued' }));
  }

  /**
   * Give them up permanently. What waits behind a discarded letter is delivered, unless it is discarded too. One that is being
   * delivered again is not tried any further; an attempt that has begun goes on, and what waits behind it waits for its end.
   * @throws UnknownDeadLetter, InvalidOptions
   */
  async discard(which: string | MessageLetterQuery): Promise<MessageLetterOutcome[]> {
    const records = await this.select('discard', which);
    const messages = records.map(({ message }) => message);
    const discarded = await this.box.inTime(
      this.box.discard(messages, (lane, ids) => this.lanes?.discarded(lane, ids)),
    );
    if (typeof which === 'string' && discarded.length === 0) {
      throw new TrunklineError('UnknownDeadLetter', { deadLetter: which });
    }
    return discarded.map(({ id }) => ({ id, outcome: 'discarded' }));
  }

  private async select(what: string, which: string | MessageLetterQuery): Promise<MessageRecord[]> {
    if (typeof which === 'string') return [await this.one(which)];
    checkFields(what, which, queryFields);
    if (Object.keys(which).every((field) => field === 'limit'))
      invalid(what, which, 'must name a message, or select some: {} selects none');
    return this.find(which, (record) => record);
  }

  private async one(id: string): Promise<MessageRecord> {
    const matching = JSON.stringify(String(id));
    for await (const record of this.box.letters((one) => one, '', matching))
      if (record.message.id === id) return record;
    throw new TrunklineError('UnknownDeadLetter', { deadLetter: String(id) });
  }

  private shown(record: MessageRecord): MessageLetter {
    return asLetter(record, ({ aggregateType, aggregateId }) => ({
      aggregateType: this.evolution.todaysType(aggregateType),
      aggregateId,
    }));
  }

  private async find<T>(query: MessageLetterQuery, as: (record: MessageRecord) => T): Promise<T[]> {
    const matches = matcherOf(query, this.evolution);
    const { limit = 1000, aggregateId, senderId } = query;
    const found: T[] = [];
    const id = senderId ?? aggregateId;
    const read = (record: MessageRecord): { as: T } | 'another' => (matches(record) ? { as: as(record) } : 'another');
    for await (const one of this.box.letters(
      read,
      lanesOf(query, this.evolution),
      id === undefined ? '' : JSON.stringify(id),
    )) {
      if (one !== 'another') found.push(one.as);
      if (found.length >= limit) break;
    }
    return found;
  }
}

function matcherOf(query: MessageLetterQuery, evolution: Evolution): (record: MessageRecord) => boolean {
  checkFields('messages', query, queryFields);
  for (const [field, value] of Object.entries(query)) {
    if (value === undefined || value === '') invalid(field, value, 'must say which, or be left out');
  }
  const { aggregate, aggregateId, sender, senderId, command, reason, olderThanMs = 0, limit } = query;
  if (aggregate !== undefined) checkAggregate(aggregate);
  if (sender !== undefined) checkAggregate(sender);
  if (limit !== undefined) checkInteger('limit', limit, 1, 1_000_000);
  if (!(typeof olderThanMs === 'number' && olderThanMs >= 0))
    invalid('olderThanMs', olderThanMs, 'must be milliseconds');
  if (reason !== undefined && reason !== 'failed' && reason !== 'behind') {
    invalid('reason', reason, "must be 'failed' or 'behind'");
  }
  const before = new Date(dateMs() - olderThanMs);
  checkDate('olderThanMs', before);
  const [type, senderType] = [storedType(aggregate, evolution), storedType(sender, evolution)];
  return ({ message, ...record }) => {
    if (type !== undefined && message.aggregateType !== type) return false;
    if (aggregateId !== undefined && message.aggregateId !== aggregateId) return false;
    if (senderType !== undefined && message.sender?.aggregateType !== senderType) return false;
    if (senderId !== undefined && message.sender?.aggregateId !== senderId) return false;
    if (command !== undefined && message.command !== command) return false;
    if (reason !== undefined && record.reason !== reason) return false;
    return olderThanMs === 0 || Date.parse(record.parkedAt) <= before.getTime();
  };
}

/** What the lanes of these messages begin with. */
function lanesOf({ sender, senderId, aggregate, aggregateId }: MessageLetterQuery, evolution: Evolution): string {
  let prefix = '';
  for (const part of [storedType(sender, evolution), senderId, storedType(aggregate, evolution), aggregateId]) {
    if (part === undefined) break;
    prefix += `${part}\0`;
  }
  return prefix;
}

function storedType(aggregate: AnyAggregate | string | undefined, evolution: Evolution): string | undefined {
  const name = typeof aggregate === 'object' ? aggregate.name : aggregate;
  return name && evolution.storedType(name);
}

const asLetter = (
  { message, reason, attempts, error, parkedAt }: MessageRecord,
  nameOf: (address: Address) => Address,
): MessageLetter => ({
  id: message.id,
  reason,
  sender: message.sender && !isTimer(message) ? nameOf(message.sender) : undefined,
  target: nameOf(message),
  command: message.command,
  input: message.inputJson === '' ? [] : checkedJson(message.inputJson, list, 'the input of a message'),
  metadata: metadataIn(message.metadataJson),
  position: message.position,
  attempts,
  error,
  parkedAt: new Date(parkedAt),
});
