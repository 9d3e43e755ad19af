// The order of users' keys: by the bytes of their UTF-8, as every store has it. JavaScript compares
// UTF-16 code units, which differ: U+10000 and above would come before U+E000. Any thread.

/** Which keys, in that order. */
interface KeyBounds {
  readonly prefix?: string | undefined;
  /** Inclusive. */
  readonly start?: string | undefined;
  /** Exclusive. */
  readonly end?: string | undefined;
}

/** Negative: `a` comes first. The bytes are not made: UTF-16 has surrogates before U+E000, UTF-8 behind U+FFFF. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [one, other] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (one !== other) return rank(one) - rank(other);
  }
  return a.length - b.length;
}

const rank = (unit: number): number => (unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800);

export function isWithin(key: string, { prefix = '', start, end }: KeyBounds): boolean {
  if (!key.startsWith(prefix)) return false;
  if (start !== undefined && compareKeys(key, start) < 0) return false;
  return end === undefined || compareKeys(key, end) < 0;
}
