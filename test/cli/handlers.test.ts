// `dead-letters` and `replay` from another process: beside the service that owns the data directory, and without one.
import { spawn } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { postgres, type Runtime } from '../../src/index.ts';
import { freshDatabase } from '../postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, scratchFolder, startRuntime, until } from '../runtime/scratch.ts';

const program = new URL('./handlers-program.ts', import.meta.url).pathname;

function run(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--conditions=trunkline-source', program, ...args], { timeout: 30_000 });
    let out = '';
    let err = '';
    child.stdout.on('data', (text) => {
      out += text;
    });
    child.stderr.on('data', (text) => {
      err += text;
    });
    child.once('close', (code) => resolve({ code, out, err }));
  });
}

test('list, show, dry run, edit, requeue, discard, replay', async () => {
  const dataDir = scratchFolder();
  const heard: unknown[] = [];
  const subscribe = (on: Runtime): unknown =>
    on.subscribe({
      name: 'labels',
      retry: { attempts: 1 },
      handle(event) {
        if (event.data.label === 'bad') throw new Error('bad label');
        heard.push(event.data);
      },
    });
  const runtime = await startRuntime({ dataDir });
  subscribe(runtime);
  for (const id of ['a', 'b']) {
    await runtime.ref(Counter, id).label('bad');
    await runtime.ref(Counter, id).add(1);
  }
  await runtime.subscriptions.named('labels').caughtUpTo(runtime.status().written);
  const at = ['--data-dir', dataDir];
  const listed = await until(
    () => run('dead-letters', 'list', ...at, '--handler', 'labels'),
    ({ out }) => out.includes('4 dead letters'), // once that is committed
  );
  expect(listed.out).toMatch(
    /counter\/a@1 {2}Labelled {2}failed {2}1 attempts .* Error: bad label\n.*counter\/a@2 {2}Added {2}behind/,
  );
  // A database that the shell happens to name does not hold what this service keeps on its own disk.
  const named = [...at, '--postgres', await freshDatabase()];
  expect((await run('dead-letters', 'list', ...named, '--handler', 'labels')).out).toBe(listed.out);
  const [a, , b] = listed.out.split('\n').map((line) => line.split('  ')[0]!);
  expect(JSON.parse((await run('dead-letters', 'show', a!, ...at)).out)).toMatchObject({
    id: a,
    event: { data: { label: 'bad' } },
  });
  expect((await run('dead-letters', 'requeue', a!, '--dry-run', ...at)).out).toContain('would fail  Error: bad label');
  const file = join(dirname(dataDir), 'data.json');
  writeFileSync(file, '{"label":""}');
  const endless = await run('dead-letters', 'edit', a!, '--data', '/dev/zero', ...at);
  expect(endless).toMatchObject({ code: 1, err: expect.stringContaining('/dev/zero is larger than') });
  const refused = await run('dead-letters', 'edit', a!, '--data', file, ...at);
  expect([refused.code, refused.err]).toEqual([1, expect.stringMatching(/^trunkline: counter\.Labelled: label/)]);
  writeFileSync(file, '{"label":"good"}');
  expect((await run('dead-letters', 'edit', a!, '--data', file, ...at)).out).toContain('edited');
  expect((await run('dead-letters', 'requeue', '--id', 'a', ...at)).out).toContain('requeued');
  await until(
    () => heard.length,
    (count) => count === 2,
  );
  expect(heard).toEqual([{ label: 'good' }, { amount: 1 }]);
  const replayed = await run('replay', '--handler', 'labels', '--type', 'Added', ...at);
  expect(replayed.out).toMatch(/^2 events replayed into labels in .* 0 failed/);
  expect(replayed.err).toMatch(/100 % {2}2 events, 0 failed/);
  expect((await run('replay', '--handler', 'nobody', ...at)).err).toMatch(/no subscription 'nobody'/);
  expect((await run('dead-letters', 'discard', '--handler', 'label', ...at)).err).toMatch(
    /no handler 'label' .*known: labels/,
  );
  const status = JSON.parse((await run('status', '--json', ...at)).out);
  expect(status.handlers).toMatchObject([{ name: 'labels', lagPositions: 0, deadLetters: 2 }]);
  await runtime.close();
  // Nobody owns the directory now.
  const began = performance.now();
  expect(await run('replay', '--handler', 'labels', ...at)).toMatchObject({
    code: 1,
    err: expect.stringMatching(/no service runs on/),
  });
  expect(performance.now() - began).toBeLessThan(25_000); // it has not waited for an answer
  expect(await run('dead-letters', 'edit', b!, '--data', file, ...at)).toMatchObject({
    code: 1,
    err: expect.stringMatching(/no service runs on .* schema is known only there; --unchecked/),
  });
  expect((await run('dead-letters', 'edit', b!, '--data', file, '--unchecked', ...at)).out).toContain('edited');
  expect((await run('dead-letters', 'list', '--handler', 'label', ...at)).err).toMatch(
    /no handler 'label' .*known: labels/,
  );
  expect((await run('dead-letters', 'list', ...at)).out).toContain('2 dead letters');
  expect((await run('dead-letters', 'discard', ...at)).err).toMatch(/name one, or select some/);
  expect((await run('dead-letters', 'discard', b!, ...at)).out).toContain('discarded');
  expect((await run('dead-letters', 'show', b!, ...at)).err).toMatch(/there is no dead letter/);
  const second = await startRuntime({ dataDir });
  subscribe(second);
  await until(
    () => heard.length,
    (count) => count === 5, // the event that waited behind the discarded one
  );
  expect(heard.at(-1)).toEqual({ amount: 1 });
  expect(await second.deadLetters.list()).toEqual([]);
  rmSync(file);
}, 120_000);

test('status asks the service how its handlers are; without one they are not running', async () => {
  const dataDir = scratchFolder();
  const runtime = await startRuntime({ dataDir });
  runtime.subscribe({
    name: 'fails',
    retry: { attempts: 1 },
    onExhausted: 'stop',
    handle() {
      throw new Error('no such table');
    },
  });
  const works = runtime.subscribe({ name: 'works', handle() {} });
  await works.caughtUpTo(await runtime.ref(Counter, 'a').add(1));
  await until(
    () => runtime.subscriptions.named('fails').status().state,
    (state) => state === 'stopped',
  );
  await works.pause();
  const at = ['--data-dir', dataDir];
  const { out } = await until(
    () => run('status', ...at),
    (seen) => /^works .* paused /m.test(seen.out) && /^fails .* stopped /m.test(seen.out), // once both have kept anything
  );
  expect(out).toMatch(/\nlast errors:\n {2}fails: .*no such table/);
  await runtime.close();
  expect((await run('status', ...at)).out).toMatch(/^fails .* not running /m);
});

test('status asks the service which of its shards are down, and why', async () => {
  const dataDir = scratchFolder();
  const context = new URL('../runtime/dies-always.ts?way=throws', import.meta.url);
  context.searchParams.set('notes', pathToFileURL(`${dataDir}-notes`).href);
  const starts = { attempts: 1_000, minDelayMs: 50, maxDelayMs: 200 };
  const runtime = await startRuntime({ dataDir, context: context.href, shards: 1, starts });
  const at = ['--data-dir', dataDir];
  expect((await run('status', ...at)).out).not.toMatch(/down for/);
  const crashed = errorOf(runtime.ref(Counter, 'a').crash());
  await until(
    () => runtime.status().downShards,
    ([down]) => (down?.failedStarts ?? 0) > 0,
  );
  const line = /^shard 0: down for \d+ s, failed starts: \d+, last error: .*no context today/m;
  expect((await run('status', ...at)).out).toMatch(line);
  const { downShards } = JSON.parse((await run('status', '--json', ...at)).out);
  expect(downShards).toMatchObject([{ shard: 0, lastError: expect.stringContaining('no context today') }]);
  await runtime.close();
  await crashed;
});

test('with PostgreSQL: the same, with --postgres; without it, a word on what is missing', async () => {
  const connectionString = await freshDatabase();
  const dataDir = scratchFolder();
  const store = postgres({ connectionString, migrate: true });
  const runtime = await startRuntime({ dataDir, store });
  let isBroken = true;
  const heard: string[] = [];
  const subscribe = (on: Runtime): unknown =>
    on.subscribe({
      name: 'broken',
      retry: { attempts: 1 },
      handle({ aggregateId }) {
        if (isBroken) throw new Error('broken');
        heard.push(aggregateId);
      },
    });
  subscribe(runtime);
  for (const id of ['a', 'b']) await runtime.ref(Counter, id).add(1);
  await runtime.subscriptions.named('broken').caughtUpTo(runtime.status().written);
  const at = ['--data-dir', dataDir];
  const withServer = [...at, '--postgres', connectionString];
  expect((await run('dead-letters', 'list', ...at)).err).toMatch(/--postgres: is missing/);
  await until(
    () => run('dead-letters', 'list', ...withServer),
    ({ out }) => out.includes('2 dead letters'),
  );
  isBroken = false;
  expect((await run('dead-letters', 'requeue', '--id', 'a', ...withServer)).out).toContain('requeued');
  await until(
    () => heard,
    (ids) => ids.length === 1,
  );
  await runtime.close();
  expect((await run('dead-letters', 'requeue', '--handler', 'broken', ...withServer)).out).toContain('requeued');
  const second = await startRuntime({ dataDir, store });
  subscribe(second);
  await until(
    () => heard,
    (ids) => ids.length === 2,
  );
  expect(heard).toEqual(['a', 'b']);
}, 120_000);
