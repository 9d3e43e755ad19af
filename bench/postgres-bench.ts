// What the suites about PostgreSQL share: a server of their own (or TRUNKLINE_TEST_POSTGRES), a log to flush, a flusher run.
import { randomBytes } from 'node:crypto';
import { finished } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { planOf } from '../src/adapters/postgres/flush/plan.ts';
import { PostgresSink } from '../src/adapters/postgres/flush/sink.ts';
import { EventRowWriter, eventColumns } from '../src/adapters/postgres/rows/rows.ts';
import { BatchBuffer } from '../src/flush/batch.ts';
import { Flusher } from '../src/flush/flusher.ts';
import { createRuntime, migrate, postgres } from '../src/index.ts';
import { mapBytesFor, openLogReader } from '../src/log/lmdb.ts';
import type { LogSource } from '../src/log/log.ts';
import { FrameReader } from '../src/wire/frame.ts';
import { PostgresServer } from '../test/postgres-server.ts';
import { Probe } from './aggregates.ts';
import { onScratchFolder } from './measure.ts';

const logOptions = { maxBytes: 2 ** 31, retainBytes: 2 ** 30 };
const logId = '00000000000000aa';

/** A server and a database of one's own; `hold` is there if the server is ours. */
export async function withDatabase<T>(
  work: (url: string, server: PostgresServer | undefined) => Promise<T>,
): Promise<T> {
  const given = process.env.TRUNKLINE_TEST_POSTGRES;
  const server =
    given === undefined ? await PostgresServer.start(['shared_buffers=512MB', 'min_wal_size=1GB']) : undefined;
  const admin = new pg.Client({ connectionString: given ?? server!.url() });
  await admin.connect();
  const name = `trunkline_bench_${randomBytes(6).toString('hex')}`;
  await admin.query(`create database ${name}`);
  const url = new URL(given ?? server!.url());
  url.pathname = `/${name}`;
  try {
    return await work(url.href, server);
  } finally {
    await admin.query(`drop database ${name} with (force)`);
    await admin.end();
    await server?.stop();
  }
}

/**
 * WAL files to be used again, as a server has them that has run for a while. A new one makes them, and fills each with 16 MiB
 * of zeros while all its commits wait: 50 to 80 ms here, every few seconds.
 */
export async function recycleWal(url: string, files: number): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  for (let i = 0; i < files; i++) {
    await client.query(`select pg_logical_emit_message(false, 'bench', 'fills')`);
    await client.query('select pg_switch_wal()');
  }
  await client.query('checkpoint');
  await client.end();
}

/** A log of `rounds` × 1,000 aggregates × ten events, and nothing else that would write. */
export function withLog<T>(
  rounds: number,
  aggregates: number,
  work: (log: LogSource, last: number) => Promise<T>,
): Promise<T> {
  return onScratchFolder(async (dataDir) => {
    let last = 0;
    {
      await using runtime = await createRuntime({
        logger: false,
        dataDir,
        aggregates: [Probe],
        shards: 1,
        log: logOptions,
      });
      for (let round = 0; round < rounds; round++) {
        const calls = Array.from({ length: aggregates }, (_, i) => runtime.ref(Probe, `call-${i}`).routeMany(10));
        await Promise.all(calls);
      }
      last = runtime.status().written;
      await runtime.reached('stored');
    }
    const log = openLogReader(`${dataDir}/log`, mapBytesFor(logOptions.maxBytes));
    try {
      return await work(log, last);
    } finally {
      await log.close();
    }
  });
}

/** From the log into the store, by the sink and the flusher that a runtime uses: heads, events, checkpoint. Events/s. */
export async function flush(
  url: string,
  schema: string,
  log: LogSource,
  last: number,
  batchFrames: number,
): Promise<number> {
  const { settings } = postgres({ connectionString: url, schema });
  const sink = new PostgresSink(settings, logId, 1, { quarantined: () => stop('an event was quarantined') });
  const start = performance.now();
  const reached = Promise.withResolvers<void>();
  const flusher = new Flusher({
    name: 'store',
    sink,
    log,
    limit: () => last,
    batchFrames,
    batchBytes: 1 << 28,
    onPosition: (position) => position >= last && reached.resolve(),
    onFailure: (error) => reached.reject(error),
  });
  const run = flusher.run();
  await reached.promise;
  const seconds = (performance.now() - start) / 1000;
  flusher.stop();
  await run;
  return last / seconds;
}

/** The same rows by a bare COPY and a commit for each batch: made beforehand, nothing else asked. Events/s. */
export async function bareCopy(
  url: string,
  schema: string,
  log: LogSource,
  last: number,
  batchFrames: number,
): Promise<number> {
  const batches: Buffer[] = [];
  for (let from = 1; from <= last; from += batchFrames) {
    const batch = new BatchBuffer();
    batch.begin(from);
    while (batch.toPosition < last && batch.count < batchFrames) batch.take(log.read(batch.toPosition + 1)!, last);
    const rows = new EventRowWriter(logId);
    rows.begin();
    const frame = new FrameReader(batch.bytes);
    for (const { offset, position } of planOf(batch).entries) rows.add(frame.at(offset), position);
    batches.push(Buffer.from(rows.bytes()));
    from = batch.toPosition - batchFrames + 1;
  }
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const start = performance.now();
  for (const rows of batches) {
    await client.query('begin; set local synchronous_commit = on');
    const stream = client.query(copyFrom(`copy ${schema}.domain_events (${eventColumns}) from stdin (format binary)`));
    stream.end(rows);
    await finished(stream);
    await client.query('commit');
  }
  const seconds = (performance.now() - start) / 1000;
  await client.end();
  return last / seconds;
}

/** Tables as if nothing had been written, partitions as they are. A server that others use, too, is asked for no checkpoint. */
export async function empty(url: string, schema: string): Promise<void> {
  await run(
    url,
    `truncate ${schema}.domain_events, ${schema}.aggregates, ${schema}.flush_checkpoints, ${schema}.snapshots`,
  );
  if (process.env.TRUNKLINE_TEST_POSTGRES === undefined) await run(url, 'checkpoint');
}

/** A schema with partitions for this month and `months - 1` before. */
export async function schemaWith(url: string, schema: string, months: number): Promise<void> {
  await migrate({ connection: url, schema });
  await run(
    url,
    `select ${schema}.make_partition(now() - make_interval(months => month)) from generate_series(0, ${months - 1}) month`,
  );
}

export async function run(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(sql);
  await client.end();
}

function stop(reason: string): never {
  throw new Error(reason);
}
