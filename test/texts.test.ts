// Texts that are no payload, and go into a store, a topic, a header or a file all the same: an error's message, a reason, a
// name. None may hold what the place cannot (U+0000, half a character), nor grow without bound. Errors of ours tame them
// where they are made (each code: test/errors.test.ts); here are those who write, each with its reason.
import { globSync, mkdirSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { describeError } from '../src/base/errors.ts';
import { isStorable, tame } from '../src/base/tame.ts';
import { toWire } from '../src/base/wire-error.ts';
import { letterError } from '../src/dead-letters/letters.ts';
import { Rejected, TrunklineError } from '../src/index.ts';
import { Unrelayable } from '../src/outbox/relay-ring.ts';
import { ask } from '../src/runtime/ask-owner.ts';
import { Requests } from '../src/runtime/handlers-requests.ts';
import { errorOf, scratchFolder } from './runtime/scratch.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** A megabyte; whoever cuts it by a round number cuts a character. */
const hostile = `\0x${'😀'.repeat(250_000)}\ud83d`;
const unshowable: unknown = Object.create(null);

/** Every text within, each with its length. */
function* textsIn(value: unknown): Generator<string> {
  if (typeof value === 'string') yield value;
  if (typeof value !== 'object' || value === null) return;
  for (const [name, part] of Object.entries(value)) {
    yield name;
    yield* textsIn(part);
  }
}

const fits = (value: unknown, most = 8192): boolean =>
  [...textsIn(value)].every((text) => isStorable(text) && text.length <= most);

test('whatever is thrown can be kept: in dead letters, in quarantine, in answers to other processes', async () => {
  const thrown: unknown[] = [
    hostile,
    new Error(hostile),
    Object.assign(new Error('x'), { name: hostile, stack: hostile, code: hostile }),
    new Rejected(hostile, { detail: hostile }, hostile),
    new TrunklineError('HandlerFailed', { handler: 'x', cause: hostile }),
    unshowable,
    Symbol(hostile),
    undefined,
  ];
  const folder = scratchFolder();
  mkdirSync(folder, { recursive: true });
  let next: unknown;
  const owner = new Requests(
    folder,
    () => Promise.reject(next),
    () => {},
    20,
  );
  owner.start();
  try {
    for (const error of thrown) {
      expect(fits(letterError(error))).toBe(true);
      expect(fits(describeError(error))).toBe(true);
      expect(fits(new Unrelayable({} as never, error).reason)).toBe(true);
      expect(fits(tame(error), 500)).toBe(true);
      if (error instanceof Rejected) continue; // whole, or not at all: a user's answer to a caller
      expect(fits(toWire(error, { aggregateType: 'a', command: 'c' }))).toBe(true);
      next = error;
      const { message, details } = await errorOf(
        ask(folder, { kind: 'edit', id: 'x', data: 1 }, { timeoutMs: 20_000 }),
      );
      expect(fits({ message, details })).toBe(true);
    }
  } finally {
    owner.close();
  }
});

/** Who writes files, environments, rows or parameters of SQL, records of topics; and why its texts fit. */
const writers: Readonly<Record<string, string>> = {
  'src/runtime/directory.ts': 'our own words and ids',
  'src/runtime/served-types.ts': 'names of aggregate types, checked',
  'src/base/durable-file.ts': 'what the others here give it',
  'src/base/private-file.ts': 'what the others here give it',
  'src/log/secret.ts': 'hexadecimal',
  'src/schemas/lock-file.ts':
    'names that definitions have checked, and JSON Schemas as JSON, which escapes what is no character',
  'src/catalogue/write.ts':
    'JSON, Markdown and HTML whose names went through src/catalogue/text.ts, or JSON that escapes them',
  'src/log/floor.ts': 'numbers',
  'src/log/run-manifest.ts': 'our own words and numbers',
  'src/log/rebuild.ts': 'tamed',
  'src/base/lmdb-open.ts': 'an empty environment',
  'src/subscriptions/beginnings.ts': 'names of handlers, checked',
  'src/adapters/lmdb/handlers/probe.ts': 'the name of a file',
  'src/runtime/ask-owner.ts': 'JSON: what was asked by the command line or our own',
  'src/runtime/handlers-requests.ts': 'JSON: errors of ours, and what was done',
  'src/runtime/handlers-stage.ts': 'nothing',
  'src/adapters/lmdb/store/marker.ts': 'our own words and numbers',
  'src/adapters/postgres/partitions/archive-writing.ts': 'rows of the server as it gives them',
  'src/adapters/kafka/checkpoint.ts': 'numbers, ids, and a topic by its legal name',
  'src/adapters/kafka/format.ts': 'names and metadata of events, through the gate of limits; what is older is tamed',
  'src/adapters/kafka/plan.ts': 'details of errors of ours, tamed',
  'src/log/lmdb.ts': 'chunks: frames, through the gate of limits',
  'src/adapters/lmdb/handlers/write-thread.ts': 'as entries-sql.ts of PostgreSQL',
  'src/adapters/lmdb/handlers/examination.ts': 'numbers',
  'src/adapters/lmdb/store/examination.ts': 'numbers',
  'src/adapters/lmdb/store/heads.ts': 'ids of events, through the gate of limits',
  'src/adapters/lmdb/store/postings.ts': 'types of events, through the gate of limits',
  'src/adapters/lmdb/store/receipts.ts': 'outcomes as frames have them: errors of ours, rejections whole',
  'src/adapters/lmdb/store/sink.ts': 'numbers and ids',
  'src/adapters/lmdb/store/writer.ts': 'blocks of frames',
  'src/adapters/postgres/read/aggregate-sql.ts': 'ids of aggregates, checked',
  'src/adapters/kafka/partition-memory.ts': 'topics by their legal names',
  'src/adapters/postgres/handlers/entries-sql.ts': 'names, checked; JSON of letters, whose errors are tamed',
  'src/adapters/postgres/handlers/log-readers-sql.ts': 'names of handlers, checked',
  'src/adapters/postgres/handlers/row-table-sql.ts': 'rows of a user: what the server refuses is the event’s fault',
  'src/adapters/postgres/outbox/relay-session-sql.ts': 'reasons, tamed',
  'src/adapters/postgres/outbox/relay-outbox-sql.ts': 'types, checked',
  'src/adapters/postgres/flush/heads-sql.ts': 'ids of events, through the gate of limits',
  'src/adapters/postgres/session/locks-sql.ts': 'names of locks: our own words, names of logs and projections, months',
  'src/adapters/postgres/schema/migrations-sql.ts': 'names of our own files',
  'src/adapters/postgres/schema/months-sql.ts': 'rows as they are',
  'src/adapters/postgres/outbox/outbox-release-sql.ts': 'positions',
  'src/adapters/postgres/flush/quarantine-sql.ts': 'reasons: tamed in flush-transaction.ts, or our own words',
  'src/adapters/postgres/flush/relayed-sql.ts': 'positions',
  'src/adapters/postgres/flush/sink-sql.ts': 'positions',
  'src/adapters/postgres/flush/flush-transaction-sql.ts': 'positions; states, as JSON',
};

const writes = [
  /\b(?:writePrivate|appendPrivate|writeFileSync|writeFileDurably|writeFile|appendFile|appendFileSync|createWriteStream)\(/,
  /\binsert into [$a-z]/,
  /\bupdate \$/,
  /\.putSync\(/,
  /\bconst headers\b|\bheaders: \{\}/,
];
const cleans = /\.toWellFormed\(|replaceAll\('\\0'/;

test('who writes texts has a reason why they fit; they are cleaned in one place', () => {
  const found = { writers: [] as string[], cleaners: [] as string[] };
  for (const name of globSync('src/**/*.ts', { cwd: root })) {
    const code = stripTypeScriptTypes(readFileSync(`${root}/${name}`, 'utf8'));
    if (writes.some((one) => one.test(code))) found.writers.push(name);
    if (cleans.test(code)) found.cleaners.push(name);
  }
  expect(found.writers.filter((name) => !Object.hasOwn(writers, name))).toEqual([]);
  expect(found.cleaners).toEqual(['src/base/tame.ts']);
});
