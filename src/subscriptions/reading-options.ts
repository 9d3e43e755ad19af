// Options of reading rows and waiting for them, and their checks.

import { checkInteger, invalid } from '../base/checks.ts';
import { checkFields, fieldsOf, taken } from '../base/known-fields.ts';
import { own } from '../base/own.ts';

/** Which keys, in the order of their bytes. */
export interface RangeOptions {
  /** Only keys that begin with it. */
  prefix?: string | undefined;
  /** The first key, inclusive. */
  start?: string | undefined;
  /** The last key, exclusive. */
  end?: string | undefined;
  /** At most so many; default: all. */
  limit?: number | undefined;
}

/** How long to wait. */
export interface WaitOptions {
  /** Milliseconds; default 30,000. */
  timeoutMs?: number | undefined;
  signal?: AbortSignal | undefined;
}

const rangeFields = fieldsOf<RangeOptions>({ prefix: true, start: true, end: true, limit: true });
const waitFields = fieldsOf<WaitOptions>({ timeoutMs: true, signal: true });

/** The range as it is now. @throws InvalidOptions */
export function checkRange(option: string, range: RangeOptions): RangeOptions {
  checkFields(option, range, rangeFields);
  for (const name of ['prefix', 'start', 'end'] as const) {
    const text = own(range, name);
    if (text === undefined) continue;
    if (typeof text !== 'string') invalid(`${option}.${name}`, text, 'must be text');
    // Its bytes would be those of another key.
    if (!text.isWellFormed()) invalid(`${option}.${name}`, text, 'holds a lone surrogate, half a character');
  }
  if (range.limit !== undefined) checkInteger(`${option}.limit`, range.limit, 0, Number.MAX_SAFE_INTEGER);
  return taken(range, rangeFields);
}

/** Its values are checked where the wait begins. @throws InvalidOptions */
export function checkWaitFields(options: WaitOptions): void {
  checkFields('caughtUpTo', options, waitFields);
}
