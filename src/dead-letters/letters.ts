// Dead letters as they are kept: one entry per handler and event, in the order in which the events happened, so that all that
// is parked of one aggregate lies together.

import { isNativeError } from 'node:util/types';
import { TrunklineError } from '../base/errors.ts';
import { checked, flag, number, object, oneOf, optional, type Shape, text } from '../base/json.ts';
import { tame } from '../base/tame.ts';
import { eventOf, type StoredEvent } from '../model/event.ts';
import { Evolution, type WantedNames } from '../model/evolution.ts';
import { asStored, partsOf, today } from '../model/evolved-event.ts';
import { deepFreeze } from '../wire/payload.ts';

export const letterTable = 'dead-letters';
/** Sequences that are being handled again; also after a restart. Key: what their letters' keys begin with. */
export const requeuedTable = 'requeued';

/** Why an event was parked. */
export interface LetterError {
  name: string;
  message: string;
  code?: string | undefined;
  stack: string;
}

/** A dead letter, as JSON. */
export interface LetterRecord {
  handler: string;
  /** `failed`: its attempts are used up. `behind`: an earlier event of its aggregate has failed. */
  reason: 'failed' | 'behind';
  event: ReturnType<StoredEvent['toJSON']> & { id: string; type: string; aggregateType: string; aggregateId: string };
  attempts: number;
  error?: LetterError;
  /** ISO 8601. */
  parkedAt: string;
  edited?: boolean;
}

/** What was wrong, as it is kept. */
export const letterErrorShape: Shape<LetterError> = object<LetterError>({
  name: text,
  message: text,
  code: optional(text),
  stack: text,
});

const event = object<Pick<LetterRecord['event'], 'id' | 'type' | 'aggregateType' | 'aggregateId' | 'position'>>({
  id: text,
  position: number,
  type: text,
  aggregateType: text,
  aggregateId: text,
});

const letter = object<LetterRecord>({
  handler: text,
  reason: oneOf('failed', 'behind'),
  event,
  attempts: number,
  error: optional(letterErrorShape),
  parkedAt: text,
  edited: optional(flag),
});

/** @throws RecordInvalid */
export const letterOf = (value: unknown): LetterRecord => checked(value, letter, 'a dead letter');

/** By the stored name of the type: keys stay when it is renamed. */
export function aggregateKey(event: { aggregateType: string; aggregateId: string }): string {
  const { aggregateType, aggregateId } = asStored(event as StoredEvent);
  return `${aggregateType}\0${aggregateId}`;
}

export const sequencePrefix = (handler: string, aggregate: string): string => `${handler}\0${aggregate}\0`;

export const letterKey = (handler: string, aggregate: string, position: number): string =>
  `${sequencePrefix(handler, aggregate)}${String(position).padStart(16, '0')}`;

/** A letter as users name it; without a position, as long as no other has the event's id: who saves an event in a transaction chooses it. */
export interface NamedLetter {
  readonly handler: string;
  readonly eventId: string;
  readonly position: string | undefined;
}

export const letterId = ({ handler, event }: LetterRecord): string => `${handler}/${event.id}@${event.position}`;

export function namedLetter(id: string): NamedLetter | undefined {
  const at = typeof id === 'string' ? id.lastIndexOf('/') : -1;
  if (at < 1) return undefined;
  const [eventId, position] = id.slice(at + 1).split('@');
  return { handler: id.slice(0, at), eventId: eventId!, position };
}

export const isNamed = ({ eventId, position }: NamedLetter, event: LetterRecord['event']): boolean =>
  event.id === eventId && (position === undefined || String(event.position) === position);

/** `found`: those that it may mean. */
export function unknownLetter(deadLetter: string, found: readonly LetterRecord[] = []): TrunklineError {
  if (found.length === 0) return new TrunklineError('UnknownDeadLetter', { deadLetter });
  const message = `several dead letters have the event id in ${deadLetter}; name one by its whole id: ${found.map(letterId).join(', ')}`;
  return new TrunklineError('UnknownDeadLetter', { deadLetter }, { message });
}

const textLimit = 8192;

export function letterError(error: unknown): LetterError {
  try {
    if (!(error instanceof Error || isNativeError(error)))
      return { name: 'Error', message: tame(error, textLimit), stack: '' };
    const { code } = error as { code?: unknown };
    const told = {
      name: tame(error.name, textLimit),
      message: tame(error.message, textLimit),
      stack: tame(error.stack ?? '', textLimit),
    };
    return typeof code === 'string' ? { ...told, code: tame(code, textLimit) } : told;
  } catch {
    return { name: 'Error', message: 'something that cannot be shown', stack: '' };
  }
}

/** The event in a letter, as a handler sees it: frozen, with `occurredAt` a Date. A letter holds the event as it is stored. */
export function letterEvent(
  { event }: Pick<LetterRecord, 'event'>,
  evolution: Evolution = Evolution.none,
): StoredEvent {
  const stored = storedEvent(event);
  return today(stored, evolution) ?? stored;
}

/** Whether its event means nothing to this release: it is of a retired type, or skipped on purpose. */
export const isPassedOver = ({ event }: Pick<LetterRecord, 'event'>, evolution: Evolution): boolean =>
  today(storedEvent(event), evolution) === undefined;

function storedEvent(event: LetterRecord['event']): StoredEvent {
  const { occurredAt, ...rest } = event as Record<string, unknown>;
  return eventOf({ ...deepFreeze(rest), occurredAt: new Date(occurredAt as string) }) as unknown as StoredEvent;
}

/** By what it is today; one that cannot be read is among none, so that nothing is done to it by mistake. */
export function isAmong(event: StoredEvent, names: WantedNames): boolean {
  try {
    return partsOf(event).some((part) => names.has(part));
  } catch {
    return false;
  }
}
