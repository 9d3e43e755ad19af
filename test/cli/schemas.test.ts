// `trunkline schemas accept | check` as a user runs it: what it prints, what it writes, and how it ends.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { blocksOf, root, shownFiles } from '../docs/documents.ts';

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'trunkline-schemas-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A release: its events, as source text. */
function release(events: string, more = ''): string {
  const module = join(folder, 'aggregates.ts');
  const head = `import { defineAggregate, event, versions } from ${JSON.stringify(path('../../src/index.ts'))};
    import { z } from ${JSON.stringify(path('../../node_modules/zod/index.js'))};`;
  const text = `${head}
    const events: Record<string, any> = { ${events} };
    const evolve: any = Object.fromEntries(Object.keys(events).map((type) => [type, (state: unknown) => state]));
    export const Customer = defineAggregate('customer', { module: import.meta.url, state: () => 0, events, evolve, commands: {} ${more} });`;
  writeFileSync(module, text);
  return module;
}

const run = (...words: string[]) => runIn(folder, words);

function runIn(cwd: string, words: string[]) {
  const program = ['--conditions=trunkline-source', path('../../src/cli/main.ts'), 'schemas', ...words];
  const { status, stdout, stderr } = spawnSync(process.execPath, program, {
    cwd,
    encoding: 'utf8',
    timeout: 60_000,
    maxBuffer: 64 << 20,
  });
  return { status, stdout: stdout.split('\n').slice(0, -1), stderr };
}

const Signed = 'Signed: event(z.object({ name: z.string() }))';
const lock = (): string => readFileSync(join(folder, 'events.lock.json'), 'utf8');

test('a first release, a next one, and one that breaks it', () => {
  const aggregates = release(`${Signed}, Seen: event()`);
  expect(run('check', '--aggregates', aggregates)).toEqual({
    status: 1,
    stdout: [],
    stderr: 'trunkline: events.lock.json is not there: run trunkline schemas accept\n',
  });
  const note = 'note: customer.Seen, version 1: not checked: it is declared without a validator';
  expect(run('accept', '--aggregates', './aggregates.ts')).toEqual({
    status: 0,
    stdout: [
      note,
      'customer.Seen, version 1: is new',
      'customer.Signed, version 1: is new',
      'events.lock.json is written',
    ],
    stderr: '',
  });
  const first = lock();
  expect(run('accept', '--aggregates', aggregates).stdout).toEqual([note, 'nothing has changed']);
  expect(run('check', '--aggregates', aggregates)).toEqual({
    status: 0,
    stdout: [note, 'nothing is broken'],
    stderr: '',
  });

  release('Signed: event(z.object({ name: z.string().min(1) })), Seen: event()');
  const changed = 'customer.Signed, version 1, $.name: has changed since it was published: its minLength is 1 now';
  expect(run('check', '--aggregates', aggregates)).toEqual({
    status: 1,
    stdout: [note, `error: ${changed}`, expect.stringMatching(/^to do for a version that has changed: /), '1 error'],
    stderr: '',
  });
  release('Signed: event(z.object({ name: z.string().min(1) })), Seen: event(), More: event()'); // nor is what is new written then
  const refused = run('accept', '--aggregates', aggregates);
  expect([refused.status, refused.stdout[2], lock()]).toEqual([1, changed, first]);
  expect(refused.stdout.slice(3)).toEqual([
    expect.stringMatching(/^to do for a version that has changed: [^\n]*--force NAME/),
    'events.lock.json is left as it was',
  ]);
  release('Signed: event(z.object({ name: z.string().min(1) })), Seen: event()');
  const json = run('check', '--aggregates', aggregates, '--json');
  expect([json.status, JSON.parse(json.stdout.join('\n'))]).toMatchObject([
    1,
    {
      errors: [{ rule: 'changed', aggregate: 'customer', event: 'Signed', version: 1, path: '$.name' }],
      notes: [{ rule: 'no schema' }],
    },
  ]);
  expect(run('accept', '--aggregates', aggregates, '--force', 'customer.Signd')).toMatchObject({
    status: 2,
    stderr: expect.stringContaining("'customer.Signd' is nothing in the lock file"),
  });
  expect(run('accept', '--aggregates', aggregates, '--force', 'customer.Signed')).toMatchObject({
    status: 0,
    stdout: [note, `forced: ${changed}`, 'events.lock.json is written'],
  });
  expect(lock()).toBe(first.replace('"type": "string"', '"minLength": 1,\n                    "type": "string"'));
});

test('versions as they are stored, by a mode; another file', () => {
  const aggregates = release(`Signed: versions(z.object({ name: z.string() }))
    .next(z.object({ given: z.string() }), ({ name }) => ({ given: name }))`);
  expect(run('accept', '--aggregates', aggregates, '--file', 'other.json').stdout.at(-1)).toBe('other.json is written');
  expect(existsSync(join(folder, 'other.json'))).toBe(true);
  expect(run('check', '--aggregates', aggregates, '--file', 'other.json').status).toBe(0);
  expect(run('check', '--aggregates', aggregates, '--file', 'other.json', '--mode', 'BACKWARD').stdout).toEqual([
    'error: customer.Signed, version 2, $.name: BACKWARD: version 1, is not taken any more',
    'error: customer.Signed, version 2, $.given: BACKWARD: version 1, is required now',
    expect.stringMatching(/^to do for versions that are not compatible: /),
    '2 errors',
  ]);
});

test('what --force takes is said: a change, a version or event that goes, an aggregate that goes', () => {
  const two = `Signed: versions(z.object({ name: z.string() })).next(z.object({ given: z.string() }), ({ name }) => ({ given: name })),
    Seen: event(z.object({}))`;
  const accept = (...more: string[]) => run('accept', '--aggregates', release(two), '--file', 'forced.json', ...more);
  expect(accept().status).toBe(0);
  const module = release('Signed: event(z.object({ name: z.string() }))');
  const forced = run('accept', '--aggregates', module, '--file', 'forced.json', '--force', 'customer', '--json');
  expect([forced.status, JSON.parse(forced.stdout.join('\n'))]).toMatchObject([
    0,
    {
      written: true,
      refused: [],
      forced: [
        { rule: 'gone', aggregate: 'customer', event: 'Seen' },
        { rule: 'gone', aggregate: 'customer', event: 'Signed', version: 2 },
      ],
    },
  ]);
  writeFileSync(module, readFileSync(module, 'utf8').replace("'customer'", "'person'"));
  const gone = run('check', '--aggregates', module, '--file', 'forced.json').stdout;
  expect(gone).toContainEqual(expect.stringMatching(/^to do for what is gone: /));
  expect(run('accept', '--aggregates', module, '--file', 'forced.json', '--force', 'customer').stdout).toEqual([
    'person.Signed, version 1: is new',
    'forced: customer: the aggregate is gone from the code',
    'forced.json is written',
  ]);
});

test('a sample that cannot be read: what to do', () => {
  const aggregates = release(`Signed: versions(z.object({ name: z.string() }))
    .next(z.object({ given: z.string().min(1) }), ({ name }) => ({ given: name }))`);
  expect(run('accept', '--aggregates', aggregates, '--file', 'samples.json').status).toBe(0);
  const { status, stdout } = run('check', '--aggregates', aggregates, '--file', 'samples.json');
  expect([status, stdout]).toEqual([
    1,
    [
      expect.stringMatching(/^error: customer\.Signed, version 1: .*; with \{"name":""\}$/),
      expect.stringMatching(/^to do for samples that cannot be read: .* a default /),
      '1 error',
    ],
  ]);
});

test('what cannot be read ends in one line', () => {
  const aggregates = release(Signed);
  writeFileSync(join(folder, 'odd.json'), '{"format":9}');
  for (const verb of ['accept', 'check']) {
    const { status, stdout, stderr } = run(verb, '--aggregates', aggregates, '--file', 'odd.json');
    expect([status, stdout]).toEqual([1, []]);
    expect(stderr).toMatch(/^trunkline: odd\.json has format 9, and this release reads 1; [^\n]*\n$/);
    expect(run(verb, '--aggregates', 'none.ts').stderr).toMatch(/^trunkline: none\.ts cannot be imported: [^\n]*\n$/);
  }
});

test('five thousand event types', { timeout: 120_000 }, () => {
  const aggregates =
    release(`...Object.fromEntries(Array.from({ length: 5000 }, (_, i) => ['E' + i, versions(z.object({ name: z.string(), no: z.literal(i) }))
    .next(z.object({ given: z.string(), at: z.int().optional() }), ({ name }) => ({ given: name }))]))`);
  expect(run('accept', '--aggregates', aggregates, '--file', 'many.json').stdout).toHaveLength(10_001);
  expect(run('check', '--aggregates', aggregates, '--file', 'many.json', '--mode', 'FULL').stdout.at(-1)).toBe(
    '35000 errors',
  );
  expect(run('check', '--aggregates', aggregates, '--file', 'many.json').stdout).toEqual(['nothing is broken']);
});

test('what the how-to shows', () => {
  mkdirSync(join(root, 'data'), { recursive: true });
  const own = mkdtempSync(join(root, 'data', 'schemas-')); // inside the repository, so that 'trunkline' is the package itself
  try {
    for (const [name, text] of shownFiles()) writeFileSync(join(own, name), text);
    const blocks = blocksOf('docs/how-to/evolve-events.md');
    const at = blocks.findIndex(({ text }) => text.includes('schemas accept --aggregates ./customer.ts'));
    const commands = blocks[at]!.text.trim().split('\n');
    const shown = commands.flatMap((command) => {
      const [words] = command.replace('npx trunkline schemas ', '').split(' #');
      const { stdout, stderr } = runIn(own, words!.trim().split(/ +/));
      expect(stderr).toBe('');
      return stdout;
    });
    expect(shown.join('\n')).toBe(blocks[at + 1]!.text.trim());
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
});
