// A month of events in a file: JSON lines in the order of their sequence, compressed by zstd, the last line saying how many
// there are and what their SHA-256 is. A file without that line, or with another sum, is no archive, whatever its name.
//
// Written beside under another name, synced, read back whole, and only then given its name: what a crash leaves behind is
// never mistaken for an archive.
import { createHash, type Hash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { createZstdCompress, createZstdDecompress } from 'node:zlib';
import pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { TrunklineError } from '../../errors.ts';
import type { Metadata, StoredEvent } from '../../event.ts';
import { deepFreeze } from '../../payload.ts';
import { partitionOf, retried } from './months.ts';

/** What an archive says of itself. */
export interface ArchiveInfo {
  readonly file: string;
  readonly events: number;
  /** The highest number among them. */
  readonly lastSequence: number;
  /** SHA-256 of all lines but the last, hexadecimal. */
  readonly sha256: string;
}

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
  const draft = `${file}.${process.pid}.part`;
  try {
    const table = `${pg.escapeIdentifier(schema)}.${partitionOf(month)}`;
    // Text, not CSV: JSON text has no tabs or newlines; its backslashes are doubled, and halved again by `unescaped`.
    const rows = client.query(copyTo(`copy (select to_jsonb(e) from ${table} e order by sequence) to stdout`));
    const output = createWriteStream(draft, { mode: 0o600, flags: 'wx', flush: true });
    await pipeline(rows, sealed, createZstdCompress(), output, { signal });
    const info = await verifyArchive(draft, signal);
    await rename(draft, file);
    await syncFolder(folder);
    return { ...info, file };
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
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

/** Read an archive whole. @throws ArchiveDamaged */
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
    for await (const line of createInterface({ input: text, crlfDelay: Number.POSITIVE_INFINITY })) {
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
export async function* readArchive(file: string, signal?: AbortSignal): AsyncGenerator<StoredEvent> {
  await verifyArchive(file, signal);
  for await (const line of archiveLines(file, createHash('sha256'), () => {})) {
    signal?.throwIfAborted();
    yield eventOf(JSON.parse(line));
  }
}

function eventOf(row: any): StoredEvent {
  const { id, version, schema_version: schemaVersion, event_type: type } = row;
  const occurredAt = new Date(row.occurred_at).getTime();
  const metadata = deepFreeze(row.metadata ?? {}) as Metadata;
  const fields = {
    id,
    position: row.position ?? 0,
    aggregateType: row.aggregate_type,
    aggregateId: row.aggregate_id,
    version,
    type,
    schemaVersion,
    data: deepFreeze(row.data),
    metadata,
  };
  return Object.freeze({
    ...fields,
    occurredAt: new Date(occurredAt),
    toJSON: () => ({ ...fields, occurredAt: new Date(occurredAt).toISOString() }),
  });
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

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
