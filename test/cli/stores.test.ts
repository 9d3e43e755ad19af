// Every command that takes a database, with one that is not the service's: it says so, and never that there is nothing. And
// what commands say of a service's messages and handlers. Run in this process, against a real server.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { makeProgram, runProgram } from '../../src/cli/program.ts';
import { migrate, postgres } from '../../src/index.ts';
import type { MessageCounts } from '../../src/wire/message.ts';
import { administer, freshDatabase } from '../postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { Courier } from '../runtime/courier.ts';
import { scratchFolder, startRuntime, until } from '../runtime/scratch.ts';

async function run(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const stdout = vi.spyOn(process.stdout, 'write').mockImplementation((text) => Boolean((out += text)));
  const stderr = vi.spyOn(process.stderr, 'write').mockImplementation((text) => Boolean((err += text)));
  try {
    return { code: await runProgram(['node', 'trunkline', ...words]), out, err };
  } finally {
    stdout.mockRestore();
    stderr.mockRestore();
  }
}

function* leaves(command: Command, path: string[] = []): Generator<{ path: string[]; command: Command }> {
  if (command.commands.length === 0) yield { path, command };
  for (const next of command.commands) yield* leaves(next, [...path, next.name()]);
}

let url: string;
const scratch = mkdtempSync(join(tmpdir(), 'trunkline-stores-'));
const dataDir = join(scratch, 'data');
const jsonFile = join(scratch, 'data.json');
/** Of another service, in the same schema and in another one. */
let theirs: string;

beforeAll(async () => {
  [url, theirs] = [await freshDatabase(), await freshDatabase()];
  const runtime = await startRuntime({ dataDir, store: postgres({ connectionString: url, migrate: true }) });
  const { position } = await runtime.ref(Counter, 'a').add(1);
  await runtime.subscribe({ name: 'billing', handle: () => {} }).caughtUpTo(position);
  await runtime.close();
  for (const schema of ['trunkline', 'other']) await migrate({ connection: theirs, schema });
});

afterAll(() => rmSync(scratch, { recursive: true }));

const orders = fileURLToPath(new URL('../rehearsal/orders.ts', import.meta.url));

/** A command line that would do something, but for the database. */
function lineOf(path: readonly string[]): string[] {
  writeFileSync(jsonFile, '{}');
  const more: Record<string, string[]> = {
    'outbox release': ['no-such-log'],
    'partitions archive': ['--before', '2026-01', '--to', join(scratch, 'archive')],
    'partitions drop': ['--before', '2026-01', '--force'],
    'handlers forget': ['billing', '--data-dir', dataDir],
    'dead-letters show': ['billing/1'],
    'dead-letters edit': ['billing/1', '--data', jsonFile, '--unchecked'],
    'dead-letters requeue': ['--all'],
    'dead-letters discard': ['--all'],
    rehearse: ['--old', orders, '--new', orders],
  };
  return [...path, ...(more[path.join(' ')] ?? [])];
}

const withDatabase = [...leaves(makeProgram())]
  .filter(({ command }) => command.options.some(({ long }) => long === '--postgres'))
  .map(({ path, command }) => ({
    path,
    takesDirectory: command.options.some(({ long }) => long === '--data-dir'),
  }))
  .filter(({ path }) => path[0] !== 'migrate'); // it makes what is not there

test('a database without the schema is said to be one, by all', async () => {
  expect(withDatabase.length).toBeGreaterThan(10);
  const empty = await freshDatabase();
  const database = ['--postgres', empty];
  for (const { path, takesDirectory } of withDatabase) {
    const line = lineOf(path);
    const directory = takesDirectory && !line.includes('--data-dir') ? ['--data-dir', dataDir] : [];
    const { code, out, err } = await run(...line, ...directory, ...database);
    expect([path, code, out, err]).toEqual([
      path,
      1,
      '',
      expect.stringMatching(/^trunkline: schema 'trunkline' is not there: .*\n$/),
    ]);
  }
  // A schema that is there, and is something else.
  await administer(empty, 'create schema shop; create table shop.domain_events (id int)');
  for (const { path } of withDatabase.filter(({ takesDirectory }) => !takesDirectory)) {
    const { code, err } = await run(...lineOf(path), ...database, '--schema', 'shop');
    expect([path, code, err]).toEqual([path, 1, expect.stringMatching(/schema 'shop' is not there: it has no tables/)]);
  }
});

test.each(['trunkline', 'other'])(
  'the store of another service is told from the own one, in schema %s',
  async (schema) => {
    for (const { path, takesDirectory } of withDatabase) {
      if (!takesDirectory) continue;
      const line = lineOf(path);
      const directory = line.includes('--data-dir') ? [] : ['--data-dir', dataDir];
      const wrong = await run(...line, ...directory, '--postgres', theirs, '--schema', schema);
      expect([path, wrong.code, wrong.out, wrong.err]).toEqual([
        path,
        1,
        '',
        expect.stringMatching(new RegExp(`schema '${schema}' of database '.*' does not hold log .* of ${dataDir}`)),
      ]);
    }
    const at = ['--data-dir', dataDir, '--postgres', url];
    expect(await run('dead-letters', 'list', ...at)).toMatchObject({ code: 0, out: '0 dead letters\n' });
    const { out } = await run('status', '--json', ...at);
    expect(JSON.parse(out)).toMatchObject({ handlers: [{ name: 'billing' }], store: { holdsLog: true } });
  },
);

test('a service that stores nothing in a database: no empty variable is in its way, and another store is told as one', async () => {
  const folder = scratchFolder();
  const runtime = await startRuntime({ dataDir: folder });
  const handle = (): never => {
    throw new Error('broken');
  };
  const subscription = runtime.subscribe({ name: 'fails', retry: { attempts: 1 }, handle });
  await subscription.caughtUpTo(await runtime.ref(Counter, 'a').add(1));
  await runtime.close();
  const at = ['--data-dir', folder];
  process.env.TRUNKLINE_POSTGRES = '';
  try {
    expect((await run('dead-letters', 'list', ...at)).out).toContain('1 dead letter\n');
    expect((await run('status', ...at)).out).toContain('fails');
  } finally {
    delete process.env.TRUNKLINE_POSTGRES;
  }
  const shown = await run('status', ...at, '--postgres', url);
  expect(shown).toMatchObject({
    code: 0,
    out: expect.stringMatching(/it does not hold log \w+: what follows is of other/),
  });
  const { store } = JSON.parse((await run('status', '--json', ...at, '--postgres', url)).out);
  expect(store).toMatchObject({ holdsLog: false });
  // A handler's code is the service's.
  expect(await run('dead-letters', 'requeue', '--all', '--dry-run', ...at)).toMatchObject({
    code: 1,
    out: '',
    err: expect.stringMatching(/no service runs on .*a dry run calls the handler/),
  });
  expect((await run('dead-letters', 'requeue', '--all', ...at)).out).toContain('requeued');
});

test('handlers forget: by the service, without it, and of a machine that is lost', async () => {
  const folder = scratchFolder();
  const schema = 'forgetful';
  const store = postgres({ connectionString: url, schema, migrate: true });
  const runtime = await startRuntime({ dataDir: folder, store });
  const { position } = await runtime.ref(Counter, 'a').add(1);
  const names = ['one', 'two', 'three'];
  for (const name of names) await runtime.subscribe({ name, handle: () => {} }).caughtUpTo(position);
  const place = ['--postgres', url, '--schema', schema];
  const at = ['--data-dir', folder, ...place];
  expect(await run('handlers', 'forget', 'one', ...at)).toMatchObject({
    code: 1,
    err: expect.stringMatching(/of handler 'one' stays: it is running/),
  });
  await runtime.subscriptions.named('one').close();
  expect(await run('handlers', 'forget', 'one', '--dry-run', ...at)).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^subscription one: would be forgotten, .*\n {2}1 checkpoint to be removed: one\n$/),
  });
  expect(JSON.parse((await run('handlers', 'forget', 'one', '--json', ...at)).out)).toMatchObject({
    name: 'one',
    outcome: 'forgotten',
  });
  await runtime.close();
  expect(await run('handlers', 'forget', 'one', ...at)).toMatchObject({
    code: 1,
    err: expect.stringMatching(/nothing is kept of a handler 'one'; known: three, two/),
  });
  expect((await run('handlers', 'forget', 'two', ...at)).out).toMatch(/^subscription two: forgotten/);
  const [{ log_id: log }] = await administer(url, `select log_id from ${schema}.flush_checkpoints`);
  const lost = ['--log', log, ...place];
  expect(await run('handlers', 'forget', 'three', ...lost)).toMatchObject({
    code: 1,
    err: expect.stringMatching(/was in use \d+ s ago/),
  });
  const past = `set updated_at = now() - interval '1 hour'`;
  for (const table of ['flush_checkpoints', 'event_handler_positions']) {
    await administer(url, `update ${schema}.${table} ${past}`);
  }
  await administer(url, `update ${schema}.outbox_relay set seen_at = now() - interval '1 hour'`);
  expect((await run('handlers', 'forget', 'nobody', '--log', 'no-such', ...place)).err).toMatch(
    /does not hold log no-such/,
  );
  expect(await run('handlers', 'forget', 'three', ...lost)).toMatchObject({ code: 0 });
  expect(await administer(url, `select from ${schema}.event_handler_positions`)).toEqual([]);
  for (const line of [['three'], ['three', ...at, '--log', log], []]) {
    expect([line, (await run('handlers', 'forget', ...line)).code]).toEqual([line, 2]);
  }
});

test('status counts messages: by the service while it runs, by what is kept afterwards', async () => {
  const folder = scratchFolder();
  const counts = async (): Promise<MessageCounts> =>
    JSON.parse((await run('status', '--json', '--data-dir', folder)).out).messages;
  const file = `${folder}-fails`;
  writeFileSync(file, '');
  const messages = { retry: { attempts: 1 } };
  const runtime = await startRuntime({ dataDir: folder, aggregates: [Courier], logger: false, messages });
  expect(await counts()).toEqual({ underWay: 0, refused: 0, failed: 0, deadLetters: 0 });
  await runtime.ref(Courier, 'from').send('to', ['a', 'b'], 'takeUnless', file);
  await until(counts, ({ underWay, deadLetters }) => underWay === 0 && deadLetters === 2);
  const { messagesFailed: failed } = runtime.status();
  expect(failed).toBeGreaterThan(0);
  expect(await counts()).toEqual({ underWay: 0, refused: 0, failed, deadLetters: 2 });
  expect((await run('status', '--data-dir', folder)).out).toContain(
    `\nmessages: 0 in flight, 2 dead letters; since the service's start 0 refused, ${failed} given up\n`,
  );
  await runtime.close();
  expect(await counts()).toEqual({ deadLetters: 2 });
  expect((await run('status', '--data-dir', folder)).out).toContain('\nmessages: 2 dead letters; more only');
});
