// SIGKILL at each point between the handling of an event and its checkpoint, on both stores: its effects happen once, it is
// parked once, and its aggregate's order holds. In PostgreSQL either of two guards is enough for that: see `doneAbove`, and
// regrouped.test.ts for what only one of them covers.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { postgres } from '../../src/index.ts';
import { administer, migratedDatabase } from '../postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { scratchFolder, startSmall as startRuntime } from '../runtime/scratch.ts';
import { handlePoint } from './points.ts';

const service = new URL('./points-service.ts', import.meta.url).pathname;
/**
 * With how often it is passed before. A first commit after a kill says what the last run had done, and no less; a kill that lets
 * many events be handled stands between two that let none: an event that two processes in a row end at is not executed again.
 */
const points: readonly (readonly [string, number])[] = [
  ['before its effects count', 2],
  ['after its effects count', 5],
  ['after the checkpoint', 1],
  ['after its effects count', 8],
  ['before the checkpoint', 1],
  ['when it becomes a dead letter', 1],
  ['after its effects count', 17],
];

async function killAt(point: string, times: number, [dataDir, ...database]: readonly string[]): Promise<void> {
  const args = [
    '--conditions=trunkline-source',
    '--min-semi-space-size=16',
    service,
    dataDir!,
    point,
    String(times),
    ...database,
  ];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'inherit', 'inherit'], timeout: 60_000 });
  const [, signal] = await once(child, 'exit');
  expect([point, signal]).toEqual([point, 'SIGKILL']);
}

test.each(['embedded', 'postgres'])(
  '%s: a kill at each point',
  async (where) => {
    const dataDir = scratchFolder();
    let url: string | undefined;
    if (where === 'postgres') {
      url = await migratedDatabase();
      await administer(url, 'create table counts (aggregate_id text primary key, version int)');
    }
    for (const [point, times] of points) {
      await killAt(point, times, url ? [dataDir, url] : [dataDir]);
    }
    const runtime = await startRuntime({ dataDir, ...(url && { store: postgres({ connectionString: url }) }) });
    const subscription = runtime.subscribe({
      name: 'points',
      retry: { attempts: 1 },
      handle: (event, { tx }) => handlePoint(event, tx, url !== undefined),
    });
    await subscription.caughtUpTo(runtime.status().written, { timeoutMs: 600_000 });
    const letters = await runtime.deadLetters.list({ limit: 1e6 });
    const counts = new Map<string, unknown>();
    for (const { key, value } of await runtime.effects.range('counts')) counts.set(key, value);
    for (const row of url ? await administer(url, 'select * from counts') : [])
      counts.set(row.aggregate_id, row.version);
    await runtime.reached('stored');
    for await (const { id, version } of runtime.store.heads(Counter)) {
      const parked = letters.filter(({ event }) => event.aggregateId === id).map(({ event }) => event.version);
      const behind = id === 'c7' && version >= 7 ? Array.from({ length: version - 6 }, (_, i) => i + 7) : [];
      expect([id, parked]).toEqual([id, behind]);
      expect([id, counts.get(id)]).toEqual([id, version - behind.length]);
    }
    expect(letters[0]?.error?.message).toBe('parked on purpose');
    expect(new Set(letters.map(({ id }) => id)).size).toBe(letters.length);
  },
  600_000,
);
