// Handlers with PostgreSQL: a projection into a table, against a bare upsert of the very rows that it writes, batch by batch;
// and the replay of events that only PostgreSQL has.
import pg from 'pg';
import { createRuntime, defineProjection, migrate, postgres, type Runtime } from '../src/index.ts';
import { inspectLog } from '../src/log/inspect.ts';
import { Probe } from './aggregates.ts';
import {
  answer,
  interleave,
  median,
  onScratchFolder,
  type Row,
  roundsOf,
  runAlone,
  type Suite,
  sized,
  thousands,
} from './measure.ts';
import type { Routed } from './payload.ts';
import { run, withDatabase } from './postgres-bench.ts';

interface Totals {
  calls: number;
  attempts: number;
  trunk: string;
}

const batchEvents = 2_000;
const columns = 'id text primary key, calls int not null, attempts int not null, trunk text not null';

const apply = (row: Totals, data: Routed): Totals => ({
  calls: row.calls + 1,
  attempts: row.attempts + data.attempts,
  trunk: data.trunk,
});
const init = (): Totals => ({ calls: 0, attempts: 0, trunk: '' });

let round = 0;

/** Events/s from the log into a new table. */
async function project(runtime: Runtime, url: string, last: number): Promise<number> {
  const name = `totals_${round++}`;
  await run(url, `create table ${name} (${columns}); checkpoint`);
  const projection = runtime.project(
    defineProjection<Totals>({
      name,
      into: { table: name, keyColumn: 'id', batchEvents },
      init,
      apply: (row, { data }) => apply(row, data as Routed),
    }),
  );
  // Built beside the table until it has caught up: what is measured is the folding, not the switch.
  const start = performance.now();
  const { subscriptions } = runtime.status();
  const folding = async (): Promise<number> => {
    for (;;) {
      const status = runtime.status().subscriptions.find(({ name: of }) => of === `projection:${name}#1`);
      if (status !== undefined && status.position >= last) return (performance.now() - start) / 1000;
      if (status?.state === 'stopped') throw new Error(status.lastError);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
  const seconds = await folding();
  if (subscriptions.length > 0) throw new Error('another projection runs beside');
  await projection.caughtUpTo(last, { timeoutMs: 600_000 });
  await projection.close();
  return last / seconds;
}

/** The rows of each batch, as JSON, made beforehand. */
async function batchesOf(runtime: Runtime): Promise<string[]> {
  const rows = new Map<string, Totals>();
  const batches: string[] = [];
  let changed = new Set<string>();
  let taken = 0;
  const end = (): void => {
    batches.push(JSON.stringify([...changed].map((id) => ({ id, ...rows.get(id)! }))));
    changed = new Set();
  };
  for await (const { aggregateId, data } of runtime.events()) {
    rows.set(aggregateId, apply(rows.get(aggregateId) ?? init(), data as Routed));
    changed.add(aggregateId);
    if (++taken % batchEvents === 0) end();
  }
  if (changed.size > 0) end();
  return batches;
}

async function bareUpsert(url: string, batches: readonly string[], last: number): Promise<number> {
  const name = `bare_${round++}`;
  await run(url, `create table ${name} (${columns}); checkpoint`);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const start = performance.now();
  for (const rows of batches) {
    await client.query('begin');
    await client.query(
      `insert into ${name} (id, calls, attempts, trunk)
       select id, calls, attempts, trunk from json_populate_recordset(null::${name}, $1)
       on conflict (id) do update set calls = excluded.calls, attempts = excluded.attempts, trunk = excluded.trunk`,
      [rows],
    );
    await client.query('commit');
  }
  const seconds = (performance.now() - start) / 1000;
  await client.end();
  return last / seconds;
}

async function replay(runtime: Runtime, last: number): Promise<number> {
  let attempts = 0;
  const { eventsPerSecond } = await runtime.replay({
    to: last,
    into: ({ data }) => {
      attempts += (data as Routed).attempts;
    },
  });
  if (attempts < last) throw new Error('the replay is wrong');
  return eventsPerSecond;
}

export const handlersPostgres: Suite = (settings) =>
  withDatabase((url) =>
    onScratchFolder(async (dataDir): Promise<Row[]> => {
      await migrate({ connection: url });
      const store = postgres({ connectionString: url });
      const log = { retainBytes: 0 };
      await using runtime = await createRuntime({ logger: false, dataDir, aggregates: [Probe], shards: 1, store, log });
      // Calls go on side by side: the events of a batch are about as many of them.
      const calls = sized(settings, { smoke: 500, quick: 5_000, full: 10_000 });
      const rounds = sized(settings, { smoke: 4, quick: 10, full: 20 });
      for (let i = 0; i < rounds; i++) {
        await Promise.all(Array.from({ length: calls }, (_, of) => runtime.ref(Probe, `call-${of}`).routeMany(1)));
      }
      await runtime.reached('stored');
      const last = runtime.status().written;
      const batches = await batchesOf(runtime);
      const repetitions = roundsOf(settings, 5);
      const rates = await interleave(
        repetitions,
        () => project(runtime, url, last),
        () => bareUpsert(url, batches, last),
      );
      const replays: number[] = [];
      for (let i = 0; i < repetitions; i++) replays.push(await replay(runtime, last));
      const kept = inspectLog(`${dataDir}/log`)?.firstPosition ?? 0;
      const rows = `${last} events, ${batchEvents} a batch, ${calls} rows, each as often`;
      return [
        answer(
          'projection-postgres',
          rates.a.map((rate, i) => rate / rates.b[i]!),
          `${rows}: ${thousands(median(rates.a))} events/s, bare ${thousands(median(rates.b))}`,
        ),
        answer('handler-replay-postgres', replays, `${last} events, of which the log has those from ${kept} on`),
      ];
    }),
  );

await runAlone(import.meta.url, handlersPostgres);
