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
import { retried } from '../schema/months.ts';
import { checkMonth, isAttached, partitionOf } from '../schema/partition-list.ts';
import { tooSlow } from '../session/failure.ts';
import { lockNames, lockSql, removeLockSql } from '../session/locks.ts';
import { PageSize } from '../session/page-size.ts';
import { beginSql, idleFor } from '../session/server-session.ts';
import { codeOf, isServerError, lockNotAvailable, tookTooLong } from '../session/sqlstate.ts';
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

const lockTimeoutMs = 2000;
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
  const { rows } = await client.query('select pg_catalog.current_database()::text as database');
  const system = await client
    .query('select system_identifier::text as system from pg_catalog.pg_control_system()')
    .then((result): string => result.rows[0].system)
    .catch((error: unknown) => {
      if (!isServerError(error)) throw error;
      return 'unknown'; // a service may keep it to itself
    });
  return { system, database: rows[0].database, schema, month };
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
      await client.query('select'); // with the connection the lock would be lost
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
    await client.query(lockSql(pg.escapeIdentifier(schema), lockNames.archive(month)));
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
 * began again), of their id: a page may end between such rows. Text, not CSV: JSON text has no tabs or newlines; only its
 * backslashes are doubled. A page that takes longer than a statement may goes on where it came to, in smaller ones.
 */
async function* rowsOf(client: pg.ClientBase, table: string): AsyncGenerator<Buffer> {
  const pages = new BatchSize(rowsPerPage, pagesToGrow);
  for (let after = { sequence: Number.MIN_SAFE_INTEGER, id: firstId }; ; ) {
    const size = Math.min(rowsPerPage, pages.limit);
    const from = after;
    try {
      const rows = `select pg_catalog.to_jsonb(e) from ${table} e
        where (sequence, id) > (${after.sequence}, ${pg.escapeLiteral(after.id)}::pg_catalog.uuid) order by sequence, id limit ${size}`;
      for await (const lines of wholeLines(copiedOut(client, `copy (${rows}) to stdout`))) {
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
  const file = fileOf(folder ?? '.', month);
  const mark = force ? undefined : await markOf(file);
  const archive = force ? undefined : await verifyArchive(file, undefined, limits);
  if (archive) {
    const path = await realpath(folder ?? '.');
    for (const reason of checkSharedFolder(path)) warn(`${path}: ${reason}`);
  }
  // Read whole before the lock, which holds all writers; behind it only whether anything has changed since is looked at.
  const pages = new PageSize(stampsPerPage, pagesToGrow); // behind the lock as large as they have come to be before it
  const stamp = (): Promise<string> => stampOf(client, `${name}.${partition}`, schema, month, pages);
  const before = archive && (await stamp());
  if (archive) await checkArchived(client, `${name}.${partition}`, archive, partition, limits);
  await retried(client, async () => {
    // A statement that a bound of time ends would undo all the others, and be the same the next time.
    await client.query(beginSql(`lock_timeout = ${lockTimeoutMs}`, 'statement_timeout = 0'));
    await lockArchive(client, schema, month, file);
    // From the top, as writers do; the other way round they and we would wait for each other.
    await client.query(`lock table ${name}.domain_events in access exclusive mode`);
    if (!(await isAttached(client, schema, month))) throw needed(partition, 'it is not there any more');
    if (archive && (await stamp()) !== before) {
      throw needed(partition, 'it has changed meanwhile; try again');
    }
    if (archive) await checkPassed(client, name, partition);
    // An event that is gone can go into no log: its row would only stand in the way.
    await client.query(
      `delete from ${name}.outbox o using ${name}.${partition} e where o.id = e.id and o.occurred_at = e.occurred_at`,
    );
    await client.query(`drop table ${name}.${partition}; ${removeLockSql(name, lockNames.archive(month))}`);
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
  let [count, sum] = [0, 0n];
  for (let after = String(-(2n ** 63n)); ; ) {
    const { rows } = await pages.page(`a row of ${table}`, (size) =>
      client.query(
        `select pg_catalog.count(*)::text as count, pg_catalog.max(sequence)::text as last,
           coalesce(pg_catalog.sum(pg_catalog.hashtextextended(e.ctid::text || ' ' || e.xmin::text, 0)), 0)::text as sum
         from (select ctid, xmin, sequence from ${table} where sequence > $1 order by sequence fetch first ($2) rows with ties) e`,
        [after, size],
      ),
    );
    const [page] = rows;
    if (page.last === null) return `${count} ${sum}`;
    count += Number(page.count);
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
  const { rows: waiting } = await client.query(
    `select pg_catalog.count(*)::float8 as count from ${table} e
     join ${schema}.outbox o on o.id = e.id and o.occurred_at = e.occurred_at`,
  );
  if (waiting[0].count > 0) throw needed(partition, `${waiting[0].count} of its events have not come into a log yet`);
  const { rows: behind } = await client.query(
    `select reader.name, reader.log_id, reader.position::float8 as position, last.position::float8 as last
     from (select handler_name as name, log_id, position from ${schema}.event_handler_positions
           union all select name, log_id, position from ${schema}.log_readers) reader
     join (select log_id, pg_catalog.max(position) as position from ${table} where log_id is not null group by log_id) last
       on last.log_id = reader.log_id and last.position > reader.position
     order by last.position - reader.position desc limit 1`,
  );
  if (behind.length === 0) return;
  const [{ name, log_id, position, last }] = behind as [Record<string, unknown>];
  const reason = `handler ${name} of log ${log_id} is at position ${position}, and the month reaches to ${last}`;
  throw needed(partition, reason);
}

const needed = (partition: string, reason: string): TrunklineError =>
  new TrunklineError('PartitionNeeded', { partition, reason });
