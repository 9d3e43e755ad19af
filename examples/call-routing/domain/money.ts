// Money: decimal text in events, whole micro-units in arithmetic, so that nothing is ever rounded by accident.
import { z } from 'zod';

/** A decimal as text, `-12.34`, with at most six places. */
export type Decimal = string;

const pattern = /^(-?)(\d{1,9})(?:\.(\d{1,6}))?$/;
/** What amounts may add up to: whole micro-units stay exact up to here. */
const sumPattern = /^(-?)(\d{1,10})(?:\.(\d{1,6}))?$/;
export const largestMicros: number = Number.MAX_SAFE_INTEGER;

export const decimal: z.ZodString = z.string().regex(pattern, 'must be a decimal with at most six places');

/** What something costs: never less than nothing, or a call would pay its caller. */
export const price: z.ZodString = z.string().regex(/^\d{1,9}(?:\.\d{1,6})?$/, 'must be a decimal without a sign');

/** @throws RangeError */
export function toMicros(text: Decimal): number {
  return read(text, pattern);
}

/** Of a balance or another sum, which may have grown beyond what one amount may be. @throws RangeError */
export function sumToMicros(text: Decimal): number {
  return read(text, sumPattern);
}

function read(text: Decimal, form: RegExp): number {
  const match = form.exec(text);
  if (!match) throw new RangeError(`'${text}' is not a decimal with at most six places`);
  const micros = Number(match[2]) * 1_000_000 + Number((match[3] ?? '').padEnd(6, '0'));
  return match[1] === '-' && micros !== 0 ? -micros : micros;
}

/** At least two places, no idle zeros after them. */
export function fromMicros(micros: number): Decimal {
  const digits = String(Math.abs(micros)).padStart(7, '0');
  const places = digits.slice(-6).replace(/0{1,4}$/, '');
  return `${micros < 0 ? '-' : ''}${digits.slice(0, -6)}.${places}`;
}

/** What `durationMs` costs, each started second charged, rounded up to a micro-unit. */
export function costMicros(ratePerMinute: Decimal, durationMs: number): number {
  return Math.min(largestMicros, Math.ceil((toMicros(ratePerMinute) * billedSeconds(durationMs)) / 60));
}

export function billedSeconds(durationMs: number): number {
  return Math.max(1, Math.ceil(durationMs / 1_000));
}
