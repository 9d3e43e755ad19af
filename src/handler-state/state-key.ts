// The keys under which handlers keep something: the bound that each store takes.
import { TrunklineError } from '../base/errors.ts';

const KEY_BYTES_LIMIT = 1000;

/** Keys are bytes: U+0000 is one of them, half a character is none. @throws InvalidId */
export function checkKey(what: string, key: string): void {
  const length = typeof key === 'string' ? Buffer.byteLength(key) : 0;
  const details = { what, length, limit: KEY_BYTES_LIMIT };
  if (length < 1 || length > KEY_BYTES_LIMIT) throw new TrunklineError('InvalidId', details);
  if (key.isWellFormed()) return;
  throw new TrunklineError('InvalidId', { ...details, reason: 'holds a lone surrogate, half a character' });
}
