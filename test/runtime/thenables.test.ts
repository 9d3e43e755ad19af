// What functions of the user's return is awaited if it can be: a promise of another realm, or a lazy query that runs when
// it is awaited. A sweep over src holds that nothing asks for our own realm's promises alone.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runInNewContext } from 'node:vm';
import { expect, onTestFinished, test } from 'vitest';
import { isThenable } from '../../src/base/thenable.ts';
import { defineAggregate, event } from '../../src/index.ts';
import { given } from '../../src/testing.ts';
import { Counter } from './aggregates.ts';
import { errorOf, startRuntime, until } from './scratch.ts';

const src = fileURLToPath(new URL('../../src', import.meta.url));

/** As a query builder: it runs when it is awaited. */
const lazily = (run: () => unknown) => ({
  // biome-ignore lint/suspicious/noThenProperty: what query builders are
  then(resolve: (value: unknown) => void, reject: (error: unknown) => void) {
    new Promise((done) => done(run())).then(resolve, reject);
  },
});

test('replay and listeners await a lazy query and a promise of another realm, and see them fail', async () => {
  const unhandled: unknown[] = [];
  const hear = (reason: unknown) => void unhandled.push(reason);
  process.on('unhandledRejection', hear);
  onTestFinished(() => void process.off('unhandledRejection', hear));
  const runtime = await startRuntime({ shards: 1 });
  await runtime.ref(Counter, 'a').add(1);
  await runtime.ref(Counter, 'a').add(2);
  let ran = 0;
  const query = () => lazily(() => ran++);
  expect(await runtime.replay({ into: query as () => void })).toMatchObject({ events: 2 });
  expect(ran).toBe(2);
  const fail = () => {
    throw new Error('no such table');
  };
  const foreign = runInNewContext('async () => { throw new Error("no such table"); }') as () => void;
  for (const into of [(() => lazily(fail)) as () => void, foreign]) {
    expect((await errorOf(runtime.replay({ into }))).message).toContain('no such table');
  }
  runtime.bus.on(Counter, 'Added', foreign);
  runtime.bus.on(Counter, 'Added', (() => lazily(fail)) as () => void);
  await runtime.ref(Counter, 'a').add(3);
  await until(
    () => runtime.status().listenerErrors,
    (count) => count === 2,
  );
  expect(unhandled).toEqual([]);
});

const Lazy = defineAggregate('lazy', {
  module: import.meta.url,
  state: () => ({ n: 0 }),
  events: { Done: event<object>(), Awaited: event<object>() },
  evolve: {
    Done: ({ n }) => ({ n: n + 1 }),
    Awaited: (() => runInNewContext('Promise.resolve({ n: 1 })')) as () => { n: number },
  },
  commands: {
    query: (lazy): any => lazily(() => void lazy.raise('Done', {})),
    fail: (): any =>
      lazily(() => {
        throw new Error('no such table');
      }),
    reduce: (lazy) => lazy.raise('Awaited', {}),
  },
});

test('given() awaits what a command returns as a shard does, and refuses a reducer of another realm that is asynchronous', async () => {
  await given(Lazy).when.query().then(['Done']);
  await expect(async () => given(Lazy).when.fail().then([])).rejects.toThrow('no such table');
  expect(() => given(Lazy).when.reduce().then([])).toThrow(/asynchronous/);
});

test('what can be awaited', () => {
  const then = () => {};
  for (const value of [Promise.resolve(), { then }, Object.assign(() => {}, { then })])
    expect(isThenable(value)).toBe(true);
  // biome-ignore lint/suspicious/noThenProperty: this is what it is about
  for (const value of [undefined, null, 1, 'then', {}, { then: 1 }, then]) expect(isThenable(value)).toBe(false);
});

test('nothing in src asks for promises of this realm alone', () => {
  const files = (readdirSync(src, { recursive: true }) as string[]).filter((file) => file.endsWith('.ts'));
  const code = (file: string) => readFileSync(join(src, file), 'utf8').replaceAll(/(^|\s)\/\/.*$/gm, '$1');
  const found = files.filter((file) => /instanceof\s+Promise\b|\.then\b\)?\s*[!=]==/.test(code(file)));
  expect(found).toEqual(['base/thenable.ts']);
});
