// The one reader of text that others can write or change: files of the data directory that people edit, archives, files and
// standard input of the command line, answers of HTTP servers. Any thread.
//
// - Everything has a bound: bytes of a file, bytes of a line, bytes in all, and how much larger a compressed file may become.
// - Bytes that are no UTF-8 are refused. JSON that is nested too deep for the stack of its readers is none.
// - Errors come by exception or by promise, never by an event of a stream: nothing listens to a stream once it has been read.
// - `__proto__` in JSON becomes a property of that name (JSON.parse defines it). Readers take fields by their names or by
//   `own`, and assign none in a loop: so no prototype is changed.
//
// `test/foreign-file.test.ts` holds that src reads such text in no other way.
import { isUtf8 } from 'node:buffer';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { closeSync, constants, createReadStream, fstatSync, open, openSync, readSync, type Stats } from './disk.ts';
import { TrunklineError } from './errors.ts';
import { DEPTH_LIMIT, depthOf } from './json-depth.ts';

/** What small files of ours (markers, notes, secrets) may take: far more than they do. */
export const NOTE_BYTES_LIMIT: number = 1 << 20;

/** Objects and lists of ours around a payload, which may be nested as deep as it may. */
const depthAround = 8;
const lineFeed = 10;
const pieceBytes = 64 << 10;
/**
 * Neither through a symbolic link that another user has put there, nor waiting for a writer of a pipe. (0 where
 * the platform lacks the flag.)
 */
const readFlags: number = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

interface Refusal {
  line?: number;
  limit?: number;
}

/** A refusal of a file, or of what is read like one. */
export function refused(file: string, reason: string, { line, limit }: Refusal = {}, cause?: unknown): TrunklineError {
  const details = { file, ...(line !== undefined && { line }), ...(limit !== undefined && { limit }), reason };
  return new TrunklineError('FileRefused', details, cause === undefined ? undefined : { cause });
}

/** JSON; undefined: it is none, or nested too deep to be walked. */
export function parseJson(text: string): unknown {
  if (text.length > DEPTH_LIMIT && depthOf(text) > DEPTH_LIMIT + depthAround) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The fields of a JSON object; none if it is something else. */
export const parseFields = (text: string): Readonly<Record<string, unknown>> => fieldsIn(parseJson(text));

/** The same, however deep what they hold is nested: for who takes some of them, and walks through none. */
export function topFields(text: string): Readonly<Record<string, unknown>> {
  try {
    return fieldsIn(JSON.parse(text));
  } catch {
    return {};
  }
}

const fieldsIn = (parsed: unknown): Readonly<Record<string, unknown>> =>
  typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {};

/** A file's text, whole; undefined: there is none. @throws FileRefused, errors of the file system */
export function readText(file: string, bytesMost: number = NOTE_BYTES_LIMIT): string | undefined {
  const bytes = readBytes(file, bytesMost);
  return bytes && textIn(bytes, file);
}

/** From `offset` to the end of a file. @throws FileRefused, errors of the file system */
export function readBytes(file: string, bytesMost: number, offset = 0): Buffer | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(file, readFlags);
  } catch (error) {
    return absent(file, error);
  }
  try {
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) throw notRegular(file, stats);
    const gathered = new Gathered(file, bytesMost);
    for (;;) {
      const piece = Buffer.allocUnsafe(pieceBytes);
      const count = readSync(descriptor, piece, 0, pieceBytes, offset + gathered.held);
      if (count === 0) return gathered.whole();
      gathered.add(piece.subarray(0, count));
    }
  } finally {
    closeSync(descriptor);
  }
}

/** As `readText`, without blocking the thread. @throws FileRefused, errors of the file system */
export async function readTextLater(file: string, bytesMost: number): Promise<string | undefined> {
  const handle = await open(file, readFlags).catch((error: unknown) => absent(file, error));
  if (handle === undefined) return undefined;
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw notRegular(file, stats);
    const gathered = new Gathered(file, bytesMost);
    for (;;) {
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(pieceBytes), 0, pieceBytes, gathered.held);
      if (bytesRead === 0) return textIn(gathered.whole(), file);
      gathered.add(buffer.subarray(0, bytesRead));
    }
  } finally {
    await handle.close();
  }
}

/** All that comes from a stream (standard input, an HTTP body). It is given up where there is too much. @throws FileRefused */
export async function collectText(
  source: AsyncIterable<Uint8Array>,
  name: string,
  bytesMost: number = NOTE_BYTES_LIMIT,
): Promise<string> {
  const gathered = new Gathered(name, bytesMost);
  for await (const piece of source) gathered.add(piece);
  return textIn(gathered.whole(), name);
}

class Gathered {
  held = 0;
  private readonly pieces: Uint8Array[] = [];
  private readonly name: string;
  private readonly bytesMost: number;

  constructor(name: string, bytesMost: number) {
    this.name = name;
    this.bytesMost = bytesMost;
  }

  add(piece: Uint8Array): void {
    this.held += piece.length;
    if (this.held > this.bytesMost) {
      throw refused(this.name, `is larger than ${this.bytesMost} bytes`, { limit: this.bytesMost });
    }
    this.pieces.push(piece);
  }

  whole(): Buffer {
    return Buffer.concat(this.pieces);
  }
}

/** What reading a compressed file may cost. */
export interface UnpackLimits {
  /** Bytes of all that comes out of it. */
  readonly totalBytes: number;
  /** How many times as large as the file that may be; asked from `ratioFromBytes` on. */
  readonly ratio: number;
}

const ratioFromBytes = 256 << 20;

/** The bytes of a file through a decompressor, within limits. @throws FileRefused, errors of the file system and of the format */
export async function* unpacked(
  file: string,
  through: Duplex,
  { totalBytes, ratio }: UnpackLimits,
): AsyncGenerator<Buffer> {
  const input = createReadStream(file);
  const piped = pipeline(input, through);
  piped.catch(() => {}); // who reads `through` gets the error
  let held = 0;
  try {
    for await (const piece of through as AsyncIterable<Buffer>) {
      held += piece.length;
      if (held > totalBytes)
        throw refused(file, `holds more than ${totalBytes} bytes when it is unpacked`, { limit: totalBytes });
      if (held > ratioFromBytes && held > input.bytesRead * ratio) {
        throw refused(file, `becomes more than ${ratio} times as large as it is when it is unpacked`, { limit: ratio });
      }
      yield piece;
    }
  } finally {
    input.destroy();
    through.destroy();
    await piped.catch(() => {});
  }
}

/**
 * Lines, ended by a line feed and by nothing else: node:readline ends them at U+2028 and U+2029, too, which JSON texts may
 * hold. What stands behind the last line feed is the last one. `name`: what is read. @throws FileRefused: one is too long
 */
export async function* linesIn(chunks: AsyncIterable<Buffer>, name: string, bytesMost: number): AsyncGenerator<Buffer> {
  let pieces: Buffer[] = [];
  let held = 0;
  let line = 1;
  const hold = (piece: Buffer): void => {
    held += piece.length;
    if (held > bytesMost) throw refused(name, `is longer than ${bytesMost} bytes`, { line, limit: bytesMost });
    pieces.push(piece);
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, start)) {
      hold(chunk.subarray(start, end));
      yield pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
      pieces = [];
      held = 0;
      line++;
      start = end + 1;
    }
    if (start < chunk.length) hold(chunk.subarray(start));
  }
  if (held > 0) yield Buffer.concat(pieces);
}

/** @throws FileRefused: it is no UTF-8 */
function textIn(bytes: Buffer, file: string, line?: number): string {
  if (!isUtf8(bytes)) throw refused(file, 'is not UTF-8', line === undefined ? {} : { line });
  const text = bytes.toString('utf8');
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text; // a byte order mark, which editors put there
}

function absent(file: string, error: unknown): undefined {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return undefined;
  if (code === 'ELOOP') throw refused(file, 'is a symbolic link; put the file itself there', {}, error);
  throw error;
}

const notRegular = (file: string, stats: Stats): TrunklineError =>
  refused(file, stats.isDirectory() ? 'is a folder, and a file is expected' : 'is no regular file; remove it');
