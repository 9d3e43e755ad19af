// A month of events in a file: JSON lines in the order of their sequence, compressed by zstd, the last line saying how many
// there are and what their SHA-256 is. A file without that line, or with another sum, is no archive, whatever its name.
//
// Written beside under another name, synced, read back whole, and only then given its name: what a crash leaves behind is
// never mistaken for an archive.
import { createHash, type Hash, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createZstdCompress, createZstdDecompress } from 'node:zlib';
import { syncFolder } from '../../durable-file.ts';
import { isError, TrunklineError } from '../../errors.ts';
import { eventOf, type Metadata, type StoredEvent } from '../../event.ts';
import { deepFreeze } from '../../payload.ts';
import { timeOf } from './time-text.ts';

/** A draft that has not grown for so long is nobody's. */
const draftMsMost = 24 * 60 * 60_000;

/** What an archive says of itself. */
export interface ArchiveInfo {
  readonly file: string;
  readonly events: number;
  /** The highest number among them. */
  readonly lastSequence: number;
  /** SHA-256 of all lines but the last, hexadecimal. */
  readonly sha256: string;
}

/**
 * Write rows (JSON texts with their escapes doubled, as PostgreSQL copies them, a line each) into `file`, whole or not at all;
 * returns what the finished file says when it is read back. An archive that is there is replaced by one that holds as much:
 * it may be the only place of events whose month has been dropped, and has come again with late ones.
 * @throws ArchiveNeeded
 */
export async function writeArchive(
  file: string,
  rows: AsyncIterable<Buffer>,
  signal?: AbortSignal,
): Promise<ArchiveInfo> {
  const draft = `${file}.${randomUUID()}.part`; // process numbers repeat: two containers may share the folder
  try {
    const output = createWriteStream(draft, { mode: 0o600, flags: 'wx', flush: true });
    await pipeline(rows, sealed, createZstdCompress(), output, { signal });
    const info = await verifyArchive(draft, signal);
    const events = await lacking(draft, file, signal);
    if (events > 0) throw new TrunklineError('ArchiveNeeded', { file, events });
    await rename(draft, file);
    syncFolder(dirname(file));
    await removeOldDrafts(file);
    return { ...info, file };
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/** How many events of the archive that is there the new one lacks. Numbers are given once: so counting is enough. */
async function lacking(draft: string, file: string, signal: AbortSignal | undefined): Promise<number> {
  let old: ArchiveInfo;
  try {
    old = await verifyArchive(file, signal);
  } catch (error) {
    if (isError(error, 'ArchiveDamaged')) return 0; // it is not there, or is none
    throw error;
  }
  let held = 0;
  for await (const line of archiveLines(draft, createHash('sha256'), () => {})) {
    signal?.throwIfAborted();
    if ((JSON.parse(line) as { sequence: number }).sequence <= old.lastSequence) held++;
  }
  return Math.max(0, old.events - held);
}

/** What crashes have left behind. A draft that grows is another process's. */
async function removeOldDrafts(file: string): Promise<void> {
  const { mtimeMs: now } = await stat(file);
  for (const name of await readdir(dirname(file))) {
    if (!name.startsWith(`${basename(file)}.`) || !name.endsWith('.part')) continue;
    const draft = join(dirname(file), name);
    const found = await stat(draft).catch(() => undefined); // another process may have finished it
    if (found && now - found.mtimeMs > draftMsMost) await rm(draft, { force: true });
  }
}

/** What an archive of these rows would say of itself. */
export async function summaryOf(rows: AsyncIterable<Buffer>): Promise<Omit<ArchiveInfo, 'file'>> {
  let last = '';
  for await (const line of sealed(rows)) last = line;
  return JSON.parse(last);
}

/** The rows as lines, and behind them the line that makes a file an archive. */
async function* sealed(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const hash = createHash('sha256');
  let events = 0;
  let lastSequence = 0;
  for await (const line of linesOf(chunks)) {
    const text = line.replaceAll('\\\\', '\\');
    hash.update(text).update('\n');
    events++;
    lastSequence = Math.max(lastSequence, (JSON.parse(text) as { sequence: number }).sequence);
    yield `${text}\n`;
  }
  yield `${JSON.stringify({ end: true, events, lastSequence, sha256: hash.digest('hex') })}\n`;
}

/** Ended by a line feed and by nothing else: node:readline ends them at U+2028 and U+2029, too, which JSON texts may hold. */
async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      yield rest.toString('utf8', 0, end);
      rest = rest.subarray(end + 1);
    }
  }
}

/**
 * Read an archive whole, and say what is in it.
 * @throws ArchiveDamaged
 */
export async function verifyArchive(file: string, signal?: AbortSignal): Promise<ArchiveInfo> {
  const hash = createHash('sha256');
  let info: ArchiveInfo | undefined;
  for await (const line of archiveLines(file, hash, (found) => (info = found))) {
    signal?.throwIfAborted();
    void line;
  }
  return info!;
}

/** All lines but the last, which must fit them; read to the end before anything is to be believed. */
async function* archiveLines(file: string, hash: Hash, onEnd: (info: ArchiveInfo) => void): AsyncGenerator<string> {
  const damaged = (reason: string, cause?: unknown): TrunklineError =>
    new TrunklineError('ArchiveDamaged', { file, reason }, { cause });
  if (!(await stat(file).catch(() => undefined))?.isFile()) throw damaged('it is not there');
  const input = createReadStream(file);
  const text = input.pipe(createZstdDecompress());
  input.on('error', (error) => text.destroy(error));
  let events = 0;
  let end: { events: number; lastSequence: number; sha256: string } | undefined;
  try {
    for await (const line of linesOf(text)) {
      if (end) throw damaged('it goes on behind its last line');
      if (line.startsWith('{"end":true,')) {
        end = JSON.parse(line);
        continue;
      }
      hash.update(line).update('\n');
      events++;
      yield line;
    }
  } catch (error) {
    throw error instanceof TrunklineError ? error : damaged(String(error), error);
  }
  if (!end) throw damaged('its last line is missing: it was never finished');
  if (end.events !== events || end.sha256 !== hash.digest('hex'))
    throw damaged('its content is not what its last line says');
  onEnd({ file, ...end });
}

/**
 * The events of an archive, in the order in which they were written: verified first, then read.
 * @throws ArchiveDamaged
 */
export function readArchive(file: string, signal?: AbortSignal): AsyncIterableIterator<StoredEvent> {
  return eventsIn(file, signal);
}

async function* eventsIn(file: string, signal: AbortSignal | undefined): AsyncGenerator<StoredEvent> {
  await verifyArchive(file, signal);
  for await (const line of archiveLines(file, createHash('sha256'), () => {})) {
    signal?.throwIfAborted();
    yield eventOfRow(JSON.parse(line));
  }
}

function eventOfRow(row: any): StoredEvent {
  const { id, version, schema_version: schemaVersion, event_type: type } = row;
  const metadata = deepFreeze(row.metadata ?? {}) as Metadata;
  return eventOf({
    id,
    position: row.position ?? 0,
    aggregateType: row.aggregate_type,
    aggregateId: row.aggregate_id,
    version,
    type,
    schemaVersion,
    occurredAt: new Date(timeOf(row.occurred_at)),
    data: deepFreeze(row.data),
    metadata,
  });
}
