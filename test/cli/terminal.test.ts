// What clients have put into ids, names and error texts does nothing to the terminal of who looks at it: for every command,
// with such text in its words and in what it reads.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import pg from 'pg';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { printable, printableJson } from '../../src/base/printable.ts';
import { makeProgram, runProgram } from '../../src/cli/program.ts';
import { administer, freshDatabase } from '../postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { Courier } from '../runtime/courier.ts';
import { scratchFolder, startRuntime, until } from '../runtime/scratch.ts';

const controls = Array.from({ length: 0xa0 }, (_, code) => String.fromCharCode(code)).filter((c) => /\p{Cc}/u.test(c));
const others = [
  ...'\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff',
];

/** Of what may stand in an id; each with what a terminal would make of it. */
const hostile = `x\u001b]0;owned\u0007\u001b[2J\u009b31m\u0008\u007f\u202egnp\u2066\u2028\r\ncounter/innocent@1`;

/** Names of handlers and schemas hold no controls. */
const handler = 'bill\u2066\u202egni';
const schema = 'innocent \u202egni\u2066 "$$\'';

/** All that has been written since the last look. */
let written = '';
beforeEach(() => {
  written = '';
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, 'write').mockImplementation((text) => {
      written += text;
      return true;
    });
  }
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** Commands that have read what holds such text. */
const seen = new Set<string>();

/** Run a command; nothing of the hostile text does anything, and nothing of it stands at the beginning of a line. */
async function run(path: string, ...words: string[]): Promise<string> {
  written = '';
  await runProgram(['node', 'trunkline', ...path.split(' '), ...words]);
  const text = written;
  const raw = [...text].filter((character) => character !== '\n' && [...controls, ...others].includes(character));
  expect.soft(raw.map(printable), path).toEqual([]);
  expect.soft(text, path).not.toMatch(/^counter\/innocent/m);
  expect.soft(text, `${path} has printed nothing`).not.toBe('');
  return text;
}

/** The same, of a command that reads it. */
function read(path: string, ...words: string[]): Promise<string> {
  seen.add(path);
  return run(path, ...words);
}

function* leaves(command: Command, path: string[] = []): Generator<{ path: string; command: Command }> {
  if (command.commands.length === 0) yield { path: path.join(' '), command };
  for (const next of command.commands) yield* leaves(next, [...path, next.name()]);
}

test('every control and every character that turns the order of text round is written out', () => {
  for (const character of [...controls, ...others, '\ud800', '\udc00']) {
    expect(printable(`a${character}b`), character).toMatch(/^a\\(?:[nrt]|u[0-9a-f]{4})b$/);
    if (character !== '\n') expect(printableJson(character)).toMatch(/^\\u[0-9a-f]{4}$/);
  }
  const fine = 'größer 東京 👩‍👩‍👧 می‌خواهم \\u001b';
  expect(printable(fine)).toBe(fine);
  expect(printable(printable(hostile))).toBe(printable(hostile));
  expect(JSON.parse(printableJson(JSON.stringify({ [hostile]: [hostile, ...others] }, null, 2)))).toEqual({
    [hostile]: [hostile, ...others],
  });
});

test('every command, with such text in its words', async () => {
  for (const { path, command } of leaves(makeProgram())) {
    const given = command.registeredArguments.map(() => hostile);
    await run(path, ...given, `--${hostile}`);
    await run(path, ...given, hostile, hostile);
    for (const option of command.options.filter(({ required }) => required)) {
      const mandatory = command.options.filter((other) => other.mandatory && other !== option);
      await run(path, ...given, `${option.long}=${hostile}`, ...mandatory.map(({ long }) => `${long}=${hostile}`));
    }
  }
  expect(await run('messagse')).toContain('unknown command');
  expect(await run(hostile)).toContain('unknown command');
});

test('dead letters, handlers and messages whose names, ids and errors hold such text', async () => {
  const dataDir = scratchFolder();
  const fails = join(dataDir, '..', 'fails');
  writeFileSync(fails, '');
  const messages = { retry: { attempts: 1 } };
  const runtime = await startRuntime({ dataDir, aggregates: [Counter, Courier], messages });
  runtime.subscribe({
    name: handler,
    events: ['Labelled'],
    retry: { attempts: 1 },
    handle() {
      throw Object.assign(new Error(hostile), { name: hostile });
    },
  });
  const labelled = await runtime.ref(Counter, hostile).label(hostile);
  await runtime.ref(Courier, hostile).send(hostile, ['one', 'two'], 'takeUnless', fails);
  await runtime.subscriptions.named(handler).caughtUpTo(labelled);
  const [first, second] = await until(
    () => runtime.deadLetters.messages.list(),
    ({ length }) => length === 2,
  );
  const [letter] = await runtime.deadLetters.list();
  const at = ['--data-dir', dataDir];
  const data = join(dataDir, '..', 'data.json');
  writeFileSync(data, JSON.stringify({ label: hostile }));
  for (const json of [[], ['--json']]) {
    expect(await read('status', ...at, ...json)).toContain('\\u202egni');
    expect(await read('dead-letters list', ...at, ...json)).toContain('innocent');
    expect(await read('dead-letters messages list', ...at, ...json)).toContain('innocent');
    expect(await read('dead-letters requeue', letter!.id, '--dry-run', ...at, ...json)).toContain('would fail');
    expect(await read('dead-letters edit', letter!.id, '--data', data, ...at, ...json)).toContain('egni/');
    await read('replay', '--handler', handler, ...at, ...json);
  }
  expect(await read('dead-letters show', letter!.id, ...at)).toContain('innocent');
  expect(await read('dead-letters messages show', first!.id, ...at)).toContain('innocent');
  expect(await read('dead-letters discard', '--handler', handler, ...at)).toContain('discarded');
  expect(await read('dead-letters messages requeue', first!.id, ...at)).toContain('requeued');
  await runtime.subscriptions.named(handler).close();
  for (const more of [['--dry-run'], ['--json']]) {
    expect(await read('handlers forget', handler, ...at, ...more)).toContain('\\u202egni');
  }
  expect(await read('dead-letters messages discard', '--sender-id', hostile, ...at)).toContain(second!.id);
  expect(await read('dead-letters show', hostile, ...at)).toContain('innocent');
});

test('a schema, logs, partitions and folders named so', async () => {
  const url = await freshDatabase();
  const to = ['--postgres', url, '--schema', schema];
  expect(await read('migrate', ...to, '--dry-run')).toContain('innocent');
  expect(await read('migrate', ...to)).toContain('innocent');
  const name = pg.escapeIdentifier(schema);
  const odd = pg.escapeIdentifier(hostile.slice(0, 60));
  const log = pg.escapeLiteral(hostile);
  await administer(
    url,
    `insert into ${name}.flush_checkpoints values (${log}, 1);
     create table ${name}.${odd} partition of ${name}.domain_events for values from ('2020-01-01') to ('2020-02-01');
     create table ${name}.domain_events_2020_03 partition of ${name}.domain_events
       for values from ('2020-03-01') to ('2020-04-01');
     insert into ${name}.outbox (sequence, id, occurred_at, log_id, batch) values (1, gen_random_uuid(), now(), ${log}, 1)`,
  );
  const folder = join(scratchFolder(), hostile);
  for (const json of [[], ['--json']]) {
    expect(await read('status', ...to, ...json)).toContain('innocent');
    expect(await read('partitions list', ...to, ...json)).toContain('innocent');
    await read('partitions make', ...to, ...json);
    expect(await read('partitions archive', '--before', '2021-01', '--to', folder, ...to, ...json)).toContain(
      'innocent',
    );
    await read('outbox release', hostile, ...to, ...json);
  }
  expect(await read('partitions drop', '--before', '2021-01', '--archive', folder, ...to)).toContain('dropped');
});

test('modules whose aggregates and events are named so', async () => {
  const dataDir = scratchFolder();
  const folder = join(dataDir, '..', 'modules');
  mkdirSync(folder, { recursive: true });
  const index = new URL('../../src/index.ts', import.meta.url).href;
  const order = 'order \u2066\u202egni';
  const text = (total: number): string => `
    import { defineAggregate, event } from ${JSON.stringify(index)};
    export const Order = defineAggregate(${JSON.stringify(order)}, {
      module: import.meta.url,
      state: () => ({ total: 0 }),
      events: { [${JSON.stringify(`Paid ${handler}`)}]: event() },
      evolve: { [${JSON.stringify(`Paid ${handler}`)}]: () => ({ total: ${total} }) },
      commands: { pay: (order) => order.raise(${JSON.stringify(`Paid ${handler}`)}, { text: ${JSON.stringify(hostile)} }) },
    });`;
  const [old, now] = [1, 2].map((total) => {
    const file = join(folder, `release-${total}.ts`);
    writeFileSync(file, text(total));
    return file;
  }) as [string, string];
  const { Order } = await import(old);
  const runtime = await startRuntime({ dataDir, aggregates: [Order] });
  await (runtime.ref(Order, hostile) as any).with({ ack: 'stored' }).pay();
  for (const json of [[], ['--json']]) {
    const compared = await read('rehearse', '--old', old, '--new', now, '--data-dir', dataDir, ...json);
    expect(compared).toContain('innocent');
    const lock = ['--aggregates', old, '--file', join(folder, `lock${json.length}.json`)];
    expect(await read('schemas accept', ...lock, ...json)).toContain('egni');
    expect(await read('schemas check', ...lock, ...json)).toContain('egni');
  }
  await read('catalogue', '--aggregates', old, '--format', 'markdown', '--out', join(folder, 'catalogue'));
});

test('no command but those of topics is left out, and nothing else writes to the terminal', () => {
  const all = [...leaves(makeProgram())].map(({ path }) => path);
  expect(all.filter((path) => !seen.has(path)).sort()).toEqual(['topics apply', 'topics plan']);
  const src = fileURLToPath(new URL('../../src/', import.meta.url));
  const files = ['cli', 'terminal', 'adapters/postgres/commands'].flatMap((folder) =>
    readdirSync(join(src, folder)).map((file) => join(folder, file)),
  );
  const writing = files.filter((file) =>
    /process\.std(?:out|err)\b(?!\.isTTY)|\bconsole\b/.test(readFileSync(join(src, file), 'utf8')),
  );
  expect(writing).toEqual(['terminal/print.ts']);
});
