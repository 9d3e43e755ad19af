// What each entry of the package loads, in a process of its own: neither a client of a server nor any other package, and of ours no
// more than is needed before something is asked of it.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tailEvents } from '../src/index.ts';

const root = join(import.meta.dirname, '..');
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: object };
const entries = Object.keys(exports)
  .filter((path) => path !== './package.json')
  .map((path) => `trunkline${path.slice(1)}`);

/** Sees every module that is loaded after it, by `import` and by `require`. */
const watching = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  globalThis.loaded = [];
  registerHooks({
    load(url, context, next) {
      globalThis.loaded.push(url);
      return next(url, context);
    },
  });
`)}`;

/** URLs of what a program loads, beside Node's own. */
function loadedBy(program: string): string[] {
  const words = ['--conditions=trunkline-source', '--no-warnings', '--import', watching, '--input-type=module', '-e'];
  const text = `${program}\nprocess.stdout.write(JSON.stringify(loaded));`;
  const { status, stdout, stderr } = spawnSync(process.execPath, [...words, text], { cwd: root, encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return (JSON.parse(stdout) as string[]).filter((url) => url.startsWith('file:'));
}

const packagesIn = (urls: readonly string[]): string[] => [
  ...new Set(urls.flatMap((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? [])),
];

test.each(entries)("import '%s' loads no other package", (entry) => {
  const urls = loadedBy(`await import('${entry}');`);
  expect(packagesIn(urls)).toEqual([]);
  expect(urls.length).toBeGreaterThan(5);
});

test("what is described loads none either: a store, a stream, an aggregate, an entity's class", () => {
  const urls = loadedBy(`
    const { AggregateRoot, defineAggregate, event, newId } = await import('trunkline');
    const { postgres } = await import('trunkline/postgres');
    const { kafka } = await import('trunkline/kafka');
    postgres({ connectionString: 'postgres://localhost:1/x' });
    kafka({ brokers: ['localhost:1'] });
    class Stock extends AggregateRoot {}
    new Stock('stock', newId());
    defineAggregate('a', {
      module: 'file:///a.js', state: () => ({}), events: { E: event() }, evolve: { E: () => ({}) }, commands: {},
    });
  `);
  expect(packagesIn(urls)).toEqual([]);
});

test('this sees a package where one is loaded', () => {
  const urls = loadedBy(`
    const { migrate } = await import('trunkline/postgres');
    await migrate({ connection: 'postgres://localhost:1/x' }).catch(() => {});
  `);
  expect(packagesIn(urls)).toContain('pg');
});

test('a tail under its earlier name that is given up before it began connects to nothing', async () => {
  const tail = tailEvents({ connection: 'postgres://nobody@127.0.0.1:9/none' });
  await tail.return!();
  expect(await tail.next()).toEqual({ done: true, value: undefined });
  const other = tailEvents({ connection: 'postgres://nobody@127.0.0.1:9/none' });
  await expect(other.throw!(new Error('given up'))).rejects.toThrow('given up');
  expect(await other.next()).toEqual({ done: true, value: undefined });
});
