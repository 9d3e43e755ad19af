// Modules that users name: by URL or by absolute path, ES modules and CommonJS; anything else is refused where it is said.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { createRuntime, defineAggregate, kafka, type RuntimeOptions } from 'trunkline';
import { afterAll, describe, expect, test } from 'vitest';
import { confineModules, importUserModule, moduleUrl } from '../src/base/user-module.ts';
import { resolveOptions } from '../src/runtime/options.ts';
import { resolveSubscription } from '../src/subscriptions/settings.ts';
import { Counter } from './fixtures/counter.ts';

const folder = mkdtempSync(join(tmpdir(), 'trunkline-module-'));

/** Code that comes out of the option itself, off the network, out of Node, or by a bare name. */
const noFiles = [
  'data:text/javascript,export default 1',
  'https://example.com/x.js',
  'node:fs',
  'blob:x',
  'trunkline',
  'file://host/x.js',
  'file:///a%2fb.js',
];
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function written(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

test('a URL stays, a path becomes one, anything else is none', () => {
  expect(moduleUrl(import.meta.url)).toBe(import.meta.url);
  expect(moduleUrl('/srv/a b#c/x.js')).toBe('file:///srv/a%20b%23c/x.js');
  for (const wrong of ['', './x.js', 'x', 'https://example.com/x.js', 'c:x', 7, undefined, null, {}, ...noFiles]) {
    expect([wrong, moduleUrl(wrong)]).toEqual([wrong, undefined]);
  }
});

test.each([
  ['esm.mjs', 'export default 1; export const named = 2;'],
  ['plain.cjs', 'module.exports = { named: 2, default: 1 };'],
  [
    'compiled.cjs',
    "Object.defineProperty(exports, '__esModule', { value: true }); exports.default = 1; exports.named = 2;",
  ],
  ['hidden.cjs', "const all = { default: 1 }; all['na' + 'med'] = 2; module.exports = all;"],
])('%s is imported by path and by URL', async (name, text) => {
  const file = written(name, text);
  for (const module of [file, pathToFileURL(file).href]) {
    const { named, default: inner } = await importUserModule(module);
    expect({ named, inner: (inner as { default?: unknown }).default ?? inner }).toEqual({ named: 2, inner: 1 });
  }
});

test('a CommonJS module that is a function is its default', async () => {
  const { default: made } = await importUserModule(written('function.cjs', 'module.exports = () => 3;'));
  expect((made as () => number)()).toBe(3);
});

const definition = { state: () => 0, events: {}, evolve: {}, commands: {} };
const withModule = (module: string): object => ({
  ...defineAggregate('x', { module: '/x.ts', ...definition }),
  module,
});
const brokers = ['localhost:1'];

/** Every option that names a module: what takes it, given one. */
const places: Readonly<Record<string, (module: string, moduleRoots?: readonly string[]) => unknown>> = {
  'aggregates[].module': (module, moduleRoots) => options({ aggregates: [withModule(module)], moduleRoots }),
  context: (context, moduleRoots) => options({ context, moduleRoots }),
  'sinks[].module': (module, moduleRoots) => options({ sinks: [{ name: 's', module }], moduleRoots }),
  'stream.module': (module, moduleRoots) => options({ stream: { name: 's', module }, moduleRoots }),
  'stream.integration': (integration, moduleRoots) => options({ stream: kafka({ brokers, integration }), moduleRoots }),
  'stream.topics.module': (module, moduleRoots) =>
    options({ stream: kafka({ brokers, topics: { module } }), moduleRoots }),
  'subscribe.module': (module, moduleRoots) =>
    resolveSubscription({ name: 's', thread: 'worker', module }, new Map(), moduleRoots),
};

/** Counter's own module has to be allowed. */
function options(given: object): unknown {
  const roots = (given as { moduleRoots?: string[] }).moduleRoots;
  const aggregates = [withModule(join(roots?.[0] ?? folder, 'inner.mjs'))];
  return resolveOptions({ dataDir: join(folder, 'data'), aggregates, ...given } as unknown as RuntimeOptions, 2);
}

describe.each(Object.entries(places))('%s', (_, give) => {
  test('takes a file by URL or path, and nothing else', () => {
    const file = written('inner.mjs', 'export default 1;');
    for (const good of [file, pathToFileURL(file).href, `${pathToFileURL(file).href}?v=2`]) give(good);
    for (const wrong of ['./x.ts', ...noFiles]) {
      const refusal = { code: 'InvalidOptions', message: expect.stringMatching(/URL or absolute path/) };
      expect(() => give(wrong), wrong).toThrow(expect.objectContaining(refusal));
    }
  });

  test('takes only what lies within moduleRoots, links resolved', () => {
    const root = join(folder, 'root');
    mkdirSync(root, { recursive: true });
    writeFileSync(join(root, 'inner.mjs'), 'export default 1;');
    const outside = written('root-beside.mjs', '');
    rmSync(join(root, 'link.mjs'), { force: true });
    symlinkSync(outside, join(root, 'link.mjs'));
    const own = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url)); // a file of the library is no exception
    give(join(root, 'inner.mjs'), [root]);
    give(join(root, '../root/inner.mjs'), [root]);
    for (const wrong of [
      outside,
      own,
      join(root, 'link.mjs'),
      join(root, '../root-beside.mjs'),
      join(root, 'absent.mjs'),
    ]) {
      const refusal = {
        code: 'InvalidOptions',
        message: expect.stringMatching(/lies outside of moduleRoots|cannot be found/),
      };
      expect(() => give(wrong, [root]), wrong).toThrow(expect.objectContaining(refusal));
    }
  });
});

test('a definition refuses what is no file, too', () => {
  for (const module of ['./x.ts', ...noFiles]) {
    expect(() => defineAggregate('x', { module, ...definition }), module).toThrow(/URL or absolute path/);
  }
  expect(defineAggregate('x', { module: '/x.ts', ...definition }).module).toBe('file:///x.ts');
});

test('the gate asks again when a thread imports, and takes nothing that is no file', async () => {
  const file = written('gate.mjs', 'export default 1;');
  for (const wrong of noFiles) {
    await expect(importUserModule(wrong), wrong).rejects.toMatchObject({ code: 'InvalidOptions' });
  }
  confineModules([join(folder, 'elsewhere')]);
  try {
    await expect(importUserModule(file)).rejects.toMatchObject({ code: 'InvalidOptions' });
  } finally {
    confineModules(undefined);
  }
  expect((await importUserModule(file)).default).toBe(1);
});

test('of the modules of the library only those pass that its own options name', async () => {
  const src = fileURLToPath(new URL('../src', import.meta.url));
  const named: string[] = [];
  for (const file of readdirSync(src, { recursive: true }) as string[]) {
    if (!file.endsWith('.ts')) continue;
    const text = readFileSync(join(src, file), 'utf8');
    for (const [, entry] of text.matchAll(/\bmodule: ownFile\('([^']+)', import\.meta\.url\)\.href/g)) {
      named.push(join(src, file, '..', `${entry}.ts`));
    }
  }
  expect(named).toHaveLength(3);
  confineModules([folder]);
  try {
    for (const file of named) expect(Object.keys(await importUserModule(file)), file).not.toEqual([]);
    for (const file of ['index.ts', 'adapters/postgres/flush/sink.ts', 'log/sync-thread.ts']) {
      await expect(importUserModule(join(src, file)), file).rejects.toMatchObject({ code: 'InvalidOptions' });
    }
  } finally {
    confineModules(undefined);
  }
});

test('a runtime with roots starts within them, and refuses a handler outside of them', async () => {
  const moduleRoots = [fileURLToPath(new URL('.', import.meta.url))];
  const dataDir = join(folder, 'rooted');
  const runtime = await createRuntime({ dataDir, aggregates: [Counter], shards: 1, moduleRoots, logger: false });
  try {
    expect((await runtime.ref(Counter, 'a').add(1)).value).toBe(1);
    const module = written('handler.mjs', 'export default () => {};');
    expect(() => runtime.subscribe({ name: 's', thread: 'worker', module })).toThrow('lies outside of moduleRoots');
  } finally {
    await runtime.close();
  }
  for (const wrong of [[], ['src'], ['data:,x'], [join(folder, 'absent')], 'src']) {
    expect(() => options({ moduleRoots: wrong })).toThrow(expect.objectContaining({ code: 'InvalidOptions' }));
  }
});

test('src imports what an option names through the gate alone; its threads confine themselves first', () => {
  const src = fileURLToPath(new URL('../src', import.meta.url));
  const found: Record<string, string[]> = { import: [], gate: [], confine: [] };
  for (const file of readdirSync(src, { recursive: true }) as string[]) {
    if (!file.endsWith('.ts')) continue;
    const text = readFileSync(join(src, file), 'utf8').replaceAll(/(^|\s)\/\/.*$/gm, '$1');
    expect(text, file).not.toMatch(/\b(?:eval|Function)\(|node:vm|createRequire(?!\(import\.meta\.url\)|[ ,}])/);
    if (/\bimport\((?!')/.test(text.replaceAll(/\/\*[\s\S]*?\*\//g, ''))) found.import!.push(file);
    if (/\bimportUserModule\(/.test(text)) found.gate!.push(file);
    if (/\bconfineModules\(/.test(text)) found.confine!.push(file);
  }
  expect(found.import).toEqual(['base/user-module.ts']);
  // load.ts, topics.ts, sink.ts, shapes.ts and user-sink.ts run in the flush thread, or in the command line, whose user names the module.
  const entries = [
    'shard/thread.ts',
    'flush/flush-thread.ts',
    'subscriptions/worker-thread.ts',
    'rehearsal/live/live-thread.ts',
  ];
  expect(found.confine!.sort()).toEqual([...entries, 'base/user-module.ts'].sort());
  // store/adapter.ts: options have been checked by then, and threads confine themselves.
  const gate = [
    'shard/thread.ts',
    'flush/user-sink.ts',
    'subscriptions/worker-thread.ts',
    'store/adapter.ts',
    'rehearsal/live/live-thread.ts',
  ];
  expect(found.gate!.sort()).toEqual(
    [
      ...gate,
      'schemas/load.ts',
      'adapters/kafka/shapes.ts',
      'adapters/kafka/sink.ts',
      'adapters/kafka/topics.ts',
      'base/user-module.ts',
    ].sort(),
  );
});
