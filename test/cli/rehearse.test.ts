// `trunkline rehearse` as a user runs it: what it prints, and how it ends.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as streamText } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRuntime, postgres } from '../../src/index.ts';
import { administer, migratedDatabase } from '../postgres.ts';
import { Basket, Order } from '../rehearsal/orders.ts';

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const stores = fileURLToPath(new URL('../../src/cli/stores.ts', import.meta.url));
const module = (name: string): string => fileURLToPath(new URL(`../rehearsal/${name}.ts`, import.meta.url));
const old = module('orders');
const rounded = module('orders-rounded');
let folder: string;
let dataDir: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'trunkline-rehearse-'));
  dataDir = join(folder, 'data');
  await using runtime = await createRuntime({ logger: false, dataDir, shards: 1, aggregates: [Order, Basket] });
  await fill(runtime);
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function fill(runtime: Awaited<ReturnType<typeof createRuntime>>): Promise<void> {
  for (const id of ['o-1', 'o-2\u001b[2J']) {
    await runtime.ref(Order, id).add('shoe', 5_000);
    await runtime.ref(Order, id).discount(250);
  }
  await runtime.ref(Order, 'o-3').with({ ack: 'stored' }).add('lace', 150);
}

const words = (now: string, ...more: string[]): string[] => ['--old', old, '--new', now, ...more];
const here = (now: string, ...more: string[]): string[] => words(now, '--data-dir', dataDir, ...more);

function run(given: string[], more: NodeJS.ProcessEnv = {}): { status: number | null; stdout: string; stderr: string } {
  const { TRUNKLINE_POSTGRES: _, TRUNKLINE_DATA_DIR: __, ...env } = process.env;
  const program = ['--conditions=trunkline-source', main, 'rehearse', ...given];
  const { status, stdout, stderr } = spawnSync(process.execPath, program, {
    env: { ...env, ...more },
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { status, stdout, stderr };
}

describe('in a data directory', () => {
  test('the same code: exit code 0, and a warning where it is one file', () => {
    const { status, stdout, stderr } = run(here(old));
    const warning = 'trunkline: warning: --old and --new are the same file: they cannot differ\n';
    expect([status, stderr]).toEqual([0, warning]);
    expect(stdout).toMatch(/^5 events of 3 aggregates, 0 differ; [\d,]+ events\/s\n$/);
  });

  test('a store that is named as well counts for nothing: the directory says where its events are', () => {
    const nowhere = 'postgres://nobody@127.0.0.1:1/none';
    const { status, stdout, stderr } = run(here(rounded, '--postgres', nowhere));
    expect([status, stdout]).toEqual([1, expect.stringContaining('\n5 events of 3 aggregates, 2 differ')]);
    const warning = `trunkline: warning: --postgres is not used: the events of ${dataDir} are in the directory itself\n`;
    expect(stderr).toBe(warning);
    expect(run(here(rounded), { TRUNKLINE_POSTGRES: nowhere }).stderr).toBe('');
  });

  test('other code: the differences, what moves the cursor written out, and exit code 1', () => {
    const { status, stdout, stderr } = run(here(rounded));
    expect([status, stderr]).toEqual([1, '']);
    expect(stdout).toMatch(
      /^order\/o-1 at version 2 \(Discounted, position \d+\): states differ from here on\n {2}cents: 4750 → 4800\norder\/o-2\\u001b\[2J at version 2 /,
    );
    expect(stdout).toMatch(/\n5 events of 3 aggregates, 2 differ; [^\n]*\nbasket is in --old alone: not compared\n$/);
  });

  test('as JSON', () => {
    const { status, stdout } = run(here(rounded, '--json', '--limit', '1'));
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ aggregates: 3, events: 5, different: 2, onlyOld: ['basket'], onlyNew: [] },
      differences: [{ aggregateId: 'o-1', version: 2, changes: [{ path: 'cents', old: '4750', new: '4800' }] }],
    });
  });

  test('differences that are meant: exit code 0', () => {
    const { status, stdout } = run(here(rounded, '--ignore', 'order:lines', '--ignore', 'order:cents'));
    expect(status).toBe(0);
    expect(stdout).toContain('\n2 differ in ignored places only\n');
  });

  test('a pattern that covers no difference is said, and the exit code is as without it', () => {
    const { status, stderr } = run(here(rounded, '--ignore', 'order:cents', 'order:lines', 'price'));
    const warnings = ['order:lines', 'price'].map(
      (one) => `trunkline: warning: --ignore ${one} covers no difference\n`,
    );
    expect([status, stderr]).toEqual([0, warnings.join('')]);
    expect(run(here(rounded, '--ignore', 'price')).status).toBe(1);
    expect(JSON.parse(run(here(rounded, '--ignore', 'price', '--json')).stdout)).toMatchObject({
      unusedIgnore: ['price'],
    });
  });

  test('some of them: by id, from one on, and all the rest counted', () => {
    expect(run(here(rounded, '--aggregate', 'order', '--id', 'o-3')).status).toBe(0);
    expect(run(here(rounded, '--from', 'order/o-2')).stdout).toMatch(/^order\/o-2.*\n.*\n3 events of 2 aggregates, 1 /);
    expect(run(here(rounded, '--limit', '1')).stdout).toContain('\n1 more differ; --limit describes more of them\n');
  });

  test.each<[string[], string]>([
    [['--until', '2020-01-01'], '--until left out all of 3 aggregates'],
    [['--since', '2020-01-01', '--until', '2020-01-02'], '--since and --until left out all of 3 aggregates'],
    [['--sample', '0.0001'], '--sample left out all of 3 aggregates'],
    [['--aggregate', 'order', '--id', 'o-4'], 'the store has no aggregate order/o-4'],
    [['--from', 'order/p'], 'the store has no aggregate of order from order/p on'],
  ])('what compares nothing is no success: %s', (narrowing, why) => {
    const { status, stdout, stderr } = run(here(rounded, ...narrowing));
    expect([status, stderr]).toEqual([3, `trunkline: nothing was compared: ${why}\n`]);
    expect(stdout).toMatch(/^0 events of 0 aggregates, 0 differ/);
    const json = run(here(rounded, ...narrowing, '--json'));
    expect([json.status, JSON.parse(json.stdout)]).toMatchObject([3, { aggregates: 0 }]);
  });

  test.each<[string, string, string]>([
    [
      'entities',
      `export const Stock = defineEntityEvents('stock', { events: { Counted: event() } });`,
      'stock has no reducers',
    ],
    [
      'what neither side can fold',
      `const { name, ...rest } = Order;
       const LineAdded = () => { throw new RangeError('no'); };
       export const Failing = { name, ...rest, evolve: { ...Order.evolve, LineAdded } };`,
      'neither side can fold 3 aggregates',
    ],
  ])('what compares nothing is no success: %s', (what, code, why) => {
    const file = join(folder, `${what.split(' ')[0]}.ts`);
    const index = new URL('../../src/index.ts', import.meta.url).href;
    const head = `import { defineEntityEvents, event } from ${JSON.stringify(index)};\nimport { Order } from ${JSON.stringify(old)};\n`;
    writeFileSync(file, head + code);
    const { status, stderr } = run(['--old', file, '--new', file, '--data-dir', dataDir]);
    expect([status, stderr]).toEqual([3, expect.stringContaining(`trunkline: nothing was compared: ${why}\n`)]);
  });

  test('a release that cannot read it, and the two the wrong way round', () => {
    const forgotten = join(folder, 'forgotten.ts');
    const text = `
      import { Order } from ${JSON.stringify(old)};
      const { name, ...rest } = Order;
      const { Discounted: _, ...events } = Order.events;
      const { Discounted: __, ...evolve } = Order.evolve;
      export const Fewer = { name, ...rest, events, evolve };`;
    writeFileSync(forgotten, text);
    const fails = run(here(forgotten));
    expect(fails.status).toBe(1);
    expect(fails.stdout).toMatch(
      /: fails\n {2}--new fails: UnknownEventType: order\/o-\d+, event \d+ \([-0-9a-f]+\) at position \d+: 'order' has no event 'Discounted'/,
    );
    expect(fails.stdout).not.toContain('swapped');
    const swapped = run(['--old', forgotten, '--new', old, '--data-dir', dataDir]);
    expect(swapped.status).toBe(1);
    expect(swapped.stdout).toContain('\n--old fails where --new does not: are the two swapped?\n');
  });
});

test('a service that runs meanwhile is not disturbed', { timeout: 60_000 }, async () => {
  await using runtime = await createRuntime({ logger: false, dataDir, shards: 1, aggregates: [Order, Basket] });
  await runtime.ref(Basket, 'b-1').with({ ack: 'stored' }).fill(1);
  expect(run(here(old)).stdout).toMatch(/^6 events of 4 aggregates, 0 differ/);
  await runtime.ref(Basket, 'b-1').with({ ack: 'stored' }).fill(2);
  expect(run(here(old)).stdout).toMatch(/^7 events of 4 aggregates, 0 differ/);
});

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
])('%s ends it with what was found, and is no success', { timeout: 60_000 }, async (signal, exitCode) => {
  const interrupting = join(folder, `${signal}.ts`);
  // Its first reducer sends the signal, as a terminal does, and waits until the process has it to handle.
  const text = `
    import { Order } from ${JSON.stringify(old)};
    const { name, ...rest } = Order;
    const LineAdded = (...all) => {
      process.kill(process.pid, '${signal}');
      const end = performance.now() + 100; // longer than a turn
      while (performance.now() < end);
      return Order.evolve.LineAdded(...all);
    };
    export const Interrupting = { name, ...rest, evolve: { ...Order.evolve, LineAdded } };`;
  writeFileSync(interrupting, text);
  const program = ['--conditions=trunkline-source', main, 'rehearse', ...here(interrupting)];
  const child = spawn(process.execPath, program, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [stdout, [status]] = await Promise.all([streamText(child.stdout), once(child, 'exit')]);
  expect(status).toBe(exitCode);
  expect(stdout).toMatch(/\nended early; go on by --from order\/o-[23]/);
});

describe('what is refused', () => {
  test.each<[string, string[], number, RegExp]>([
    ['no place', words(old), 2, /^error: give --data-dir, or --postgres\n/],
    ['no modules', ['--data-dir', '/nowhere'], 2, /^error: required option '--old <module>' not specified/],
    [
      'no such module',
      ['--old', './none.ts', '--new', old, '--data-dir', 'HERE'],
      1,
      /^trunkline: \.\/none\.ts cannot/,
    ],
    ['a module without aggregates', words(stores, '--data-dir', 'HERE'), 1, /exports no aggregate/],
    ['no data directory', words(old, '--data-dir', '/nowhere'), 1, /^trunkline: \/nowhere is not a data directory/],
    [
      'a type that is not there',
      words(rounded, '--data-dir', 'HERE', '--aggregate', 'ordr'),
      2,
      /^trunkline: option --aggregate: 'ordr' is no aggregate that both --old and --new have; these are order\n$/,
    ],
    [
      'a pattern for such a type',
      words(old, '--data-dir', 'HERE', '--ignore', 'ordr:cents'),
      2,
      /^trunkline: option --ignore: 'ordr:cents' is no path, and no type:path of a type that both sides have; these are basket, order\n$/,
    ],
    [
      'to go on with such a type',
      words(old, '--data-dir', 'HERE', '--from', 'ordr/o-1'),
      2,
      /^trunkline: option --from: /,
    ],
    [
      'a type of 300 bytes',
      words(old, '--data-dir', 'HERE', '--aggregate', 'o'.repeat(300)),
      2,
      /^trunkline: option --agg/,
    ],
    [
      'times the wrong way round',
      words(old, '--data-dir', 'HERE', '--since', '2026-02-01', '--until', '2026-01-01'),
      2,
      /^trunkline: option --since [^:]*: must be before --until: no event lies between them\n$/,
    ],
    ['an id alone', words(old, '--data-dir', '/nowhere', '--id', 'o-1'), 2, /^error: --id needs --aggregate/],
  ])('%s', (_, given, status, stderr) => {
    expect(run(given.map((word) => word.replace('HERE', dataDir)))).toMatchObject({
      status,
      stderr: expect.stringMatching(stderr),
      stdout: '',
    });
  });
});

test('in PostgreSQL: with the directory that names it, or alone', { timeout: 120_000 }, async () => {
  const connectionString = await migratedDatabase();
  const elsewhere = join(folder, 'elsewhere');
  {
    const store = postgres({ connectionString });
    await using runtime = await createRuntime({
      ...{ logger: false, dataDir: elsewhere, shards: 1, store },
      aggregates: [Order, Basket],
    });
    await fill(runtime);
  }
  for (const place of [[], ['--data-dir', elsewhere]]) {
    const { status, stdout } = run(words(rounded, ...place, '--postgres', connectionString));
    expect(status).toBe(1);
    expect(stdout).toMatch(/^order\/o-1 at version 2 \(Discounted, position \d+\): states differ from here on\n/);
    expect(stdout).toMatch(/\n5 events of 3 aggregates, 2 differ;/);
  }
  await administer(
    connectionString,
    "with gone as (delete from trunkline.domain_events where aggregate_id = 'o-1' and version = 1 returning 1) select * from gone",
  );
  for (const [status, ...more] of [[1], [0, '--allow-incomplete']] as const) {
    const lacking = run(words(old, ...more, '--postgres', connectionString));
    expect(lacking).toMatchObject({
      status,
      stdout: expect.stringContaining('\n1 left out: the store has not all of'),
    });
  }
  const missing = run(words(old, '--data-dir', elsewhere));
  expect(missing).toMatchObject({ status: 2, stderr: expect.stringContaining('--postgres: is missing') });
});
