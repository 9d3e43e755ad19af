// The layout that src/ARCHITECTURE.md promises, held against the code: who may import whom, and what every file has.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

/** Rooms (folders of src) from the ground up, as the table of src/ARCHITECTURE.md has them. */
const rooms = [
  ...readFileSync(new URL('../src/ARCHITECTURE.md', import.meta.url), 'utf8').matchAll(/^\| `([\w/-]+)\/` \|/gm),
].map(([, room]) => room!);

/** Imports that run up all the same, `from → to`, with the reason. Five at most. */
const upwards: Readonly<Record<string, string>> = {};

const entries = ['index.ts', 'postgres.ts', 'kafka.ts', 'testing.ts'];

const lineLimit = 350;

interface Import {
  from: string;
  to: string;
  typeOnly: boolean;
  /** Loaded when it is needed: `import()`. */
  isLate: boolean;
}

const src = fileURLToPath(new URL('../src', import.meta.url));
const files = (readdirSync(src, { recursive: true }) as string[])
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.split(sep).join('/'))
  .sort();
const texts = new Map(files.map((file) => [file, readFileSync(join(src, file), 'utf8')]));
const imports: Import[] = files.flatMap((file) => importsOf(file));

function importsOf(from: string): Import[] {
  const found: Import[] = [];
  const statement = /^(?:import|export)(\s+type)?\b([^;'(]*?)(?:\bfrom\s+)?'(\.[^']+)'/gm;
  for (const [, type, names, target] of texts.get(from)!.matchAll(statement)) {
    const to = relative(src, join(src, dirname(from), target!))
      .split(sep)
      .join('/');
    const listed = /\{([^}]*)\}/
      .exec(names!)?.[1]
      ?.split(',')
      .map((name) => name.trim());
    const typeOnly = type !== undefined || (listed?.filter(Boolean).every((name) => name.startsWith('type ')) ?? false);
    found.push({ from, to, typeOnly, isLate: false });
  }
  for (const [, target] of texts.get(from)!.matchAll(/(?<!@link )\bimport\('(\.[^']+)'\)/g)) {
    found.push({
      from,
      to: relative(src, join(src, dirname(from), target!))
        .split(sep)
        .join('/'),
      typeOnly: false,
      isLate: true,
    });
  }
  return found;
}

/** undefined: an entry of the package, which knows all. */
const roomOf = (file: string): string | undefined => (file.includes('/') ? dirname(file) : undefined);
const floorOf = (file: string): number => (roomOf(file) === undefined ? rooms.length : rooms.indexOf(roomOf(file)!));
const isEntry = (file: string): boolean =>
  (/\/(?:[a-z-]+-)?thread\.ts$/.test(file) && file !== 'base/thread.ts') || /\/examination\.ts$/.test(file);

test('all imports lead to files', () => {
  expect(imports.filter(({ to }) => !texts.has(to))).toEqual([]);
  expect(imports.length).toBeGreaterThan(100);
});

test('every room is in the table, and the table names no room that is not', () => {
  const found = new Set(files.map(roomOf).filter((room) => room !== undefined));
  expect([...rooms].sort()).toEqual([...found].sort());
});

test('a store is an adapter: outside of adapters/ and the entries the word postgres stands nowhere', () => {
  const named = (file: string): boolean => /postgres/i.test(texts.get(file)!) || /postgres/i.test(basename(file));
  const outside = files.filter((file) => roomOf(file) !== undefined && !file.startsWith('adapters/'));
  expect(outside.length).toBeGreaterThan(200);
  expect(outside.filter(named)).toEqual([]);
  expect(files.filter(named).length).toBeGreaterThan(30);
});

describe('who imports whom', () => {
  test('imports run down: a room knows those above it in the table, types and late imports counted', () => {
    const up = imports.filter(({ from, to }) => floorOf(to) > floorOf(from)).map(({ from, to }) => `${from} → ${to}`);
    expect([...new Set(up)].sort()).toEqual(Object.keys(upwards).sort());
    expect(Object.keys(upwards).length).toBeLessThanOrEqual(5);
  });

  test('LMDB opens a file through one door, which knows what ends the process there', () => {
    const callers = files.filter((file) => /^import [^;]*\bopen\b[^;]*lmdb-library\.ts'/m.test(texts.get(file)!));
    expect(callers).toEqual(['base/lmdb-open.ts']);
  });

  test('the library itself is loaded in one place, which keeps native code that nothing needs out', () => {
    const loads =
      /^(?:import|export) (?!type)[^;]*'(?:lmdb|msgpackr)[^']*'|\b(?:import|require)\(\s*'(?:lmdb|msgpackr)/m;
    expect(files.filter((file) => loads.test(texts.get(file)!))).toEqual(['base/lmdb-library.ts']);
  });

  test('entries of threads and processes are leaves: nobody imports one, but for its types', () => {
    expect(files.filter(isEntry).length).toBe(9);
    expect(imports.filter(({ to, typeOnly }) => isEntry(to) && !typeOnly)).toEqual([]);
  });

  test('no two files import each other, however far around', () => {
    // Types counted: files that need each other's types are not read one by one, either.
    const targets = new Map<string, string[]>();
    for (const { from, to } of imports) targets.set(from, [...(targets.get(from) ?? []), to]);
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (file: string, path: string[]): void => {
      if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(' → '));
      if (path.includes(file) || done.has(file)) return;
      for (const target of targets.get(file) ?? []) visit(target, [...path, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
    expect(cycles).toEqual([]);
  });
});

/** What each thread loads before it can do anything, and each importer of the public door: files, and packages. */
const loadedAtOnce: Readonly<Record<string, { files: number; packages: readonly string[] }>> = {
  // Also in every shard, and in every thread of a handler's, by way of the modules that users name.
  'index.ts': { files: 75, packages: [] },
  'postgres.ts': { files: 43, packages: [] },
  'kafka.ts': { files: 27, packages: [] },
  'testing.ts': { files: 54, packages: [] },
  'shard/thread.ts': { files: 92, packages: [] },
  'log/thread.ts': { files: 55, packages: [] },
  'log/sync-thread.ts': { files: 30, packages: [] },
  'flush/flush-thread.ts': { files: 56, packages: [] },
  'adapters/lmdb/handlers/write-thread.ts': { files: 32, packages: [] },
};

test('a start loads what it needs: clients of servers, pools and loggers come when there is something for them', () => {
  for (const [entry, { files: most, packages }] of Object.entries(loadedAtOnce)) {
    const seen = new Set([entry]);
    for (const file of seen) {
      for (const { from, to, typeOnly, isLate } of imports) if (from === file && !typeOnly && !isLate) seen.add(to);
    }
    const found = new Set<string>();
    for (const file of seen) {
      for (const [, name] of texts.get(file)!.matchAll(/^import (?!type\b)[^;]*from '((?!\.|node:)[^']+)'/gm))
        found.add(name!);
    }
    // A list of types alone is no import.
    for (const name of found) {
      const isUsed = [...seen].some((file) => {
        const lists = texts.get(file)!.matchAll(/^import (?!type\b)([^;]*) from '([^']+)'/gm);
        return [...lists].some(([, names, from]) => from === name && !/^\{(?:\s*type \w+,?)+\s*\}$/.test(names!));
      });
      if (!isUsed) found.delete(name);
    }
    expect({ entry, packages: [...found].sort() }).toEqual({ entry, packages });
    expect(seen.size, entry).toBeLessThanOrEqual(most);
  }
});

describe('every file', () => {
  test('says at its top what it is for', () => {
    expect(files.filter((file) => !/^(?:#!.*\n)?\/\/ \S.{20}/.test(texts.get(file)!))).toEqual([]);
  });

  test(`has at most ${lineLimit} lines`, () => {
    const long = files.map((file) => ({ file, lines: texts.get(file)!.split('\n').length - 1 }));
    expect(long.filter(({ lines }) => lines > lineLimit)).toEqual([]);
  });
});

test('everything public has a docstring', () => {
  const bare: string[] = [];
  const text = entries.map((entry) => texts.get(entry)!).join('\n');
  const lists = text.matchAll(/^export (?:type )?\{([^}]*)\} from '\.\/([^']+)'/gm);
  let count = 0;
  for (const [, names, file] of lists) {
    if (file === 'earlier-names.ts') continue; // they are documented where they come from
    for (const entry of names!.split(',')) {
      const name = entry.trim().replace(/^type /, '');
      if (name === '') continue;
      count++;
      const declared = `export (?:declare |abstract |async )*(?:class|function|interface|type|const) ${name}\\b`;
      const source = texts.get(file!)!;
      if (!new RegExp(declared).test(source)) bare.push(`${file}: ${name} is not declared there`);
      else if (!new RegExp(`\\*/\\n${declared}`).test(source)) bare.push(`${file}: ${name}`);
    }
  }
  expect(bare).toEqual([]);
  expect(count).toBeGreaterThan(40);
});
