// Modules that users name: by URL or by absolute path, ES modules and CommonJS; anything else is refused where it is said.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createRuntime, defineAggregate, kafka } from 'trunkline';
import { afterAll, expect, test } from 'vitest';
import { importUserModule, moduleUrl } from '../src/user-module.ts';
import { Counter } from './fixtures/counter.ts';

const folder = mkdtempSync(join(tmpdir(), 'trunkline-module-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function written(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

test('a URL stays, a path becomes one, anything else is none', () => {
  expect(moduleUrl(import.meta.url)).toBe(import.meta.url);
  expect(moduleUrl('/srv/a b#c/x.js')).toBe('file:///srv/a%20b%23c/x.js');
  for (const wrong of ['', './x.js', 'x', 'https://example.com/x.js', 'c:x', 7, undefined, null, {}]) {
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

test('each place that takes a module refuses what is none, and says what it takes', async () => {
  const rule = /URL or absolute path/;
  expect(() =>
    defineAggregate('x', { module: './x.ts', state: () => 0, events: {}, evolve: {}, commands: {} }),
  ).toThrow(rule);
  expect(defineAggregate('x', { module: '/x.ts', state: () => 0, events: {}, evolve: {}, commands: {} }).module).toBe(
    'file:///x.ts',
  );
  const options = { dataDir: join(folder, 'data'), aggregates: [Counter] };
  await expect(createRuntime({ ...options, context: './context.ts' })).rejects.toThrow(rule);
  await expect(createRuntime({ ...options, sinks: [{ name: 's', module: './sink.ts' }] })).rejects.toThrow(rule);
  expect(() => kafka({ brokers: ['localhost:1'], integration: './integration.ts' })).toThrow(rule);
  expect(() => kafka({ brokers: ['localhost:1'], topics: { module: './topics.ts' } })).toThrow(rule);
});
