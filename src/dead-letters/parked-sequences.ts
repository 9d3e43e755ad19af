// What is parked of one subscription: which aggregates, and how many dead letters. Owned by the host thread.
//
// Invariants: an event enters the dead letters in the same commit that marks it as done in the checkpoint, and leaves them in
// the same commit as its effects; so no crash loses one or parks it twice. The letters of one aggregate leave in order.

import { dateMs } from '../base/clock.ts';
import { handledKey, handledTable } from '../handler-state/completion-records.ts';
import type { StateTables } from '../handler-state/handler-state.ts';
import { firstRecord, recordsOf } from '../handler-state/records.ts';
import type { StoredEvent } from '../model/event.ts';
import { asStored } from '../model/evolved-event.ts';
import {
  aggregateKey,
  type LetterRecord,
  letterError,
  letterKey,
  letterOf,
  letterTable,
  requeuedTable,
  sequencePrefix,
} from './letters.ts';

interface Sequence {
  /** Positions of the letters. */
  readonly letters: Set<number>;
  /** No letter lies before `first` or behind `last`. */
  first: number;
  last: number;
}

export interface DeadLetterRecord {
  key: string;
  record: LetterRecord;
}

export class ParkedSequences {
  private readonly handler: string;
  private readonly handlerState: StateTables;
  private readonly sequences = new Map<string, Sequence>();
  /** Letters in all. */
  count = 0;

  constructor(handler: string, handlerState: StateTables) {
    this.handler = handler;
    this.handlerState = handlerState;
  }

  /** Read what an earlier run has parked; returns the aggregates that were being handled again. */
  async load(): Promise<string[]> {
    const prefix = `${this.handler}\0`;
    for await (const { record } of recordsOf(this.handlerState, letterTable, letterOf, { prefix })) {
      const { event } = record;
      this.add(aggregateKey(event), event.position as number);
    }
    const requeued: string[] = [];
    for await (const { key } of this.handlerState.entries(requeuedTable, { prefix })) {
      requeued.push(key.slice(this.handler.length + 1, -1));
    }
    return requeued;
  }

  get isEmpty(): boolean {
    return this.count === 0;
  }

  has(aggregate: string): boolean {
    return this.sequences.has(aggregate);
  }

  /** Where an event stands to what is parked of its aggregate. */
  placeOf(aggregate: string, position: number): 'before' | 'parked' | 'behind' | 'free' {
    const sequence = this.sequences.get(aggregate);
    if (sequence === undefined) return 'free';
    if (position < sequence.first) return 'before';
    return position <= sequence.last ? 'parked' : 'behind';
  }

  /** Stage a letter: the caller completes the event in the same turn. */
  park(event: StoredEvent, failure: { error: unknown; attempts: number } | undefined): void {
    const aggregate = aggregateKey(event);
    const record: LetterRecord = {
      handler: this.handler,
      reason: failure ? 'failed' : 'behind',
      event: asStored(event).toJSON() as LetterRecord['event'],
      attempts: failure?.attempts ?? 0,
      parkedAt: new Date(dateMs()).toISOString(),
      ...(failure && { error: letterError(failure.error) }),
    };
    this.handlerState.stage(letterTable, letterKey(this.handler, aggregate, event.position), record);
    this.add(aggregate, event.position);
  }

  /** The first letter of an aggregate; undefined if nothing is parked of it. */
  first(aggregate: string): Promise<DeadLetterRecord | undefined> {
    return firstRecord(this.handlerState, letterTable, sequencePrefix(this.handler, aggregate), letterOf);
  }

  /** It has been tried again, in vain. */
  failedAgain({ key, record }: DeadLetterRecord, error: unknown, attempts: number): void {
    const failed = { ...record, reason: 'failed', error: letterError(error), attempts: record.attempts + attempts };
    this.handlerState.stage(letterTable, key, failed);
    this.handlerState.stage(requeuedTable, sequencePrefix(this.handler, aggregateKey(record.event)), undefined);
  }

  /** Handled, or discarded; again, if both at once: that changes nothing. */
  remove({ key, record }: DeadLetterRecord): void {
    const aggregate = aggregateKey(record.event);
    const sequence = this.sequences.get(aggregate);
    this.handlerState.stage(letterTable, key, undefined);
    this.handlerState.stage(handledTable, handledKey(this.handler, record.event.position as number), undefined);
    const position = record.event.position as number;
    if (!sequence?.letters.delete(position)) return;
    this.count--;
    if (position === sequence.first) sequence.first = position + 1;
    if (sequence.letters.size > 0) return;
    this.sequences.delete(aggregate);
    this.handlerState.stage(requeuedTable, sequencePrefix(this.handler, aggregate), undefined);
  }

  private add(aggregate: string, position: number): void {
    const sequence = this.sequences.get(aggregate) ?? { letters: new Set(), first: position, last: position };
    this.sequences.set(aggregate, sequence);
    if (sequence.letters.has(position)) return;
    sequence.letters.add(position);
    this.count++;
    sequence.first = Math.min(sequence.first, position);
    sequence.last = Math.max(sequence.last, position);
  }
}
