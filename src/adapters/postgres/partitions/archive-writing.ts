// How a month becomes a file: written beside under another name, synced, read back whole, and only then given its name. What a crash
// leaves behind is never mistaken for an archive.
//
// Invariant: what has the name already is replaced only by an archive of the same store that holds each of its events; what cannot
// be read or understood is left where it is. What an archive is: archive-file.ts.
import { createHash } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import zlib from 'node:zlib'; // as a whole: an older Node.js lacks zstd, and must get an error that says so
import { createWriteStream, lstat, readdir, rename, rm, stat } from '../../../base/disk.ts';
import { syncFolder } from '../../../base/durable-file.ts';
import { TrunklineError } from '../../../base/errors.ts';
import { refused } from '../../../base/foreign-file.ts';
import { openPrivate } from '../../../base/private-file.ts';
import { randomUUID } from '../../../base/random.ts';
import {
  type ArchiveInfo,
  type ArchiveLimits,
  type ArchiveOrigin,
  archiveLines,
  damaged,
  fail,
  type Key,
  keyIn,
  resolveLimits,
  sealed,
  unread,
  verifyArchive,
} from './archive-file.ts';

/** A draft that has not grown for so long has no writer any more. */
const draftMsMost = 24 * 60 * 60_000;
/** What is named otherwise is not ours to remove. */
const draftEnd = /^\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.part$/;

/** How a new archive takes its place. */
export interface Placing {
  readonly origin: ArchiveOrigin;
  /**
   * Keeps others who archive or drop the month out while `work` runs, which asks `stillAlone` before it acts. `work` is short, and
   * reads no file: a transaction stands open as long.
   */
  alone<T>(work: (stillAlone: () => Promise<void>) => Promise<T>): Promise<T>;
}

const unplaced: Partial<Placing> & Pick<Placing, 'alone'> = { alone: (work) => work(async () => {}) };

/**
 * Write rows (JSON texts with their escapes doubled, as PostgreSQL copies them, a line each) into `file`, whole or not at all;
 * returns what the finished file says when it is read back. An archive that is there is replaced by one of the same store that
 * holds all of its events: it may be the only place of events whose month has been dropped, and has come again with late ones.
 * @throws ArchiveNeeded, ArchiveDamaged, FileRefused
 */
export async function writeArchive(
  file: string,
  rows: AsyncIterable<Buffer>,
  signal?: AbortSignal,
  limits: ArchiveLimits = {},
  { origin, alone }: Partial<Placing> & Pick<Placing, 'alone'> = unplaced,
): Promise<ArchiveInfo> {
  resolveLimits(limits);
  const draft = `${file}.${randomUUID()}.part`; // process numbers repeat: two containers may share the folder
  try {
    const output = createWriteStream(draft, { fd: openPrivate(draft, 'make'), flush: true });
    await pipeline(rows, (chunks) => sealed(chunks, file, limits, origin), zlib.createZstdCompress(), output, {
      signal,
    });
    const info = await verifyArchive(draft, signal, limits);
    // Read whole before the lock; behind it only whether that is still the file is looked at.
    const before = await markOf(file);
    if (before !== undefined) await checkReplaceable(draft, file, origin, signal, limits);
    await alone(async (stillAlone) => {
      await stillAlone();
      if ((await markOf(file)) !== before) throw refused(file, 'has changed meanwhile; archive the month again');
      await rename(draft, file);
      syncFolder(dirname(file));
    });
    await removeOldDrafts(file);
    return { ...info, file };
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/**
 * Which file this is, and of which moment: one that is replaced or written into has another mark, whatever time it is given.
 * undefined: none is there. A link to a file that is not there is one.
 */
export async function markOf(file: string): Promise<string | undefined> {
  const entry = await lstat(file, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw unread(file, error);
  });
  if (entry === undefined) return undefined;
  const target = entry.isSymbolicLink() ? await stat(file, { bigint: true }).catch(() => undefined) : undefined;
  return [entry, target].map((one) => one && [one.dev, one.ino, one.size, one.mtimeNs, one.ctimeNs].join()).join(' ');
}

/** Whether the draft is of the same store as the archive that is there, and holds each of its events. */
async function checkReplaceable(
  draft: string,
  file: string,
  origin: ArchiveOrigin | undefined,
  signal: AbortSignal | undefined,
  limits: ArchiveLimits,
): Promise<void> {
  const old = await verifyArchive(file, signal, limits);
  if (origin && old.origin && textOf(origin) !== textOf(old.origin)) {
    const { database, schema, month, system } = old.origin;
    const whose = `month ${month} of schema ${schema} in database ${database} (system ${system})`;
    throw refused(file, `is the archive of ${whose}; move it elsewhere, or archive into another folder`);
  }
  const events = await lacking(draft, file, signal, limits);
  if (events > 0) throw new TrunklineError('ArchiveNeeded', { file, events });
}

/** How many events of the archive that is there the draft lacks. Both are in the order of their sequence, and read side by side. */
async function lacking(
  draft: string,
  file: string,
  signal: AbortSignal | undefined,
  limits: ArchiveLimits,
): Promise<number> {
  const drafted = archiveLines(draft, createHash('sha256'), limits, () => {});
  const following = async (): Promise<Key | undefined> => {
    const { value } = await drafted.next();
    return value && keyIn(value.text);
  };
  const ids = new Set<string>(); // of the draft's events with sequence `at`
  let at = 0;
  let count = 0;
  try {
    let next = await following();
    for await (const { text, line } of archiveLines(file, createHash('sha256'), limits, () => {})) {
      signal?.throwIfAborted();
      const { sequence, id } = keyIn(text) ?? fail(damaged(file, 'it holds no event', line));
      if (sequence !== at) ids.clear();
      at = sequence;
      for (; next && next.sequence <= at; next = await following()) if (next.sequence === at) ids.add(next.id);
      if (!ids.has(id)) count++;
    }
    return count;
  } finally {
    await drafted.return(undefined);
  }
}

/** What crashes have left behind. A draft that grows is another process's. */
async function removeOldDrafts(file: string): Promise<void> {
  const { mtimeMs: now } = await stat(file);
  for (const name of await readdir(dirname(file))) {
    if (!name.startsWith(`${basename(file)}.`) || !draftEnd.test(name.slice(basename(file).length))) continue;
    const draft = join(dirname(file), name);
    const found = await stat(draft).catch(() => undefined); // another process may have finished it
    if (found && now - found.mtimeMs > draftMsMost) await rm(draft, { force: true });
  }
}

const textOf = ({ system, database, schema, month }: ArchiveOrigin): string =>
  JSON.stringify([system, database, schema, month]);
