// What handlers have done in transactions of their own, until the checkpoint says so too: one entry a transaction, begun
// with it and removed in the commit of the checkpoint (or of the letter's removal) that covers it. So an event whose effects
// are committed is known as done, whatever is lost afterwards.
import { checked, listOf, number, object, text } from '../base/json.ts';
import type { StoredEvent } from '../model/event.ts';
import { DoneRanges, joinRanges } from './done-ranges.ts';
import type { StateTables } from './handler-state.ts';
import type { Change } from './handler-state-store.ts';
import { wholeOf } from './records.ts';

export const handledTable = 'handled';
const positionDigits = 16;

interface HandledRecord {
  /** First and last position of each run of events, flat, ascending. */
  done: number[];
  /** Id of the first. */
  eventId: string;
}

const handledRecord = object<HandledRecord>({ done: listOf(number), eventId: text });

export const handledPrefix = (handler: string): string => `${handler}\0`;

export function handledKey(handler: string, position: number): string {
  return `${handledPrefix(handler)}${String(position).padStart(positionDigits, '0')}`;
}

/** The entry of a transaction for an event, or for the events of a batch. */
export function handledEntry(handler: string, subject: StoredEvent | readonly StoredEvent[]): Change {
  const events = Array.isArray(subject) ? (subject as readonly StoredEvent[]) : [subject as StoredEvent];
  const done: number[] = [];
  for (const { position } of events) {
    if (done.at(-1) === position - 1) done[done.length - 1] = position;
    else done.push(position, position);
  }
  const record: HandledRecord = { done, eventId: events[0]!.id };
  return { table: handledTable, key: handledKey(handler, events[0]!.position), json: JSON.stringify(record) };
}

const doneIn = (value: unknown): readonly number[] => checked(value, handledRecord, 'what a handler has done').done;

/** A broken record has its first event still, by its key; what else its transaction had done is done again. */
const doneByKey = (key: string): readonly number[] => {
  const position = Number(key.slice(-positionDigits));
  return [position, position];
};

/**
 * What an earlier run has done above `low`: what its checkpoint says, and what it has done in transactions without having
 * said so. That the checkpoint is going to say: then, and not before, `entries` may go. (What it says already belongs to
 * letters, and goes with them.) An event that is handled again by itself is kept from happening twice by its own entry, which
 * its transaction finds; one that comes in another batch than before is so by this reading alone, and no call is made in vain.
 */
export async function doneAbove(
  handlerState: StateTables,
  handler: string,
  low: number,
  done: readonly number[],
): Promise<{ done: number[]; entries: string[] }> {
  const entries: { key: string; done: readonly number[] }[] = [];
  for await (const entry of handlerState.entries(handledTable, { prefix: handledPrefix(handler) })) {
    const { key } = entry;
    entries.push({ key, done: wholeOf(handlerState, handledTable, entry, doneIn) ?? doneByKey(key) });
  }
  const told = new DoneRanges(done); // asked in the order of the keys, which is that of the positions
  const news = entries.filter(({ done: [first] }) => first! > low && !told.has(first!));
  return { done: joinRanges([done, ...news.map((entry) => entry.done)]), entries: news.map(({ key }) => key) };
}
