// What another process may ask of the owner of a data directory, and how: a file put into a folder, and lines appended to another by
// way of answer. (Only the owner may write, and only it has the handlers' code.)
//
//   handlers/requests/<id>.json     what is asked; removed when it is taken
//   handlers/requests/<id>.answer   JSON lines: { progress } or { working } …, then { result } or { error }
//
// Invariant: a request appears by a rename, so that no reader sees half of one; an answer's line that was cut short is none.

import { join } from 'node:path';
import { TrunklineError } from '../base/errors.ts';
import { parseFields, parseJson } from '../base/foreign-file.ts';
import { fits, object, optional } from '../base/json.ts';
import { shown } from '../base/shown.ts';
import { type WireError, wireError } from '../base/wire-error.ts';
import type { DeadLetterSelection } from '../dead-letters/letter-query.ts';
import type { MessageLetterQuery } from '../dead-letters/message-letters.ts';
import type { ReplayProgress } from '../subscriptions/replay.ts';

/** What may be asked. Times as ISO 8601. */
export type HandlerRequest =
  | { kind: 'requeue' | 'discard'; which: string | DeadLetterSelection; dryRun: boolean }
  | { kind: 'edit'; id: string; data: unknown }
  | { kind: 'messageCounts' }
  /** How the subscriptions of the service are: {@link RunningHandler}, one each. */
  | { kind: 'subscriptions' }
  /** Which shards of the service are down: {@link DownShard}, one each. */
  | { kind: 'shards' }
  | { kind: 'forget'; handler: string; dryRun: boolean }
  | { kind: 'messages'; action: 'requeue' | 'discard'; which: string | MessageLetterQuery }
  | {
      kind: 'replay';
      handler: string;
      from?: number | string;
      to?: number | string;
      types?: string[];
      aggregate?: string;
      aggregateId?: string;
      eventsPerSecond?: number;
      dryRun: boolean;
    };

export type Answer = { progress: ReplayProgress } | { working: true } | { result: unknown } | { error: WireError };

export const requestsFolder = (handlersFolder: string): string => join(handlersFolder, 'requests');
/** What one process may ask of another, an event's data with it; and what it reads of an answer at a time. */
export const REQUEST_BYTES_LIMIT: number = 64 << 20;

const plainKinds: readonly string[] = [
  'requeue',
  'discard',
  'edit',
  'replay',
  'forget',
  'messageCounts',
  'subscriptions',
  'shards',
];

/** @throws InvalidOptions: it is none. What its fields hold is checked where they are used. */
export function requestIn(text: string): HandlerRequest {
  const { kind, action, ...fields } = parseFields(text);
  if (kind === 'messages' && (action === 'requeue' || action === 'discard')) {
    return { kind, action, ...fields } as HandlerRequest;
  }
  if (plainKinds.includes(kind as string)) return { kind, ...fields } as HandlerRequest;
  throw new TrunklineError('InvalidOptions', {
    option: 'request',
    value: shown(kind),
    reason: 'is no kind of request that this release knows',
  });
}

/** An answer that is an error is a whole one. */
const failedAnswer = object<{ error?: WireError }>({ error: optional(wireError) });

/** undefined: it is empty, or was cut short. */
export function answerIn(line: string): Answer | undefined {
  const answer = parseJson(line);
  if (typeof answer !== 'object' || answer === null) return undefined;
  return fits(answer, failedAnswer) ? (answer as Answer) : undefined;
}
