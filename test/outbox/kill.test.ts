// The relay, killed between claim, append and delete, again and again; and what the log itself says afterwards.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { expect, test } from 'vitest';
import { migrate, postgres } from '../../src/index.ts';
import { eachFrame } from '../../src/log/frames.ts';
import { mapBytesFor, openLogReader } from '../../src/log/lmdb.ts';
import { FrameFlag, FrameKind } from '../../src/wire/frame.ts';
import { freshDatabase } from '../postgres.ts';
import { scratchFolder, startRuntime, until } from '../runtime/scratch.ts';

const child = new URL('./relaying-child.ts', import.meta.url).pathname;
const rounds = process.env.TRUNKLINE_LONG ? 50 : 3;
/** Of a writer: a load that the relay keeps up with, whatever the database could take. */
const paceMs = 5;
const schema = 'killed';

/**
 * Run a relaying process until it has heard so many events, and kill it. With `hold` the flusher cannot move its checkpoint
 * from then on, until the next process relays again: what is in the log is then still in the outbox, claimed.
 */
async function runAndKill(
  dataDir: string,
  url: string,
  after: number,
  holder: pg.Client,
  hold: boolean,
): Promise<void> {
  const words = ['--conditions=trunkline-source', '--min-semi-space-size=16', child, dataDir, url, schema];
  const process_ = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = new Promise<NodeJS.Signals | null>((resolve) => process_.once('exit', (_, signal) => resolve(signal)));
  for await (const line of createInterface({ input: process_.stdout })) {
    if (line === '1') await holder.query('rollback');
    if (line === '1' && hold) await holder.query(`begin; select from ${schema}.flush_checkpoints for update`);
    if (Number(line) >= after) process_.kill('SIGKILL');
  }
  expect(await exited).toBe('SIGKILL');
}

test(`each event once in the log and in the store, in order, after ${rounds} kills`, {
  timeout: 60_000 + rounds * 10_000,
}, async () => {
  const url = await freshDatabase();
  await migrate({ connection: url, schema });
  const dataDir = scratchFolder();
  const holder = new pg.Client({ connectionString: url });
  await holder.connect();
  let isWriting = true;
  const committed: string[][] = [];
  const write = async (writer: number): Promise<void> => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const order: string[] = [];
    committed.push(order);
    for (let i = 0; isWriting; i++) {
      // One aggregate of the writer's own, and one that all of them share.
      const { rows } = await client.query(
        `select ${schema}.raise_event('own', $1, 'Raised', '{}') as own, ${schema}.raise_event('shared', 's', 'Raised', '{}')`,
        [`w${writer}`],
      );
      order.push(`w${writer}/${rows[0].own}`);
      if (i % 7 === 0) await client.query('begin; select pg_current_xact_id(); rollback');
      await pause(paceMs);
    }
    await client.end();
  };
  const writing = Promise.all([1, 2, 3].map(write));
  for (let round = 1; round <= rounds; round++)
    await runAndKill(dataDir, url, 20 + ((round * 37) % 400), holder, round % 2 === 1);
  isWriting = false;
  await writing;
  await holder.end();

  const store = postgres({ connectionString: url, schema });
  const runtime = await startRuntime({ dataDir, store });
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const left = async (): Promise<number> => (await client.query(`select from ${schema}.outbox`)).rowCount ?? 0;
  await until(left, (count) => count === 0, 60_000);
  await runtime.close();

  const log = openLogReader(join(dataDir, 'log'), mapBytesFor(2 ** 32));
  const positions = new Map<string, number>();
  const versions = new Map<string, number>();
  const seen: string[] = [];
  eachFrame(log, 1, Number.MAX_SAFE_INTEGER, (frame, position) => {
    if (frame.kind !== FrameKind.event) return;
    expect(frame.flags & FrameFlag.alreadyStored).not.toBe(0);
    expect(positions.has(frame.id)).toBe(false);
    positions.set(frame.id, position);
    const key = `${frame.aggregateType}/${frame.aggregateId}`;
    expect(frame.version).toBe((versions.get(key) ?? 0) + 1);
    versions.set(key, frame.version);
    if (frame.aggregateType === 'own') seen.push(`${frame.aggregateId}/${frame.version}`);
  });
  await log.close();
  const { rows } = await client.query(`select id::text, position::int from ${schema}.domain_events`);
  await client.end();
  expect(rows.length).toBeGreaterThan(rounds * 50);
  expect(new Map(rows.map(({ id, position }) => [id, position]))).toEqual(positions);
  // Whoever has seen its own commit before it wrote again finds the log to say the same.
  for (const order of committed) {
    const mine = new Set(order);
    expect(seen.filter((each) => mine.has(each))).toEqual(order);
  }
});
