// The place of a tail, as text that users keep: format, the snapshot that the window begins with, the one it ends with, and
// the last row delivered within it: its number and, since rows may share one, its id. Opaque to them, so that it may change; checked
// when it comes back. A token of an earlier release has no id: it stands behind all rows of its number.
// A snapshot's text: https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT
import { TrunklineError } from '../../../base/errors.ts';
import { shown } from '../../../base/shown.ts';

export interface TailToken {
  /** What had ended in this snapshot has been delivered. */
  readonly from: string;
  /** What has ended in this one is being delivered; undefined: the next window has yet to be opened. */
  readonly to: string | undefined;
  /** Delivered up to here; 0 without an id: nothing of the window yet. */
  readonly sequence: bigint;
  /** Of the last row delivered at `sequence`; '': all rows of that number have been. */
  readonly id: string;
}

/** A token within a window. */
export type Window = TailToken & { readonly to: string };

/** Whether any of its window has been delivered: a row may have the number 0, and then it has an id. */
export const hasBegun = ({ sequence, id }: TailToken): boolean => sequence !== 0n || id !== '';

const beginning: TailToken = { from: '1:1:', to: undefined, sequence: 0n, id: '' };
const snapshot = String.raw`\d{1,20}:\d{1,20}:(?:\d{1,20}(?:,\d{1,20})*)?`;
const place = `(${snapshot});(${snapshot})?;(-?\\d{1,19})`;
const format = new RegExp(`^(?:1;${place}|2;${place};([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}))$`);
/** The column is a bigint, and the server refuses what is none: -2^63 to 2^63 - 1. */
const isSequence = (value: bigint): boolean => BigInt.asIntN(64, value) === value;

export const tokenText = ({ from, to = '', sequence, id }: TailToken): string =>
  id === '' ? `1;${from};${to};${sequence}` : `2;${from};${to};${sequence};${id}`;

export function readToken(text: string | undefined): TailToken {
  if (text === undefined) return beginning;
  const found = ((typeof text === 'string' && format.exec(text)) || []).slice(1);
  const [from, to, sequence] = found[0] === undefined ? found.slice(3) : found;
  const isInRange = sequence !== undefined && isSequence(BigInt(sequence));
  if (from === undefined || !isInRange || !isSound(from) || (to !== undefined && !isSound(to))) {
    const reason = 'must be the token of an event that tailEvents() has given';
    throw new TrunklineError('InvalidOptions', { option: 'from', value: shown(text), reason });
  }
  return { from, to, sequence: BigInt(sequence), id: found[6] ?? '' };
}

/** A snapshot: every transaction before `xmax` had ended, but for those in `xip`. */
export function snapshotOf(text: string): { xmin: bigint; xmax: bigint; xip: string[] } {
  const [xmin, xmax, xip] = text.split(':') as [string, string, string];
  return { xmin: BigInt(xmin), xmax: BigInt(xmax), xip: xip === '' ? [] : xip.split(',') };
}

function isSound(text: string): boolean {
  const { xmin, xmax, xip } = snapshotOf(text);
  return (
    xmin >= 1n && xmin <= xmax && xmax < 2n ** 64n && xip.every((each) => BigInt(each) >= xmin && BigInt(each) < xmax)
  );
}
