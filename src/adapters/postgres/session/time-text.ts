// Times as texts, between us and the server: any year that a timestamptz can hold, also where JavaScript and PostgreSQL write it
// differently (five digits and more, B. C.).

/**
 * A time as every session reads it alike. A Date as a parameter goes out in the process's local time, whose offset the
 * client rounds to minutes: times before the standard zones would be stored some seconds off.
 */
export function timeText(ms: number): string {
  const date = new Date(ms);
  const year = date.getUTCFullYear();
  if (year > 0) return date.toISOString().replace(/^\+/, '');
  return `${String(1 - year).padStart(4, '0')}${date.toISOString().slice(7)} BC`;
}

/** The milliseconds of a time that the server has printed in ISO style, in UTC: of any year that it can hold. NaN: it is none. */
export function timeOf(text: string): number {
  const parts = /^(\d{4,6})(-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?)(?:Z|\+00(?::?00)?)( BC)?$/.exec(text);
  if (!parts) return Date.parse(text);
  const [, digits, rest, isBefore] = parts;
  const year = isBefore ? 1 - Number(digits) : Number(digits);
  const sign = year < 0 ? '-' : '+';
  return Date.parse(`${sign}${String(Math.abs(year)).padStart(6, '0')}${rest!.replace(' ', 'T')}Z`);
}
