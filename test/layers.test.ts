// The layout that src/ARCHITECTURE.md promises, held against the code: who may import whom, and what every file has.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

/**
 * What a stage (a folder of src) may import beyond its own folder and the shared vocabulary (src/*.ts). Other stages'
 * contracts, and no more: an entry is added on purpose or not at all. `/*` is the whole stage.
 */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  ring: [],
  bus: [],
  handlers: [
    'log/levels.ts',
    'store/filter.ts',
    'store/history.ts',
    'store/page-bytes.ts',
    'store/store.ts',
    'store/adapter.ts',
    'store/postgres/failure.ts',
    'store/postgres/guard.ts',
    'store/postgres/locks.ts',
    'store/postgres/own-path.ts',
    'store/postgres/page-size.ts',
    'store/postgres/postgres.ts',
    'store/postgres/server-session.ts',
    'store/postgres/session.ts',
    'store/postgres/sqlstate.ts',
    'store/postgres/table-ownership.ts',
    'store/postgres/time-text.ts',
  ],
  log: ['ring/*'],
  // The last three: the adapter of PostgreSQL, of which the outbox and the handlers have parts.
  store: [
    'log/log.ts',
    'log/levels.ts',
    'log/sink.ts',
    'outbox/outbox.ts',
    'outbox/postgres.ts',
    'handlers/state-adapter.ts',
    'handlers/projection-adapter.ts',
    'handlers/postgres/*',
  ],
  stream: ['flush/sink-options.ts', 'log/sink.ts'],
  flush: [
    'log/log.ts',
    'log/levels.ts',
    'log/losses.ts',
    'log/gate.ts',
    'log/lmdb.ts',
    'log/sink.ts',
    'ring/bell.ts',
    'store/adapter.ts',
    'store/local.ts',
    'store/store.ts',
  ],
  actor: [
    'log/log.ts',
    'log/levels.ts',
    'log/frames.ts',
    'log/lmdb.ts',
    'ring/*',
    'store/adapter.ts',
    'store/local.ts',
    'store/store.ts',
  ],
  caller: [
    'actor/contract.ts',
    'actor/pool.ts',
    'bus/bus.ts',
    'log/log.ts',
    'log/levels.ts',
    'log/frames.ts',
    'ring/*',
  ],
  entity: [
    'caller/caller.ts',
    'caller/receipt.ts',
    'caller/slots.ts',
    'log/levels.ts',
    'log/frames.ts',
    'log/log.ts',
    'store/arguments.ts',
    'ring/*',
    'store/store.ts',
  ],
  outbox: [
    'caller/caller.ts',
    'caller/in-flight.ts',
    'log/frames.ts',
    'log/levels.ts',
    'log/log.ts',
    'ring/*',
    'store/postgres/failure.ts',
    'store/postgres/connection.ts',
    'store/postgres/server-session.ts',
    'store/postgres/sqlstate.ts',
  ],
  cli: [
    'handlers/dead-letters.ts',
    'handlers/forget.ts',
    'handlers/letter-query.ts',
    'handlers/message-letters.ts',
    'handlers/outside.ts',
    'handlers/replay.ts',
    'log/inspect.ts',
    'store/postgres/*',
    'stream/kafka/topic-plan.ts',
    'stream/settings.ts',
  ],
  testing: [
    'actor/actor-type.ts',
    'actor/actor.ts',
    'actor/command.ts',
    'actor/evolve.ts',
    'actor/execution.ts',
    'actor/frozen.ts',
    'actor/tellable.ts',
    'log/policy.ts',
    'ring/*',
  ],
};

/** The vocabulary itself: which of its files look into a stage, and where. */
const vocabularyMayImport: Readonly<Record<string, readonly string[]>> = {
  'options.ts': ['flush/sink-options.ts', 'log/policy.ts', 'store/adapter.ts'],
  'status.ts': ['caller/shards.ts', 'handlers/handlers.ts', 'outbox/outbox.ts'],
  'shard-settings.ts': ['actor/pool.ts'],
  'ending.ts': ['log/levels.ts'],
};

/** The rooms of `handlers/`, from bottom to top; what is named in none of them is of subscriptions. */
const rooms: readonly (readonly [room: string, files: RegExp])[] = [
  [
    'state of handlers',
    /^(?:careful-line|checkpoint|done-ranges|effects|effect-transaction|handled|handler-name|in-hand|once|overlay|patience|state-adapter|table-pages|table-store|tables)\.ts$/,
  ],
  ['dead letters', /^(?:dead-letters|letters|letter-query|message-box|message-letters|parked|requeues)\.ts$/],
  ['subscriptions', /^(?!)$/],
  ['projections', /^(?:folding|local-projection|projection|projection-adapter)\.ts$/],
  ['adapters', /^(?:lmdb|postgres)\//],
  ['composition', /^(?:door|forget|outside|requests|stage|stage-parts)\.ts$/],
];

function roomOf(file: string): number {
  const found = rooms.findIndex(([, files]) => files.test(file.slice('handlers/'.length)));
  return found < 0 ? rooms.findIndex(([room]) => room === 'subscriptions') : found;
}

/** They know all stages. */
const entries = ['index.ts', 'postgres.ts', 'kafka.ts', 'testing.ts'];
const atTheTop = [...entries, 'earlier-names.ts', 'runtime.ts', 'start.ts', 'stages.ts', 'status.ts'];

const lineLimit = 400;

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

const stageOf = (file: string): string | undefined => (file.includes('/') ? file.split('/')[0] : undefined);
const isEntry = (file: string): boolean =>
  /\/(?:[a-z-]+-)?thread\.ts$/.test(file) || /\/lmdb\/examination\.ts$/.test(file);
const allows = (list: readonly string[], file: string): boolean =>
  list.some((entry) => entry === file || (entry.endsWith('/*') && file.startsWith(entry.slice(0, -1))));

test('all imports lead to files', () => {
  expect(imports.filter(({ to }) => !texts.has(to))).toEqual([]);
  expect(imports.length).toBeGreaterThan(100);
});

test('every stage is in the table, and the table names no stage that is not', () => {
  const stages = new Set(files.map(stageOf).filter((stage) => stage !== undefined));
  expect(Object.keys(mayImport).sort()).toEqual([...stages].sort());
});

describe('who imports whom', () => {
  test.each(Object.keys(mayImport))('%s: its own folder, the vocabulary, and what the table says', (stage) => {
    const strays = imports.filter(({ from, to }) => {
      if (stageOf(from) !== stage || stageOf(to) === stage) return false;
      if (stageOf(to) === undefined) return atTheTop.includes(to);
      return !allows(mayImport[stage]!, to);
    });
    expect(strays).toEqual([]);
  });

  test('the vocabulary looks into no stage beyond what the table says, and not to the top', () => {
    const strays = imports.filter(({ from, to }) => {
      if (stageOf(from) !== undefined || atTheTop.includes(from)) return false;
      return stageOf(to) === undefined ? atTheTop.includes(to) : !allows(vocabularyMayImport[from] ?? [], to);
    });
    expect(strays).toEqual([]);
  });

  test('the table allows nothing that nobody uses', () => {
    const unused: string[] = [];
    const rows = [...Object.entries(mayImport), ...Object.entries(vocabularyMayImport)];
    for (const [row, allowed] of rows) {
      for (const entry of allowed) {
        const used = imports.some(({ from, to }) => (from === row || stageOf(from) === row) && allows([entry], to));
        if (!used) unused.push(`${row} → ${entry}`);
      }
    }
    expect(unused).toEqual([]);
  });

  test('handlers: no room imports of one above it, types counted', () => {
    const within = imports.filter(({ from, to }) => stageOf(from) === 'handlers' && stageOf(to) === 'handlers');
    expect(within.filter(({ from, to }) => roomOf(from) < roomOf(to))).toEqual([]);
    expect(new Set(within.map(({ from }) => roomOf(from))).size).toBe(rooms.length);
  });

  test('LMDB opens a file through one door, which knows what ends the process there', () => {
    const callers = files.filter((file) => /^import [^;]*\bopen\b[^;]*lmdb-library\.ts'/m.test(texts.get(file)!));
    expect(callers).toEqual(['lmdb-open.ts']);
  });

  test('the library itself is loaded in one place, which keeps native code that nothing needs out', () => {
    const loads =
      /^(?:import|export) (?!type)[^;]*'(?:lmdb|msgpackr)[^']*'|\b(?:import|require)\(\s*'(?:lmdb|msgpackr)/m;
    expect(files.filter((file) => loads.test(texts.get(file)!))).toEqual(['lmdb-library.ts']);
  });

  test('entries of threads and processes are leaves: nobody imports one, but for its types', () => {
    expect(files.filter(isEntry).length).toBeGreaterThanOrEqual(5);
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
  'index.ts': { files: 63, packages: [] },
  'postgres.ts': { files: 40, packages: [] },
  'kafka.ts': { files: 24, packages: [] },
  'testing.ts': { files: 36, packages: [] },
  'actor/thread.ts': { files: 76, packages: [] },
  'log/thread.ts': { files: 49, packages: [] },
  'log/sync-thread.ts': { files: 26, packages: [] },
  'flush/flush-thread.ts': { files: 46, packages: ['p-retry'] },
  'handlers/lmdb/write-thread.ts': { files: 30, packages: [] },
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
