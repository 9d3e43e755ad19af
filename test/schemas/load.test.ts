// `--aggregates`: modules of every kind, and what is wrong with one said in one line that names it.
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { loadAggregates } from '../../src/schemas/load.ts';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'trunkline-load-')));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const entry = JSON.stringify(new URL('../../src/index.ts', import.meta.url).href);
const define = `
  import { defineAggregate, event } from ${entry};
  const make = (name) => defineAggregate(name, {
    module: import.meta.url, state: () => 0, events: { A: event() }, evolve: { A: (s) => s }, commands: {},
  });`;

function written(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

test('exports, lists of them and the default, each once', async () => {
  const file = written(
    'all.mjs',
    `${define} export const B = make('b'), A = make('a'); export default A; export const all = [B, make('c'), 7, null];
     export const other = { name: 'x' }, none = undefined, text = 'a', revoked = { get name() { throw new Error('x'); } };`,
  );
  for (const given of [file, pathToFileURL(file).href, relative(process.cwd(), file)]) {
    expect((await loadAggregates(given)).map(({ name }) => name).sort()).toEqual(['a', 'b', 'c']);
  }
});

test('a file of TypeScript is imported as it is', async () => {
  const file = new URL('../runtime/aggregates.ts', import.meta.url).pathname;
  expect((await loadAggregates(file)).map(({ name }) => name)).toContain('counter');
});

test.each<[string, string, string | RegExp]>([
  ['throws.mjs', "throw new Error('no database');", 'cannot be imported: no database'],
  ['syntax.mjs', 'export const = 1;', /cannot be imported: /],
  ['odd.ts', 'export const a: string = <any>;', /cannot be imported: [^\n]+$/],
  ['definition.mjs', `${define} make('*');`, /cannot be imported: aggregate '\*': .*/],
  [
    'none.mjs',
    'export const a = 1; export default {};',
    /exports no aggregate: export what defineAggregate\(\) returns/,
  ],
  [
    'twice.mjs',
    `${define} export const a = make('x'), b = make('x');`,
    /cannot be used: .*two aggregates have the name '[^']+', or had it/,
  ],
])('%s', async (name, text, reason) => {
  const file = written(name, text);
  const message = typeof reason === 'string' ? `${file} ${reason}` : expect.stringMatching(reason);
  await expect(loadAggregates(file)).rejects.toMatchObject({ code: 'FileRefused', details: { file }, message });
});

test('what is not there, or is no file', async () => {
  for (const file of [join(folder, 'absent.mjs'), 'data:text/javascript,1', 'https://example.com/x.js', folder]) {
    await expect(loadAggregates(file), file).rejects.toMatchObject({ code: 'FileRefused', details: { file } });
  }
});
