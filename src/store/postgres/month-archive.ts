// Months out of the database: into an archive, and away once that is whole.
import { mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { TrunklineError } from '../../errors.ts';
import { type ArchiveInfo, verifyArchive, writeArchive } from './archive-file.ts';
import { copiedOut } from './copy-out.ts';
import { partitionOf, retried } from './months.ts';

const lockTimeoutMs = 2000;
const fileOf = (folder: string, month: string): string => join(folder, `${partitionOf(month)}.jsonl.zst`);

/**
 * Write one month into `folder` (made if absent); returns what the finished file says when it is read back. An archive of
 * that month that is there already is replaced once the new one is whole.
 */
export async function archiveMonth(
  client: pg.ClientBase,
  schema: string,
  month: string,
  folder: string,
  signal?: AbortSignal,
): Promise<ArchiveInfo> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const file = fileOf(await realpath(folder), month);
  const table = `${pg.escapeIdentifier(schema)}.${partitionOf(month)}`;
  // Text, not CSV: JSON text has no tabs or newlines; only its backslashes are doubled.
  const rows = copiedOut(client, `copy (select to_jsonb(e) from ${table} e order by sequence) to stdout`);
  return writeArchive(file, rows, signal);
}

/**
 * Remove a month from the database: only if the archive in `folder` has all of it and no log lacks any of it, or with
 * `force`, which asks for neither.
 * @throws ArchiveDamaged, PartitionNeeded
 */
export async function dropMonth(
  client: pg.ClientBase,
  schema: string,
  month: string,
  folder: string | undefined,
  force: boolean,
): Promise<void> {
  const name = pg.escapeIdentifier(schema);
  const partition = partitionOf(month);
  const table = `${name}.${partition}`;
  const archive = force ? undefined : await verifyArchive(fileOf(folder ?? '.', month));
  await retried(client, async () => {
    await client.query(`begin; set local lock_timeout = ${lockTimeoutMs}`);
    // From the top, as writers do; the other way round they and we would wait for each other.
    await client.query(`lock table ${name}.domain_events in access exclusive mode`);
    if (archive) {
      const { rows } = await client.query(
        `select count(*)::float8 as events, coalesce(max(e.sequence), 0)::float8 as last, count(o.sequence)::float8 as waiting
         from ${table} e left join ${name}.outbox o on o.id = e.id and o.occurred_at = e.occurred_at`,
      );
      const { events, last, waiting } = rows[0];
      const refuse = (reason: string): never => {
        throw new TrunklineError('PartitionNeeded', { partition, reason });
      };
      if (waiting > 0) refuse(`${waiting} of its events have not come into a log yet`);
      if (events !== archive.events || last !== archive.lastSequence) {
        refuse(`it has ${events} events, and its archive ${archive.events}; archive it again`);
      }
    }
    await client.query(`drop table ${table}`);
    await client.query('commit');
  });
}
