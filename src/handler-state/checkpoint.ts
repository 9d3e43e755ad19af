// The checkpoint of a handler as it is kept: how far it has come. Owned by the host thread.
//
// Invariant: a checkpoint never stands ahead of its log: such a handler would pass over events that the log is yet to hold.

import { TrunklineError } from '../base/errors.ts';
import { checked, checkedJson, fits, flag, keptJson, listOf, number, object, optional, text } from '../base/json.ts';

/** Where checkpoints are kept, by the subscription's name. */
export const checkpointTable = 'positions';

/** The checkpoint as JSON. */
export interface CheckpointRecord {
  /** Everything up to here is done. */
  low: number;
  /** First and last position of each done range above it, flat, ascending. */
  done: number[];
  /** The last event handled: its id, and when it had occurred (ISO 8601). */
  lastId?: string;
  lastAt?: string;
  updatedAt: string;
  paused?: boolean;
}

const checkpoint = object<CheckpointRecord>({
  low: number,
  done: listOf(number),
  lastId: optional(text),
  lastAt: optional(text),
  updatedAt: text,
  paused: optional(flag),
});

/** What is kept for a handler; undefined: nothing. @throws RecordInvalid */
export const keptCheckpoint = (value: unknown, handler: string): CheckpointRecord | undefined =>
  value === undefined ? undefined : checkpointOf(value, handler);

/** @throws RecordInvalid */
export const checkpointOf = (value: unknown, handler: string): CheckpointRecord =>
  checked(value, checkpoint, `the checkpoint of '${handler}'`);

/** The same of its JSON. @throws RecordInvalid */
export const checkpointIn = (json: string, handler: string): CheckpointRecord =>
  checkedJson(json, checkpoint, `the checkpoint of '${handler}'`);

/** Of its JSON; undefined: it is not whole, which its handler says by name when it starts. */
export function wholeCheckpoint(json: string, handler: string): CheckpointRecord | undefined {
  try {
    return checkpointIn(json, handler);
  } catch {
    return undefined;
  }
}

const withLow = object<Pick<CheckpointRecord, 'low'>>({ low: number });

/** For readers that pass by: everything up to here is done; 0: it cannot be understood, which its handler says by name. */
export const lowOf = (value: unknown): number => (fits(value, withLow) ? value.low : 0);

/** The same of its JSON. */
export function lowIn(json: string): number {
  try {
    return lowOf(keptJson(json));
  } catch {
    return 0;
  }
}

export const remedy =
  'put a copy of the whole data directory back, or move the handlers folder aside: then subscriptions begin again';

/** @throws LogDamaged: the handler stands ahead of the log */
export function checkReached(
  dataDir: string,
  handler: string,
  { low, done }: CheckpointRecord,
  lastPosition: number,
): void {
  const reached = Math.max(low, done.at(-1) ?? 0);
  if (reached <= lastPosition) return;
  const reason = `it ends at position ${lastPosition}, and handler '${handler}' has come to ${reached} already: log and handlers are not of one copy; ${remedy}`;
  throw new TrunklineError('LogDamaged', { dataDir, reason });
}
