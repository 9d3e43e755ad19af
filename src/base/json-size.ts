// How long a JSON text is without what a database's printing adds, counted without parsing it: a value may take a hundred times the memory
// of its text. Any thread.

/** The longest that JSON.stringify makes of a number: `-1.2345678901234567e-300`, and one more. */
const numberMost = 25;

/** Whether the text has more bytes than `limit` without blanks between its values, and with no number longer than JavaScript writes it. */
export function isLongJson(json: string, limit: number): boolean {
  if (json.length * 3 <= limit) return false;
  const bytes = Buffer.from(json);
  return bytes.length > limit && compactBytes(bytes) > limit;
}

function compactBytes(bytes: Buffer): number {
  const end = bytes.length;
  let count = 0;
  for (let i = 0; i < end; i++) {
    const byte = bytes[i]!;
    if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) continue;
    const start = i;
    if (byte === 0x22) {
      for (i++; i < end && bytes[i] !== 0x22; i++) if (bytes[i] === 0x5c) i++;
      count += i + 1 - start;
    } else if (byte === 0x2d || isDigit(byte)) {
      while (i + 1 < end && isOfNumber(bytes[i + 1]!)) i++;
      count += Math.min(i + 1 - start, numberMost);
    } else {
      count++;
    }
  }
  return count;
}

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;

/** `.`, `e`, `E`, `+`, `-` and digits. */
const isOfNumber = (byte: number): boolean =>
  isDigit(byte) || byte === 0x2e || byte === 0x65 || byte === 0x45 || byte === 0x2b || byte === 0x2d;
