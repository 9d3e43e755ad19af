// Programs compiled with exactOptionalPropertyTypes pass what may be undefined: each optional field of a public type says
// that it takes that, and undefined counts as left out.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createRuntime } from 'trunkline';
import { expect, test } from 'vitest';
import { resolveOptions } from '../src/runtime/options.ts';
import { Counter } from './fixtures/counter.ts';
import { errorOf } from './runtime/scratch.ts';

const source = join(import.meta.dirname, '..', 'src');
const entries = ['index.ts', 'postgres.ts', 'kafka.ts', 'testing.ts']
  .map((file) => readFileSync(join(source, file), 'utf8'))
  .join('\n');

/** The bodies of the interfaces that the entries export, by name. */
function publicInterfaces(): Map<string, string> {
  const found = new Map<string, string>();
  for (const [, list, file] of entries.matchAll(/export (?:type )?\{([^}]*)\} from '\.\/([^']+)'/g)) {
    const text = readFileSync(join(source, file!), 'utf8');
    for (const name of list!.split(',').map((one) => one.replace('type ', '').trim())) {
      const body = new RegExp(`^export interface ${name}\\b[^{]*\\{\\n(.*?)^\\}`, 'ms').exec(text)?.[1];
      if (body !== undefined) found.set(`${file}: ${name}`, body);
    }
  }
  return found;
}

test('each optional field of a public interface takes undefined', () => {
  const interfaces = publicInterfaces();
  expect(interfaces.size).toBeGreaterThan(40);
  const strict: string[] = [];
  for (const [where, body] of interfaces) {
    for (const [, field, type] of body.matchAll(/^ {2}(?:readonly )?(\w+)\?: ([^;{]+);/gm)) {
      if (!/\bundefined\b|^(unknown|any)$/.test(type!)) strict.push(`${where}.${field}: ${type}`);
    }
  }
  expect(strict).toEqual([]);
});

test('so does each optional field of options that are written where they are taken', () => {
  const strict: string[] = [];
  for (const file of readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  )) {
    const text = readFileSync(join(source, file), 'utf8');
    for (const [, fields] of text.matchAll(/^ {2}(?:async )?\w+\([^)]*\b(?:options|range)\??: \{([^}]*)\}/gm)) {
      for (const [, field, type] of fields!.matchAll(/(\w+)\?: ([^;]+)/g)) {
        if (!/\bundefined\b|^unknown/.test(type!)) strict.push(`${file}: ${field}: ${type}`);
      }
    }
  }
  expect(strict).toEqual([]);
});

/** What users read, and never write: `export.field`. */
const onlyRead: readonly string[] = [
  ...['ErrorDetails.value', 'ErrorDetails.reason', 'ErrorDetails.line', 'ErrorDetails.limit', 'Shown.length'],
  'TransactionClient.name', // a query of ours, for the user's client
];

test('and so does every other type that the public ones reach', () => {
  const report = readFileSync(join(source, '..', 'api', 'trunkline.api.md'), 'utf8');
  const strict = new Set<string>();
  let name = '';
  for (const line of report.split('\n')) {
    name = /^### (\w+)/.exec(line)?.[1] ?? name;
    const [, field, type] = /^\s+(?:readonly )?(\w+)\?: (.*)$/.exec(line) ?? [];
    if (field === undefined || /\bundefined;|^(?:unknown|any);|[({]$/.test(type!)) continue;
    strict.add(`${name}.${field}`);
  }
  expect([...strict].sort()).toEqual([...onlyRead].sort());
});

test('a field that is undefined counts as left out', () => {
  const base = { dataDir: 'x', aggregates: [Counter], logger: false as const };
  const left = resolveOptions(base, 2);
  const fields = Object.fromEntries(Object.keys(left).map((field) => [field, undefined]));
  const flush = Object.fromEntries(Object.keys(left.flush).map((field) => [field, undefined]));
  const log = Object.fromEntries(Object.keys(left.log).map((field) => [field, undefined]));
  const plain = (options: object): string => JSON.stringify({ ...options, logger: undefined });
  for (const options of [
    { ...fields, ...base },
    { ...base, flush },
    { ...base, log },
  ]) {
    expect(plain(resolveOptions(options, 2))).toBe(plain(left));
  }
});

test('required ones do not', async () => {
  for (const options of [undefined, null, {}, { dataDir: undefined, aggregates: [Counter] }, { dataDir: 'x' }]) {
    expect((await errorOf(createRuntime(options as never))).code).toBe('InvalidOptions');
  }
});
