// Months out of the database: into an archive, and away once that is whole.

import { join } from 'node:path';
import pg from 'pg';
import { BatchSize } from '../../../base/batch-size.ts';
import { realpath } from '../../../base/disk.ts';
import { TrunklineError } from '../../../base/errors.ts';
import { checkSharedFolder } from '../../../base/folder-access.ts';
import { refused } from '../../../base/foreign-file.ts';
import { makePrivateFolderLater } from '../../../base/private-file.ts';
import { copiedOut } from '../rows/copy-out.ts';
import { lockEvents } from '../schema/lock-events.ts';
import { retried } from '../schema/months.ts';
import { checkMonth, isAttached, partitionOf } from '../schema/partition-list.ts';
import { tooSlow } from '../session/failure.ts';
import { lockNames, lockSql, removeLockSql } from '../session/locks-sql.ts';
import { PageSize } from '../session/page-size.ts';
import { beginSql, idleFor } from '../session/session-sql.ts';
import { codeOf, isServerError, lockNotAvailable, tookTooLong } from '../session/sqlstate.ts';
import { execute } from '../session/statement.ts';
import {
  type ArchiveInfo,
  type ArchiveLimits,
  type ArchiveOrigin,
  type Key,
  keyIn,
  summaryOf,
  unescaped,
  verifyArchive,
} from './archive-file.ts';
import { markOf, writeArchive } from './archive-writing.ts';
import {
  copyRows,
  databaseStatement,
  deleteOutboxRows,
  dropPartition,
  presence,
  readerBehindStatement,
  stampStatement,
  systemStatement,
  waitingStatement,
} from './month-archive-sql.ts';

const lockTimeoutMs = 2000;
const triesOfLock = 3;
/** How long putting a file in its place may take: a name changed, and its folder synced. */
const placingMsMost = 60_000;
const lineFeed = 10;
const firstId = '00000000-0000-0000-0000-000000000000';
const fileOf = (folder: string, month: string): string => join(folder, `${partitionOf(month)}.jsonl.zst`);

/**
 * Write one month into `folder` (made if absent); returns what the finished file says when it is read back. An archive of
 * that month that is there already is replaced once the new one is whole, of the same store, and holds all that it does.
 * `warn`: who else can change the folder.
 * @throws ArchiveNeeded, ArchiveDamaged, FileRefused, DataDirUnsafe
 */
export async function archiveMonth(
  client: pg.ClientBase,
  schema: string,
  month: string,
  folder: string,
  signal?: AbortSignal,
  limits: ArchiveLimits = {},
  warn: (reason: string) => void = () => {},
): Promise<ArchiveInfo> {
  checkMonth('month', month);
  await makePrivateFolderLater(folder, true);
  const path = await realpath(folder);
  for (const reason of checkSharedFolder(path)) warn(`${path}: ${reason}`);
  const file = fileOf(path, month);
  const table = `${pg.escapeIdentifier(schema)}.${partitionOf(month)}`;
  const origin = await originOf(client, schema, month);
  return writeArchive(file, rowsOf(client, table), signal, limits, {
    origin,
    alone: (work) => alone(client, schema, month, file, work),
  });
}

async function originOf(client: pg.ClientBase, schema: string, month: string): Promise<ArchiveOrigin> {
  const { database } = await databaseStatement.one(client, {});
  const { system } = await systemStatement.one(client, {}).catch((error: unknown) => {
    if (!isServerError(error)) throw error;
    return { system: 'unknown' };
  });
  return { system, database, schema, month };
}

/**
 * `work` while no other process puts an archive of the month in its place, or drops the month. The lock is of a transaction, which
 * poolers keep on one connection: so for a moment only, since it holds up what the server removes behind it.
 */
async function alone<T>(
  client: pg.ClientBase,
  schema: string,
  month: string,
  file: string,
  work: (stillAlone: () => Promise<void>) => Promise<T>,
): Promise<T> {
  try {
    await client.query(beginSql(`lock_timeout = ${lockTimeoutMs}`, idleFor(placingMsMost)));
    await lockArchive(client, schema, month, file);
    const result = await work(async () => {
      await execute(client, presence); // with the connection the lock would be lost
    });
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch(() => {});
    throw error;
  }
}

/** Until the transaction ends. */
async function lockArchive(client: pg.ClientBase, schema: string, month: string, file: string): Promise<void> {
  try {
    await execute(client, lockSql(pg.escapeIdentifier(schema), lockNames.archive(month)));
  } catch (error) {
    if (codeOf(error) !== lockNotAvailable) throw error;
    throw refused(file, 'is at work in another `partitions archive` or `partitions drop`; try again', {}, error);
  }
}

/** A page costs a question more, and its time grows with its size: roles, databases and poolers may bound that of a statement. */
const rowsPerPage = 100_000;
const pagesToGrow = 16;
/** Of what is a few bytes of each row. */
const stampsPerPage = 1_000_000;

/**
 * All rows as lines, page by page in the order of their sequence and, where rows share one (a table that was restored, numbers that
 * began again), of their id: a page may end between such rows. A page that takes longer than a statement may goes on where it came
 * to, in smaller ones.
 */
async function* rowsOf(client: pg.ClientBase, table: string): AsyncGenerator<Buffer> {
  const pages = new BatchSize(rowsPerPage, pagesToGrow);
  for (let after = { sequence: Number.MIN_SAFE_INTEGER, id: firstId }; ; ) {
    const size = Math.min(rowsPerPage, pages.limit);
    const from = after;
    try {
      for await (const lines of wholeLines(copiedOut(client, copyRows(table, after, size)))) {
        after = lastKey(lines) ?? after; // what has none is refused by the writer
        yield lines;
      }
      pages.succeeded();
      if (after === from) return;
    } catch (error) {
      if (!tookTooLong(error)) throw error;
      if (size <= 1 && after === from) throw tooSlow(`a row of ${table}`, error);
      pages.failed(size);
    }
  }
}

/** Cut behind line feeds: what follows the last one was never finished. */
async function* wholeLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest: Buffer[] = []; // a line of many pieces is put together once
  for await (const chunk of chunks) {
    const end = chunk.lastIndexOf(lineFeed) + 1;
    if (end > 0) yield Buffer.concat([...rest, chunk.subarray(0, end)]);
    if (end > 0) rest = [];
    if (end < chunk.length) rest.push(chunk.subarray(end));
  }
}

function lastKey(lines: Buffer): Key | undefined {
  const line = lines.toString('utf8', lines.lastIndexOf(lineFeed, -2) + 1, lines.length - 1);
  return keyIn(unescaped(line));
}

/**
 * Remove a month from the database: only if the archive in `folder` has all of it, and no log, subscription or projection
 * lacks any of it; or with `force`, which asks none of these. Asked in the transaction that drops, behind its lock.
 * @throws ArchiveDamaged, FileRefused, PartitionNeeded, DataDirUnsafe
 */
export async function dropMonth(
  client: pg.ClientBase,
  schema: string,
  month: string,
  folder: string | undefined,
  force: boolean,
  limits: ArchiveLimits = {},
  warn: (reason: string) => void = () => {},
): Promise<void> {
  const name = pg.escapeIdentifier(schema);
  const partition = partitionOf(checkMonth('month', month));
  const table = `${name}.${partition}`;
  const file = fileOf(folder ?? '.', month);
  const mark = force ? undefined : await markOf(file);
  const archive = force ? undefined : await verifyArchive(file, undefined, limits);
  if (archive) {
    const path = await realpath(folder ?? '.');
    for (const reason of checkSharedFolder(path)) warn(`${path}: ${reason}`);
  }
  // Read whole before the lock, which holds all writers; behind it only whether anything has changed since is looked at.
  const pages = new PageSize(stampsPerPage, pagesToGrow); // behind the lock as large as they have come to be before it
  const stamp = (): Promise<string> => stampOf(client, table, schema, month, pages);
  const before = archive && (await stamp());
  if (archive) await checkArchived(client, table, archive, partition, limits);
  await retried(client, async () => {
    // A statement that a bound of time ends would undo all the others, and be the same the next time.
    await client.query(beginSql(`lock_timeout = ${lockTimeoutMs}`, 'statement_timeout = 0'));
    await lockArchive(client, schema, month, file);
    // From the top, as writers do; the other way round they and we would wait for each other.
    await lockEvents(client, `${name}.domain_events`, table, triesOfLock);
    if (!(await isAttached(client, schema, month))) throw needed(partition, 'it is not there any more');
    if (archive && (await stamp()) !== before) {
      throw needed(partition, 'it has changed meanwhile; try again');
    }
    if (archive) await checkPassed(client, name, partition);
    await execute(client, deleteOutboxRows(name, table));
    await execute(client, `${dropPartition(table)}; ${removeLockSql(name, lockNames.archive(month))}`);
    if (archive && (await markOf(file)) !== mark)
      throw needed(partition, 'its archive has changed meanwhile; try again');
    await client.query('commit');
  });
}

/** Other rows, other stamp: which row versions there are, without what is in them. In pages, as `rowsOf`. */
async function stampOf(
  client: pg.ClientBase,
  table: string,
  schema: string,
  month: string,
  pages: PageSize,
): Promise<string> {
  if (!(await isAttached(client, schema, month))) throw needed(partitionOf(month), 'it is not there any more');
  const statement = stampStatement(table);
  let [count, sum] = [0, 0n];
  for (let after = String(-(2n ** 63n)); ; ) {
    const page = await pages.page(`a row of ${table}`, (most) => statement.one(client, { after, most }));
    if (page.last === null) return `${count} ${sum}`;
    count += page.count;
    sum += BigInt(page.sum);
    after = page.last;
  }
}

/** Whether the archive has what the month has, byte for byte. */
async function checkArchived(
  client: pg.ClientBase,
  table: string,
  archive: ArchiveInfo,
  partition: string,
  limits: ArchiveLimits,
): Promise<void> {
  const { events, sha256 } = await summaryOf(rowsOf(client, table), archive.file, limits);
  if (sha256 === archive.sha256) return;
  const what = events === archive.events ? 'the same number of events, but not the same' : `${archive.events}`;
  throw needed(partition, `it has ${events} events, and its archive ${what}; archive it again`);
}

/** Ask every reader of the history of their log from here. */
async function checkPassed(client: pg.ClientBase, schema: string, partition: string): Promise<void> {
  const table = `${schema}.${partition}`;
  const { count } = await waitingStatement(schema, table).one(client, {});
  if (count > 0) throw needed(partition, `${count} of its events have not come into a log yet`);
  const [behind] = await readerBehindStatement(schema, table).run(client, {});
  if (behind === undefined) return;
  const { name, log_id, position, last } = behind;
  const reason = `handler ${name} of log ${log_id} is at position ${position}, and the month reaches to ${last}`;
  throw needed(partition, reason);
}

const needed = (partition: string, reason: string): TrunklineError =>
  new TrunklineError('PartitionNeeded', { partition, reason });
