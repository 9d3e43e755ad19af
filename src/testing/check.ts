// Whether a command, or those of timers, came to what a test expects; if not, an error that says both.

import { AssertionError, deepStrictEqual, fail } from 'node:assert/strict';
import { inspect } from 'node:util';
import type { Rejected, TrunklineError } from '../base/errors.ts';
import { userJson } from '../base/json.ts';
import type { StoredEvent } from '../model/event.ts';
import { toJson } from '../wire/payload.ts';
import type { Expected, Outcome } from './contract.ts';
import type { CameTo, Failure } from './course.ts';

export function isErrorClass(value: unknown): value is new (...args: any[]) => Error {
  return typeof value === 'function' && (value === Error || value.prototype instanceof Error);
}

/** @throws AssertionError: it has not come to that. */
export function check<A>(
  expected: Expected<A> | ((...args: any[]) => unknown),
  { outcome, failure, of }: CameTo<A>,
): Outcome<A> {
  if (failure?.isEarlier) throw mismatch(`nothing to fail before this span`, failure, expected);
  if (Array.isArray(expected)) {
    if (failure !== undefined) throw mismatch(`the events ${listOf(expected)}`, failure, expected);
    const events = outcome.events as readonly StoredEvent[];
    const seen = events.map((event, i) =>
      typeof expected[i] === 'object' ? { type: event.type, data: event.data } : event.type,
    );
    deepStrictEqual(seen, expected.map(asRaised));
    return outcome;
  }
  if (failure === undefined) {
    const events = (outcome.events as readonly StoredEvent[]).map((event) => event.type);
    fail(`expected ${of} to fail with ${failureOf(expected)}; events: ${listOf(events)}`);
  }
  const { error } = failure;
  if (isErrorClass(expected)) {
    if (!(error instanceof expected)) throw mismatch(failureOf(expected), failure, expected);
  } else {
    const wanted = expected as Rejected | TrunklineError;
    const seen = error as Rejected | TrunklineError;
    if (!(error instanceof Error) || !('code' in error)) throw mismatch(failureOf(expected), failure, expected);
    deepStrictEqual({ name: seen.name, code: seen.code }, { name: wanted.name, code: wanted.code });
    if (wanted.details !== undefined) deepStrictEqual(seen.details, wanted.details);
  }
  return outcome;
}

/** An expected event, its data as an event has them: without fields that are `undefined`. */
function asRaised(expected: unknown): unknown {
  if (typeof expected !== 'object' || expected === null || !('data' in expected)) return expected;
  return { ...expected, data: userJson(toJson(expected.data, 'data')) };
}

/** A command failed otherwise than expected: says both, and keeps what it failed with as the cause. */
function mismatch(wanted: string, { of, error }: Failure, expected: unknown): AssertionError {
  const message = `expected ${wanted}; ${of} failed with ${failureOf(error)}`;
  return Object.assign(new AssertionError({ message, actual: error, expected, operator: 'then' }), { cause: error });
}

const listOf = (events: readonly (string | { type: string })[]): string =>
  `[${events.map((event) => (typeof event === 'string' ? event : event.type)).join(', ')}]`;

function failureOf(error: unknown): string {
  if (typeof error === 'function') return error.name;
  if (!(error instanceof Error)) return inspect(error);
  if (error instanceof AssertionError) return `${error.name}: ${error.message}`;
  const { name, code, details, message } = error as Error & { code?: unknown; details?: unknown };
  const shown = details === undefined ? '' : ` ${inspect(details)}`;
  return code === undefined ? `${name}: ${message}` : `${name} '${code}'${shown}`;
}
