// With PostgreSQL, what is published counts once it is stored, too: for a receipt, and for all that was written.
import { setImmediate as turn } from 'node:timers/promises';
import pg from 'pg';
import { expect, test } from 'vitest';
import { postgres } from '../../src/index.ts';
import { migratedDatabase } from '../postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { startRuntime, until } from '../runtime/scratch.ts';
import { setUp } from './setup.ts';

test('`published` waits for a store that stands still', { timeout: 60_000 }, async () => {
  const connectionString = await migratedDatabase();
  const { stream } = await setUp();
  const runtime = await startRuntime({ store: postgres({ connectionString }), stream });
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    await client.query('begin; lock table trunkline.domain_events in exclusive mode');
    const receipt = await runtime.ref(Counter, runtime.newId()).add(1);
    const stored = (): number => runtime.status().stored;
    const waits = [runtime.reached('published').then(stored), receipt.reached('published').then(stored)];
    await until(
      () => runtime.status().published!,
      (position) => position >= receipt.position,
    );
    await turn();
    await client.query('rollback');
    expect(await Promise.all(waits)).toEqual([receipt.position, receipt.position]);
  } finally {
    await client.end();
  }
});
