// Identifiers: UUIDv7 (RFC 9562), sixteen raw bytes in a frame, text outside. Time-ordered, so that they sort and index
// well; monotonic within a thread by a 12-bit counter, unique across threads by 62 random bits.
import { toBytes } from '../base/bytes.ts';
import { dateMs } from '../base/clock.ts';
import { fillRandom } from '../base/random.ts';

const randomPool = new Uint8Array(8 * 512); // one call into the operating system per 512 ids
let randomUsed = randomPool.length;
let lastMillis = 0;
let counter = 0;

/** Write a new UUIDv7 at `offset`. `now` is milliseconds since 1970; a clock that goes back is ignored. */
export function writeNewId(bytes: Uint8Array, offset: number, now: number): void {
  if (now > lastMillis) {
    lastMillis = now;
    counter = 0;
  } else if (++counter > 0xfff) {
    lastMillis++; // more than 4096 ids in a millisecond: borrow from the next
    counter = 0;
  }
  if (randomUsed === randomPool.length) {
    fillRandom(randomPool);
    randomUsed = 0;
  }
  const high = Math.floor(lastMillis / 0x10000);
  bytes[offset] = high >>> 24;
  bytes[offset + 1] = high >>> 16;
  bytes[offset + 2] = high >>> 8;
  bytes[offset + 3] = high;
  bytes[offset + 4] = lastMillis >>> 8;
  bytes[offset + 5] = lastMillis;
  bytes[offset + 6] = 0x70 | (counter >>> 8);
  bytes[offset + 7] = counter;
  bytes[offset + 8] = 0x80 | (randomPool[randomUsed]! & 0x3f);
  for (let i = 1; i < 8; i++) bytes[offset + 8 + i] = randomPool[randomUsed + i]!;
  randomUsed += 8;
}

/**
 * A new UUIDv7 whose random bits begin with forty of the log's own: its log can tell that it has minted it. 22 bits are left
 * to chance, beside the counter; so one thread of a log mints them.
 */
export function mintId(logId: string): string {
  const id = newId();
  return `${id.slice(0, 24)}${logId.slice(0, 10)}${id.slice(34)}`;
}

/** Whether the log has minted this id at `since` (milliseconds since 1970) or later. */
export function isMintedBy(logId: string, id: string, since: number): boolean {
  if (id.length !== 36 || id.slice(24, 34) !== logId.slice(0, 10) || id[14] !== '7' || !isUuid(id)) return false;
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) >= since;
}

const idText = toBytes(Buffer.alloc(36, '-'));
/** Where the digits of each byte stand in it. */
const idPlaces = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34] as const;
const hexDigits = Buffer.from('0123456789abcdef');

/** Sixteen bytes as text: `019a…-7…`. Called for each event that is decoded: one text is made, and no other. */
export function idToText(bytes: Buffer, offset: number): string {
  for (let i = 0; i < 16; i++) {
    const byte = bytes[offset + i]!;
    const place = idPlaces[i]!;
    idText[place] = hexDigits[byte >> 4]!;
    idText[place + 1] = hexDigits[byte & 15]!;
  }
  return idText.latin1Slice(0, 36);
}

/** Text as sixteen bytes; the text must be a UUID (checked by {@link isUuid}). */
export function writeIdText(bytes: Buffer, offset: number, text: string): void {
  toBytes(bytes).hexWrite(text.replaceAll('-', ''), offset, 16);
}

/** Whether a text is a UUID of any version, in its canonical form. */
export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text);
}

const scratch = Buffer.alloc(16);

/**
 * A new UUIDv7 as text: a good aggregate id, since its order in time keeps the store's indexes compact.
 *
 * ```ts
 * const call = runtime.ref(Call, newId());
 * ```
 */
export function newId(): string {
  writeNewId(scratch, 0, dateMs());
  return idToText(scratch, 0);
}
