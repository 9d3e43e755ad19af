// Months out of the database: into an archive, and away once that is whole.
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { BatchSize } from '../../batch-size.ts';
import { TrunklineError } from '../../errors.ts';
import { makePrivateFolderLater } from '../../private-file.ts';
import {
  type ArchiveInfo,
  type ArchiveLimits,
  sequenceIn,
  summaryOf,
  unescaped,
  verifyArchive,
  writeArchive,
} from './archive-file.ts';
import { copiedOut } from './copy-out.ts';
import { tookTooLong } from './failure.ts';
import { checkMonth, isAttached, partitionOf, retried } from './months.ts';
import { beginSql } from './server-session.ts';

const lockTimeoutMs = 2000;
const lineFeed = 10;
const fileOf = (folder: string, month: string): string => join(folder, `${partitionOf(month)}.jsonl.zst`);

/**
 * Write one month into `folder` (made if absent); returns what the finished file says when it is read back. An archive of
 * that month that is there already is replaced once the new one is whole, and holds all that it does.
 * @throws ArchiveNeeded, FileRefused
 */
export async function archiveMonth(
  client: pg.ClientBase,
  schema: string,
  month: string,
  folder: string,
  signal?: AbortSignal,
  limits: ArchiveLimits = {},
): Promise<ArchiveInfo> {
  checkMonth('month', month);
  await makePrivateFolderLater(folder, true);
  const file = fileOf(await realpath(folder), month);
  const table = `${pg.escapeIdentifier(schema)}.${partitionOf(month)}`;
  return writeArchive(file, rowsOf(client, table), signal, limits);
}

/** A page costs a question more, and its time grows with its size: roles, databases and poolers may bound that of a statement. */
const rowsPerPage = 100_000;
const pagesToGrow = 16;

/**
 * All rows as lines, page by page in the order of their sequence. Text, not CSV: JSON text has no tabs or newlines; only its
 * backslashes are doubled. A page that takes longer than a statement may goes on where it came to, in smaller ones.
 */
async function* rowsOf(client: pg.ClientBase, table: string): AsyncGenerator<Buffer> {
  const pages = new BatchSize(rowsPerPage, pagesToGrow);
  for (let after = 0; ; ) {
    const size = Math.min(rowsPerPage, pages.limit);
    const from = after;
    try {
      const rows = `select to_jsonb(e) from ${table} e where sequence > ${after} order by sequence limit ${size}`;
      for await (const lines of wholeLines(copiedOut(client, `copy (${rows}) to stdout`))) {
        after = lastSequence(lines) ?? after; // what has none is refused by whoever writes it
        yield lines;
      }
      pages.succeeded();
      if (after === from) return;
    } catch (error) {
      if (!tookTooLong(error) || (size <= 1 && after === from)) throw error;
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

function lastSequence(lines: Buffer): number | undefined {
  const line = lines.toString('utf8', lines.lastIndexOf(lineFeed, -2) + 1, lines.length - 1);
  return sequenceIn(unescaped(line));
}

/**
 * Remove a month from the database: only if the archive in `folder` has all of it, and no log, subscription or projection
 * lacks any of it; or with `force`, which asks none of these. Asked in the transaction that drops, behind its lock.
 * @throws ArchiveDamaged, FileRefused, PartitionNeeded
 */
export async function dropMonth(
  client: pg.ClientBase,
  schema: string,
  month: string,
  folder: string | undefined,
  force: boolean,
  limits: ArchiveLimits = {},
): Promise<void> {
  const name = pg.escapeIdentifier(schema);
  const partition = partitionOf(checkMonth('month', month));
  const archive = force ? undefined : await verifyArchive(fileOf(folder ?? '.', month), undefined, limits);
  // Read whole before the lock, which holds everybody; behind it only whether anything has changed since is looked at.
  const before = archive && (await stampOf(client, `${name}.${partition}`, schema, partition));
  if (archive) await checkArchived(client, `${name}.${partition}`, archive, partition, limits);
  await retried(client, async () => {
    await client.query(beginSql(`lock_timeout = ${lockTimeoutMs}`));
    // From the top, as writers do; the other way round they and we would wait for each other.
    await client.query(`lock table ${name}.domain_events in access exclusive mode`);
    if (!(await isAttached(client, schema, partition))) throw needed(partition, 'it is not there any more');
    if (archive && (await stampOf(client, `${name}.${partition}`, schema, partition)) !== before) {
      throw needed(partition, 'it has changed meanwhile; try again');
    }
    if (archive) await checkPassed(client, name, partition);
    // An event that is gone can go into no log: its row would only stand in the way.
    await client.query(
      `delete from ${name}.outbox o using ${name}.${partition} e where o.id = e.id and o.occurred_at = e.occurred_at`,
    );
    await client.query(`drop table ${name}.${partition}`);
    await client.query('commit');
  });
}

/** Other rows, other stamp: which row versions there are, without what is in them. */
async function stampOf(client: pg.ClientBase, table: string, schema: string, partition: string): Promise<string> {
  if (!(await isAttached(client, schema, partition))) throw needed(partition, 'it is not there any more');
  const { rows } = await client.query(
    `select count(*) || ' ' || coalesce(sum(hashtextextended(e.ctid::text || ' ' || e.xmin::text, 0)), 0) as stamp
     from ${table} e`,
  );
  return rows[0].stamp;
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

/** Ask everybody who reads the history of their log from here. */
async function checkPassed(client: pg.ClientBase, schema: string, partition: string): Promise<void> {
  const table = `${schema}.${partition}`;
  const { rows: waiting } = await client.query(
    `select count(*)::float8 as count from ${table} e
     join ${schema}.outbox o on o.id = e.id and o.occurred_at = e.occurred_at`,
  );
  if (waiting[0].count > 0) throw needed(partition, `${waiting[0].count} of its events have not come into a log yet`);
  const { rows: behind } = await client.query(
    `select reader.name, reader.log_id, reader.position::float8 as position, last.position::float8 as last
     from (select handler_name as name, log_id, position from ${schema}.event_handler_positions
           union all select name, log_id, position from ${schema}.log_readers) reader
     join (select log_id, max(position) as position from ${table} where log_id is not null group by log_id) last
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
