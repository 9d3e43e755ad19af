// Kill -9 at any instant, and handlers that fail at random: at the end each event has been handled, in the order of its
// aggregate, with an effect that happened once; or it lies in the dead letters. On both stores; TRUNKLINE_LONG=1: 200 kills,
// 100,000 events; TRUNKLINE_KILLS: so many, 500 events each.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { postgres } from '../../src/index.ts';
import { administer, migratedDatabase } from '../postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { scratchFolder, startSmall as startRuntime, until } from '../runtime/scratch.ts';
import { count } from './counts.ts';

const service = new URL('./chaotic-service.ts', import.meta.url).pathname;
const isLong = process.env.TRUNKLINE_LONG === '1';
const kills = isLong ? 200 : Number(process.env.TRUNKLINE_KILLS ?? 2);
const events = 500 * kills;
/** Of all that is waited for: a loaded machine needs a multiple of the usual time. */
const boundMs = 240_000 + kills * 20_000;

interface Told {
  kind: 'handled' | 'wrong' | 'sent';
  id: string;
  aggregateId: string;
  version: number;
  counted?: number;
}

async function runAndKill(given: readonly string[], seed: number, wanted: number, lines: number): Promise<Told[]> {
  const [dataDir, ...database] = given;
  const args = [
    '--conditions=trunkline-source',
    '--min-semi-space-size=16',
    service,
    dataDir!,
    String(seed),
    String(wanted),
    ...database,
  ];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const told: Told[] = [];
  const exited = new Promise<NodeJS.Signals | null>((resolve) => child.once('exit', (_, signal) => resolve(signal)));
  // A run that has sent everything may have too little left to handle: it is killed all the same.
  let timer: NodeJS.Timeout | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.endsWith('}')) told.push(JSON.parse(line) as Told);
    if (told.at(-1)?.kind === 'sent') timer ??= setTimeout(() => child.kill('SIGKILL'), 2_000);
    if (told.length === lines) child.kill('SIGKILL');
  }
  clearTimeout(timer);
  expect(await exited).toBe('SIGKILL');
  return told;
}

/** In a run an aggregate's events come one after the other; a new run begins no later than where the last one was. */
function checkOrder(name: string, run: readonly Told[], reached: Map<string, number>, wrong: string[]): void {
  const inRun = new Map<string, number>();
  for (const { kind, aggregateId, version, counted } of run) {
    if (kind === 'wrong') wrong.push(`${name}: ${aggregateId}@${version} finds ${counted} counted`);
    if (kind !== 'handled') continue;
    const last = inRun.get(aggregateId);
    if (last !== undefined && version !== last + 1) wrong.push(`${name}: ${aggregateId}@${version} after ${last}`);
    if (version > (reached.get(aggregateId) ?? 0) + 1) wrong.push(`${name}: ${aggregateId}@${version} skips`);
    inRun.set(aggregateId, version);
    reached.set(aggregateId, Math.max(reached.get(aggregateId) ?? 0, version));
  }
}

/** Its name, with its table for the effects that happen there. */
async function databaseWithCounts(): Promise<string> {
  const url = await migratedDatabase();
  await administer(url, 'create table counts (aggregate_id text primary key, version int)');
  return url;
}

test.each(['embedded', 'postgres'])(
  `%s: ${kills} kills over ${events} events lose, reorder or repeat nothing`,
  async (where) => {
    const dataDir = scratchFolder();
    const url = where === 'postgres' ? await databaseWithCounts() : undefined;
    const given = url === undefined ? [dataDir] : [dataDir, url];
    const reached = new Map<string, number>();
    const handled = new Set<string>();
    const wrong: string[] = [];
    for (let run = 1; run <= kills; run++) {
      const told = await runAndKill(given, run, (events / kills) * run, Math.ceil((events / kills) * 0.9));
      checkOrder(`run ${run}`, told, reached, wrong);
      for (const { kind, id } of told) if (kind === 'handled') handled.add(id);
    }
    // The last run: no failures, and what is parked is left where it is first.
    const runtime = await startRuntime({ dataDir, ...(url && { store: postgres({ connectionString: url }) }) });
    const last: Told[] = [];
    const subscription = runtime.subscribe({
      name: 'chaos',
      async handle({ id, aggregateId, version }, { tx }) {
        const counted = await count(tx, aggregateId, version, url !== undefined);
        if (counted !== version - 1) last.push({ kind: 'wrong', id, aggregateId, version, counted });
        last.push({ kind: 'handled', id, aggregateId, version });
      },
    });
    await subscription.caughtUpTo(runtime.status().written, { timeoutMs: boundMs });
    const parked = new Set((await runtime.deadLetters.list({ limit: 1e6 })).map(({ event }) => event.id));
    for (const { id } of last) handled.add(id);
    const lost: string[] = [];
    let total = 0;
    for await (const { id } of runtime.events()) {
      total++;
      if (!handled.has(id) && !parked.has(id)) lost.push(id);
    }
    expect(total).toBeGreaterThanOrEqual(events / 2);
    await runtime.deadLetters.requeue({ all: true, limit: 1e6 });
    await until(
      () => subscription.status().deadLetters,
      (left) => left === 0,
      boundMs,
    );
    checkOrder('last run', last, reached, wrong);
    expect({ wrong, lost }).toEqual({ wrong: [], lost: [] });
    await runtime.reached('stored');
    const rows = url ? await administer(url, 'select * from counts') : [];
    const counts = new Map<string, unknown>(rows.map((row) => [row.aggregate_id, row.version]));
    for (const { key, value } of await runtime.effects.range('counts')) counts.set(key, value);
    for await (const { id, version } of runtime.store.heads(Counter)) {
      expect([id, reached.get(id), counts.get(id)]).toEqual([id, version, version]);
    }
    if (!url) return;
    await until(
      () => administer(url, `select from trunkline.handler_entries where table_name = 'handled'`),
      (left) => left.length === 0,
    );
  },
  boundMs,
);
