// `trunkline catalogue` as a user runs it: what it writes, what --check finds, and how it ends.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { blocksOf, root, shownFiles } from '../docs/documents.ts';

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'trunkline-catalogue-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const aggregates = path('../catalogue/shop.ts');

const run = (...words: string[]) => runIn(folder, ['catalogue', '--aggregates', aggregates, ...words]);

function runIn(cwd: string, words: string[]) {
  const program = ['--conditions=trunkline-source', path('../../src/cli/main.ts'), ...words];
  const { status, stdout, stderr } = spawnSync(process.execPath, program, { cwd, encoding: 'utf8', timeout: 60_000 });
  return { status, stdout: stdout.split('\n').slice(0, -1), stderr };
}
const text = (file: string): string => readFileSync(join(folder, file), 'utf8');

test.each(['json-schema', 'asyncapi', 'html'])('%s: a file, the same each time', (format) => {
  const out = `${format}.out`;
  const words = ['--format', format, '--out', out];
  expect(run(...words, '--check')).toEqual({
    status: 1,
    stdout: [`${out} is missing`, `${out} is of another state`],
    stderr: '',
  });
  expect(run(...words)).toEqual({ status: 0, stdout: [`${out} is written`], stderr: '' });
  const first = text(out);
  if (format !== 'html') JSON.parse(first);
  expect(first).not.toContain('\u2028');
  expect(run(...words, '--check')).toEqual({ status: 0, stdout: ['nothing differs'], stderr: '' });
  expect(run(...words, '--service', 'other', '--check').stdout[0]).toBe(`${out} is different`);
  expect(text(out)).toBe(first);
  expect(run(...words).status).toBe(0);
  expect(text(out)).toBe(first);
});

test('markdown: a folder, with what was found as JSON', () => {
  const words = ['--format', 'markdown', '--out', 'docs', '--service', 'shop'];
  expect(run(...words)).toEqual({ status: 0, stdout: ['docs is written'], stderr: '' });
  expect(readdirSync(join(folder, 'docs')).sort()).toEqual(['README.md', 'services', 'trunkline-catalogue.json']);
  rmSync(join(folder, 'docs/README.md'));
  const found = run(...words, '--check', '--json');
  expect([found.status, JSON.parse(found.stdout.join('\n'))]).toEqual([
    1,
    { out: 'docs', written: false, differences: [{ path: 'README.md', what: 'missing' }] },
  ]);
});

test('topics are named as a start names them, by the name that is stored', () => {
  const module = join(folder, 'client.ts');
  const source = `import { customer } from ${JSON.stringify(aggregates)};\nexport const Customer = customer;\n`;
  writeFileSync(module, source);
  const words = ['catalogue', '--aggregates', module, '--format', 'asyncapi', '--out', 'topics.json'];
  expect(runIn(folder, [...words, '--topic-prefix', 'shop']).status).toBe(0);
  expect(Object.keys(JSON.parse(text('topics.json')).channels)).toEqual(['shop.client']);
  expect(runIn(folder, [...words, '--topic-template', '{prefix}-{eventType}']).status).toBe(0);
  expect(Object.keys(JSON.parse(text('topics.json')).channels)).toContain('events-Registered');
  for (const [template, reason] of [
    ['{wrong}', '{wrong} is no placeholder'],
    ['{eventType}!', 'a topic has 1 to 249 of'],
    ['{eventType}!', 'trunkline: option --topic-prefix, --topic-template: '],
    ['{wrong}', 'trunkline: option --topic-template'],
  ]) {
    const { status, stderr } = runIn(folder, [...words, '--topic-template', template!]);
    expect([status, stderr.split('\n')]).toEqual([2, [expect.stringContaining(reason!), '']]);
  }
});

test('who gets an event, in each format', () => {
  const words = ['--handlers', path('../catalogue/handlers.ts'), '--out', 'read.out'];
  expect(run('--format', 'html', ...words).status).toBe(0);
  expect(text('read.out')).toContain('<code>handler welcome</code>');
  for (const format of ['asyncapi', 'json-schema']) {
    expect(run('--format', format, ...words).status).toBe(0);
    expect(text('read.out')).toContain('handler welcome');
    expect(text('read.out')).toContain('ntegration events');
  }
});

const config = path('../catalogue/config.ts');

test('the options of a service say topics, chosen versions, entities and integration events', () => {
  const runConfig = (...words: string[]) =>
    runIn(folder, ['catalogue', '--config', config, '--out', 'all.out', ...words]);
  expect(runConfig('--format', 'asyncapi')).toEqual({ status: 0, stdout: ['all.out is written'], stderr: '' });
  const { channels, components, defaultContentType } = JSON.parse(text('all.out'));
  expect(defaultContentType).toBe('application/cloudevents+json');
  expect(Object.keys(channels)).toEqual(
    expect.arrayContaining(['shop.order.Ordered', 'shop.stock.Repriced', 'shop.integration.order']),
  );
  expect(Object.keys(components.messages)).toEqual(expect.arrayContaining(['order.Placed.1', 'stock.Repriced.2']));
  expect(runConfig('--format', 'html', '--handlers', path('../catalogue/handlers.ts')).status).toBe(0);
  for (const said of ['shop.order.Ordered', 'entity stock', 'handler welcome', 'shop.integration.order']) {
    expect(text('all.out')).toContain(said);
  }
  for (const [words, reason] of [
    [['--topic-prefix', 'a'], '--topic-prefix is for --aggregates'],
    [['--topic-template', 'a'], '--topic-template is for --aggregates'],
    [['--record-format', 'trunkline'], '--record-format is for --aggregates'],
    [['--aggregates', aggregates], 'name either --aggregates or --config'],
  ] as const) {
    const refused = runConfig('--format', 'asyncapi', ...words);
    expect([refused.status, refused.stderr]).toEqual([2, expect.stringContaining(reason)]);
  }
  const none = runIn(folder, ['catalogue', '--format', 'html', '--out', 'none.out']);
  expect([none.status, none.stderr]).toEqual([2, expect.stringContaining('name either --aggregates or --config')]);
});

test.each([
  ['export default {};', "its module's default export must have `aggregates`"],
  ['export const one = 1;', "its module's default export must have `aggregates`"],
  ['import { order } from ORDER; export default { aggregates: [order], entities: 7 };', 'entities'],
  [
    "import { order } from ORDER; import { kafka } from KAFKA; export default { aggregates: [order], stream: kafka({ brokers: ['localhost:9'], versions: { Nope: 1 } }) };",
    "'Nope' is no event",
  ],
  [
    "import { order } from ORDER; import { kafka } from KAFKA; export default { aggregates: [order], stream: kafka({ brokers: ['localhost:9'], integration: ORDER }) };",
    'must be a list of integration',
  ],
])('options that a start refuses are refused: %s', (source, reason) => {
  const module = join(folder, 'options.ts');
  const kafka = new URL('../../src/kafka.ts', import.meta.url).href;
  const order = JSON.stringify(pathToFileURL(config).href);
  writeFileSync(module, source.replaceAll('ORDER', order).replaceAll('KAFKA', JSON.stringify(kafka)));
  const { status, stderr } = runIn(folder, ['catalogue', '--config', module, '--format', 'html', '--out', 'no.out']);
  expect([status, stderr.split('\n')]).toEqual([
    source.includes('aggregates') ? 1 : 2,
    [expect.stringContaining(reason), ''],
  ]);
});

test.each([
  ['--record-format', 'trunkline', ['json-schema', 'markdown', 'html'], 'is for asyncapi'],
  ['--release', '2.0.0', ['json-schema'], 'is for asyncapi, markdown and html'],
])('%s is refused where a format has no place for it', (word, value, formats, reason) => {
  for (const format of formats) {
    const refused = run('--format', format, '--out', 'refused.out', word, value);
    expect([refused.status, refused.stderr]).toEqual([2, expect.stringContaining(`${word} ${reason}`)]);
  }
  expect(run('--format', 'asyncapi', '--out', 'taken.json', word, value).status).toBe(0);
});

test('what the how-to shows', () => {
  mkdirSync(join(root, 'data'), { recursive: true });
  const own = mkdtempSync(join(root, 'data', 'catalogue-')); // inside the repository, so that 'trunkline' is the package itself
  try {
    for (const [name, source] of shownFiles()) writeFileSync(join(own, name), source);
    const blocks = blocksOf('docs/how-to/catalogue.md');
    const at = blocks.findIndex(({ text }) => text.includes('npx trunkline catalogue'));
    const shown = blocks[at]!.text.trim()
      .split('\n')
      .flatMap((command) => {
        const [words] = command.replace('npx trunkline ', '').split(' #');
        const { stdout, stderr } = runIn(own, words!.trim().split(/ +/));
        expect(stderr).toBe('');
        return stdout;
      });
    expect(shown.join('\n')).toBe(blocks[at + 1]!.text.trim());
    expect(readFileSync(join(own, 'catalogue/README.md'), 'utf8').trim()).toBe(blocks[at + 2]!.text.trim());
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
});
