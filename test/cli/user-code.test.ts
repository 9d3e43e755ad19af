// Modules that do more than define aggregates: whatever they do when they are loaded, or while their reducers run, a command
// ends by itself, its exit code is its own, and so is its standard output.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRuntime } from '../../src/index.ts';
import { Basket, Order } from '../rehearsal/orders.ts';

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'trunkline-user-code-'));
const dataDir = join(folder, 'data');
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(async () => {
  await using runtime = await createRuntime({ logger: false, dataDir, shards: 1, aggregates: [Order, Basket] });
  await runtime.ref(Order, 'o-1').add('shoe', 5_000);
  await runtime.ref(Basket, 'b-1').fill(1);
}, 60_000);

/** The orders of the rehearsal, and what else the module does. */
function written(name: string, more: string): string {
  const file = join(folder, name);
  const orders = JSON.stringify(path('../rehearsal/orders.ts'));
  writeFileSync(file, `import { Basket, Order as Plain } from ${orders};\nexport { Basket };\n${more}`);
  return file;
}

const Order_ = 'export const Order = Plain;';
const opens = written('opens.ts', `${Order_} setInterval(() => {}, 60_000);`);
const exits = written('exits.ts', `${Order_} process.exit(0);`);
const hangs = written('hangs.ts', `${Order_} await new Promise(() => {});`);
const prints = written(
  'prints.ts',
  `console.log('loaded'); process.stdout.write('and more\\n');
  const LineAdded = (...all) => { console.log('folded'); return Plain.evolve.LineAdded(...all); };
  export const Order = { ...Plain, evolve: { ...Plain.evolve, LineAdded } };`,
);

const commands: [string, (module: string) => string[]][] = [
  ['schemas accept', (module) => ['--aggregates', module, '--file', `${module}.json`]],
  ['schemas check', (module) => ['--aggregates', module, '--file', `${opens}.json`]],
  ['catalogue', (module) => ['--aggregates', module, '--format', 'json-schema', '--out', `${module}.events.json`]],
  ['rehearse', (module) => ['--old', path('../rehearsal/orders.ts'), '--new', module, '--data-dir', dataDir]],
];

function run(command: string, ...words: string[]) {
  const { TRUNKLINE_POSTGRES: _, TRUNKLINE_DATA_DIR: __, ...env } = process.env;
  const program = ['--conditions=trunkline-source', path('../../src/cli/main.ts'), ...command.split(' '), ...words];
  const { status, stdout, stderr } = spawnSync(process.execPath, program, { env, encoding: 'utf8', timeout: 30_000 });
  return { status, stdout, stderr };
}

describe.each(commands)('%s', { timeout: 60_000 }, (command, words) => {
  test('ends while the module has a timer', () => {
    expect(run(command, ...words(opens))).toMatchObject({ status: 0, stderr: '' });
  });

  test.each([
    ['ends the process', exits],
    ['awaits for ever', hangs],
  ])('is no success where the module %s', (_, module) => {
    const { status, stdout, stderr } = run(command, ...words(module));
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^trunkline: the process has ended before the command: [^\n]*\n$/);
    expect(stderr).toContain(module);
  });

  test('prints one value by --json while the module prints', () => {
    const { status, stdout, stderr } = run(command, ...words(prints), '--json');
    expect([status, typeof JSON.parse(stdout)]).toEqual([0, 'object']);
    expect(stderr).toMatch(/^loaded\nand more\n/);
  });
});

test('topics plan is no success where the module ends the process', { timeout: 60_000 }, () => {
  expect(run('topics plan', '--config', exits)).toMatchObject({ status: 1, stdout: '' });
});
