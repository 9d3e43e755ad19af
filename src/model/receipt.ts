// What a caller gets for a command, and the levels it can wait for.

import { invalid } from '../base/checks.ts';
import { anything, checkedJson, number, object, optional, type Shape, text } from '../base/json.ts';
import { toWire, type WireError, wireError } from '../base/wire-error.ts';
import type { StoredEvent } from './event.ts';

/**
 * How far an event has come, in order. `raised`: in the ring, survives nothing. `written`: committed to the log, survives
 * `kill -9`. `synced`: fsynced, survives power loss. `stored`: committed in the event store. `published`: committed in
 * the stream.
 */
export type Level = 'raised' | 'written' | 'synced' | 'stored' | 'published';

export const levels: readonly Level[] = ['raised', 'written', 'synced', 'stored', 'published'];

/** @throws InvalidOptions */
export function checkLevel(option: string, level: Level): void {
  if (!levels.includes(level)) invalid(option, level, `must be one of ${levels.join(', ')}`);
}

/** The outcome of a command that was not refused. */
export interface Receipt<Value, Event = StoredEvent> {
  /** What the command returned. */
  readonly value: Value;
  /** The aggregate's version after the command. */
  readonly version: number;
  /** Log position of the last event; of a command without events, of the last one before it. 0 while only `raised`. */
  readonly position: number;
  /** The events that the command raised, decoded when first looked at. */
  readonly events: readonly Event[];
  /**
   * Resolves when the level is reached; rejects on `signal`, on close, when the log has failed, and after `waitTimeoutMs` with
   * what holds the level up, or `WaitTimedOut`.
   */
  reached(level: Level, options?: { signal?: AbortSignal | undefined }): Promise<void>;
}

/** What a shard replies to a repeated idempotency key. JSON. */
export interface RepeatedReply {
  value?: unknown;
  /** how many events the first command raised */
  events: number;
}

export const repeatedReply: Shape<RepeatedReply> = object<RepeatedReply>({ value: anything, events: number });

/** A remembered outcome of a command with an idempotency key: the data of a receipt frame. JSON. */
export interface Outcome {
  /** value as JSON, absent for `undefined` */
  value?: unknown;
  error?: WireError;
  /** its name: another command with the same key is a mistake */
  command?: string;
  /** how many events the command raised; they end at the frame's version */
  events: number;
  /** milliseconds, by the clock of keys (`ControlBlock.keyClock`); a message's outcome stays until nothing can deliver it again */
  expiresAt: number;
}

const outcome = object<Outcome>({
  value: anything,
  error: optional(wireError),
  command: optional(text),
  events: number,
  expiresAt: number,
});

/** Of a receipt frame's data. @throws RecordInvalid */
export const outcomeIn = (json: string): Outcome => checkedJson(json, outcome, 'the outcome of a command');

/** For readers of many: a broken one ends none of the others. It never expires, and its error says what is wrong with it. */
export function outcomeOrFault(json: string): Pick<Outcome, 'expiresAt' | 'error'> {
  try {
    return outcomeIn(json);
  } catch (error) {
    return { expiresAt: Number.POSITIVE_INFINITY, error: toWire(error, { aggregateType: '', command: '' }) };
  }
}

/** Idempotency keys of messages begin with this; the message's id follows, and behind U+0001 the name of a timer, if it is one's. */
export const messageKeyPrefix = 'sent\u0001';
const idLength = 36;

export const isMessageKey = (key: string): boolean => key.startsWith(messageKeyPrefix);

export const messageKey = (id: string, timer: string | undefined): string =>
  timer === undefined ? `${messageKeyPrefix}${id}` : `${messageKeyPrefix}${id}\u0001${timer}`;

export function messageInKey(key: string): { id: string; timer: string | undefined } {
  const rest = isMessageKey(key) ? key.slice(messageKeyPrefix.length) : '';
  return { id: rest.slice(0, idLength), timer: rest.slice(idLength + 1) || undefined };
}
