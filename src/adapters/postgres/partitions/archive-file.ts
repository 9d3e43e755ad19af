// A month of events in a file: JSON lines in the order of their sequence, compressed by zstd, the last line saying how many
// there are and what their SHA-256 is, and which store the month is of. A file without that line, or with another sum, is no archive,
// whatever its name. How one is written, and takes the place of another: archive-writing.ts.
import { isUtf8 } from 'node:buffer';
import { createHash, type Hash } from 'node:crypto';
import zlib from 'node:zlib'; // as a whole: an older Node.js lacks zstd, and must get an error that says so
import { checkInteger, checkSignal, invalid } from '../../../base/checks.ts';
import { stat } from '../../../base/disk.ts';
import { isError, TrunklineError } from '../../../base/errors.ts';
import { linesIn, parseFields, refused, topFields, unpacked } from '../../../base/foreign-file.ts';
import { checkFields, fieldsOf } from '../../../base/known-fields.ts';
import { tame } from '../../../base/tame.ts';
import type { StoredEvent } from '../../../model/event.ts';

/** How the last line begins. */
const endStart = '{"end":true,';
/** Rows that an error names. */
const namedMost = 5;
/** What reading an archive may cost; beyond, it is refused (`FileRefused`), and read no further. */
export interface ArchiveLimits {
  /** Bytes of one event's line, 1 KiB to 512 MiB; default 64 MiB. */
  lineBytes?: number | undefined;
  /** Bytes of all lines, 1 KiB to 1 PiB; default 1 TiB. */
  totalBytes?: number | undefined;
  /** How many times the size of its file an archive may have when it is unpacked, asked beyond 256 MiB; 1 to 1,000,000; default 1,000. */
  ratio?: number | undefined;
}

const limitFields = fieldsOf<ArchiveLimits>({ lineBytes: true, totalBytes: true, ratio: true });

/** @throws InvalidOptions */
export function resolveLimits(limits: ArchiveLimits): Required<{ [K in keyof ArchiveLimits]: number }> {
  checkFields('archive', limits, limitFields);
  return {
    lineBytes: checkInteger('lineBytes', limits.lineBytes ?? 64 << 20, 1 << 10, 1 << 29),
    totalBytes: checkInteger('totalBytes', limits.totalBytes ?? 2 ** 40, 1 << 10, 2 ** 50),
    ratio: checkInteger('ratio', limits.ratio ?? 1000, 1, 1_000_000),
  };
}

/** The store that a month is of. */
export interface ArchiveOrigin {
  /** The database system's identifier, as the server was initialised with it. */
  readonly system: string;
  readonly database: string;
  readonly schema: string;
  readonly month: string;
}

/** What an archive says of itself. */
export interface ArchiveInfo {
  readonly file: string;
  readonly events: number;
  /** The highest number among them. */
  readonly lastSequence: number;
  /** SHA-256 of all lines but the last, hexadecimal. */
  readonly sha256: string;
  /** undefined: an archive of an earlier release. */
  readonly origin?: ArchiveOrigin | undefined;
}

/** What an archive of these rows would say of itself. */
export async function summaryOf(
  rows: AsyncIterable<Buffer>,
  file: string,
  limits: ArchiveLimits = {},
): Promise<Omit<ArchiveInfo, 'file'>> {
  let last = '';
  for await (const line of sealed(rows, file, limits)) last = line;
  return endIn(parseFields(last))!;
}

/** A line as PostgreSQL copies it out, as the JSON text that it is. */
export const unescaped = (line: string): string => line.replaceAll('\\\\', '\\');

/** The rows as lines, and behind them the line that makes a file an archive. */
export async function* sealed(
  chunks: AsyncIterable<Buffer>,
  file: string,
  limits: ArchiveLimits,
  origin?: ArchiveOrigin,
): AsyncGenerator<string> {
  const hash = createHash('sha256');
  let events = 0;
  let lastSequence = 0;
  for await (const line of linesIn(chunks, file, resolveLimits(limits).lineBytes)) {
    const text = unescaped(line.toString('utf8'));
    hash.update(text).update('\n');
    events++;
    // What could not be read back must not be archived, since it is dropped afterwards.
    const sequence = sequenceIn(text) ?? fail(refused(file, 'has no sequence that a number holds', { line: events }));
    lastSequence = Math.max(lastSequence, sequence);
    yield `${text}\n`;
  }
  yield `${JSON.stringify({ end: true, events, lastSequence, sha256: hash.digest('hex'), origin })}\n`;
}

export interface Key {
  sequence: number;
  id: string;
}

/** Where a row stands in its month's order; undefined: its sequence is beyond a number. */
export function keyIn(text: string): Key | undefined {
  const { sequence, id } = topFields(text);
  return Number.isSafeInteger(sequence) && typeof id === 'string' ? { sequence: sequence as number, id } : undefined;
}

function sequenceIn(line: string): number | undefined {
  const { sequence } = topFields(line);
  return Number.isSafeInteger(sequence) ? (sequence as number) : undefined;
}

/**
 * Read an archive whole, and say what is in it.
 * @throws ArchiveDamaged, FileRefused
 */
export async function verifyArchive(
  file: string,
  signal?: AbortSignal,
  limits: ArchiveLimits = {},
): Promise<ArchiveInfo> {
  let info: ArchiveInfo | undefined;
  for await (const _ of archiveLines(file, createHash('sha256'), limits, (found) => (info = found))) {
    signal?.throwIfAborted();
  }
  return info!;
}

/** All lines but the last, which must fit them; read to the end before anything is to be believed. */
export async function* archiveLines(
  file: string,
  hash: Hash,
  given: ArchiveLimits,
  onEnd: (info: ArchiveInfo) => void,
): AsyncGenerator<{ text: string; line: number }> {
  const limits = resolveLimits(given);
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw unread(file, error);
  });
  if (!found) throw new TrunklineError('ArchiveDamaged', { file, reason: 'it is not there' });
  if (!found.isFile()) throw damaged(file, 'it is no regular file');
  let events = 0;
  let end: Omit<ArchiveInfo, 'file'> | undefined;
  try {
    for await (const bytes of linesIn(unpacked(file, zlib.createZstdDecompress(), limits), file, limits.lineBytes)) {
      const line = events + 1;
      if (end) throw damaged(file, 'it goes on behind its last line', line);
      if (!isUtf8(bytes)) throw damaged(file, 'it is not UTF-8', line);
      const text = bytes.toString('utf8');
      if (text.startsWith(endStart)) {
        end = endIn(parseFields(text)) ?? fail(damaged(file, 'its last line cannot be understood', line));
        continue;
      }
      hash.update(bytes).update('\n');
      events++;
      yield { text, line };
    }
  } catch (error) {
    if (isError(error, 'FileRefused')) throw aboveLimits(error);
    if (error instanceof Error && 'syscall' in error) throw unread(file, error);
    throw error instanceof TrunklineError ? error : damaged(file, String(error), undefined, error);
  }
  if (!end) throw damaged(file, 'its last line is missing: it was never finished');
  if (end.events !== events || end.sha256 !== hash.digest('hex'))
    throw damaged(file, 'its content is not what its last line says');
  onEnd({ file, ...end });
}

export function damaged(file: string, reason: string, line?: number, cause?: unknown): TrunklineError {
  return new TrunklineError(
    'ArchiveDamaged',
    { file, ...(line !== undefined && { line }), reason: `${reason}; move it aside` },
    { cause },
  );
}

/** The disk, rights or descriptors are at fault, and not the archive: it must not be taken for none, and replaced. */
export const unread = (file: string, error: Error): TrunklineError =>
  refused(file, `cannot be read: ${error.message}`, {}, error);

function aboveLimits({ details }: TrunklineError<'FileRefused'>): TrunklineError {
  const reason = `${details.reason}; if it is meant to, raise lineBytes, totalBytes or ratio of what reads it`;
  return new TrunklineError('FileRefused', { ...details, reason });
}

function endIn({
  events,
  lastSequence,
  sha256,
  origin,
}: Readonly<Record<string, unknown>>): Omit<ArchiveInfo, 'file'> | undefined {
  const isEnd = Number.isSafeInteger(events) && Number.isSafeInteger(lastSequence) && typeof sha256 === 'string';
  if (!isEnd || (origin !== undefined && !isOrigin(origin))) return undefined;
  return {
    events: events as number,
    lastSequence: lastSequence as number,
    sha256,
    ...(origin !== undefined && { origin }),
  };
}

function isOrigin(found: unknown): found is ArchiveOrigin {
  if (typeof found !== 'object' || found === null) return false;
  const { system, database, schema, month } = found as Partial<ArchiveOrigin>;
  return [system, database, schema, month].every((one) => typeof one === 'string');
}

export function fail(error: Error): never {
  throw error;
}

/**
 * The events of an archive, in the order in which they were written: verified first, then read. Rows that are no events (a role
 * had written them itself) are passed over; behind the last event the iteration ends with an error that counts and names them.
 * @throws ArchiveDamaged, FileRefused
 */
export function readArchive(
  file: string,
  signal?: AbortSignal,
  limits: ArchiveLimits = {},
): AsyncIterableIterator<StoredEvent> {
  if (typeof file !== 'string' || file === '') {
    invalid('file', file, 'must be the path of an archive, as `partitions archive` has written it');
  }
  if (signal !== undefined) checkSignal(signal);
  return eventsIn(file, signal, limits);
}

async function* eventsIn(
  file: string,
  signal: AbortSignal | undefined,
  limits: ArchiveLimits,
): AsyncGenerator<StoredEvent> {
  await verifyArchive(file, signal, limits);
  const { eventOfRow } = await import('./archive-row.ts'); // every importer of the door loads this file
  const unreadable: { id: unknown; line: number }[] = [];
  let count = 0;
  for await (const { text, line } of archiveLines(file, createHash('sha256'), limits, () => {})) {
    signal?.throwIfAborted();
    const event = eventOfRow(parseFields(text));
    if (event !== undefined) yield event;
    else if (count++ < namedMost) unreadable.push({ id: topFields(text).id, line });
  }
  const [first] = unreadable;
  if (first === undefined) return;
  const named = unreadable.map(({ id, line }) => `${tame(id, 36)} (line ${line})`).join(', ');
  const reason = `all of its events have been read but ${count}, which hold what no event may: ${named}`;
  throw new TrunklineError('ArchiveDamaged', { file, line: first.line, reason });
}
