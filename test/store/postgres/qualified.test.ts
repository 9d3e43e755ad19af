// Statements of ours call the server's own functions and no others, whatever search_path they meet: behind a pooler, and on
// a client of the user's, it may name a schema in which other roles make functions, and one whose arguments fit better wins.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { expect, test } from 'vitest';
import { PostgresAppend } from '../../../src/adapters/postgres/outbox/append.ts';
import type { AppendedEvent } from '../../../src/store/store.ts';
import { newId } from '../../../src/wire/ids.ts';
import { administer, migratedDatabase, serverUrl } from '../../postgres.ts';

/** What the grammar itself takes from pg_catalog: `extract(epoch from x)`. */
const syntax = new Set(['extract', 'overlay', 'position', 'substring', 'trim']);
/** Of several lists, and only without a schema: the parser makes pg_catalog.unnest() of each. */
const several = /\bunnest\((?=[^()]*,)/g;
/** Folders of src whose texts are SQL, beside others. */
const folders = ['adapters/postgres', 'outbox', 'cli', 'entity'];
const text = /`(?:[^`\\]|\\.)*`|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g;

function textsOf(folder: string): [string, string][] {
  const src = fileURLToPath(new URL('../../../src', import.meta.url));
  return (readdirSync(join(src, folder), { recursive: true }) as string[])
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => {
      const code = readFileSync(join(src, folder, file), 'utf8').replaceAll(/(^|\s)\/\/.*$|\/\*[\s\S]*?\*\//gm, '$1');
      return [...code.matchAll(text)].map(([found]): [string, string] => [
        join(folder, file),
        found.replaceAll(/\$\{[^{}]*\}/g, 'x').replaceAll(several, '('),
      ]);
    });
}

test('every function of the server and every table of its catalogue is named with pg_catalog in the texts of src', async () => {
  const rows = await administer(
    await serverUrl(),
    `select distinct proname as name from pg_proc where pronamespace = 'pg_catalog'::regnamespace`,
  );
  const functions = new Set<string>(rows.map(({ name }) => name).filter((name: string) => !syntax.has(name)));
  const found: string[] = [];
  for (const [file, sql] of folders.flatMap(textsOf)) {
    for (const [, name] of sql.matchAll(/(?<![.\w])([a-z_0-9]+)\(/g)) {
      if (functions.has(name!)) found.push(`${file}: ${name}(`);
    }
    for (const [, name] of sql.matchAll(/\b(?:from|join) (pg_(?!catalog|temp)\w+)/g)) found.push(`${file}: ${name}`);
  }
  expect(found).toEqual([]);
});

/**
 * Files whose statements also run by the search_path of others: in a handler's transaction, on a client of the user's, or before a
 * session is set. All other statements are read on our own path (own-path.ts), and no client gets round it.
 */
const isShared = (file: string): boolean =>
  (file.startsWith('adapters/postgres/handlers/') && !ofOwnSessions.includes(file.split('/').at(-1)!)) ||
  [
    'adapters/postgres/outbox/append-sql.ts',
    'adapters/postgres/session/session-sql.ts',
    'entity/client-transaction.ts',
  ].includes(file);
/** Of the handlers' folder those that no handler's transaction runs. */
const ofOwnSessions: readonly string[] = ['log-readers-sql.ts', 'table-place-sql.ts', 'traces-sql.ts'];
const isStatement = /\b(?:select|insert into|update|delete from|from|where|case when|exists|order by)\b/;
/** `set column = …`, and texts in the statement. */
const noOperators = /\b\w+ = (?:coalesce\()?excluded\b|\bset (?:local )?\w+ = |'[^']*'|\$\{[^}]*$/g;
const bare = [
  /[\w)\]"'] [-+*/<>=~!@#%^&|]+ [\w('"$]/, // an operator
  /\b(?:is (?:not )?distinct from|not in|in|between|nullif|like|ilike|similar to|case \w+ when)\b(?! (?:the|a|its|which))/,
  /::(?!pg_catalog\.|x)/,
];

test('statements that run by the search_path of others name each operator and type with its schema', () => {
  const texts = folders.flatMap(textsOf).filter(([file, sql]) => isShared(file) && isStatement.test(sql));
  const found = texts.filter(([, sql]) => bare.some((one) => one.test(sql.replaceAll(noOperators, ' '))));
  expect(found).toEqual([]);
  expect(new Set(texts.map(([file]) => file)).size).toBeGreaterThan(4); // it has seen them
});

test('no other statement can be read by the search_path of others', () => {
  const src = fileURLToPath(new URL('../../../src', import.meta.url));
  const textOf = (file: string): string =>
    readFileSync(join(src, file), 'utf8').replaceAll(/^\s*(?:\/\/|\*|\/\*\*).*$/gm, '');
  const files = (readdirSync(src, { recursive: true }) as string[]).filter((file) => file.endsWith('.ts'));
  const having = (what: RegExp): string[] => files.filter((file) => what.test(textOf(file))).sort();
  // Clients and pools of ours bring the path along, and are made, and transactions begun, in one place (session.test.ts).
  expect(having(/extends pg\.(?:Client|Pool)\b/)).toEqual(['adapters/postgres/session/server-session.ts']);
  // Transactions and sessions whose path is another's.
  expect(having(/\bbeginSharedSql\(/)).toEqual(['adapters/postgres/handlers/entries-sql.ts']);
  expect(having(/isUsers: true/)).toEqual(['adapters/postgres/handlers/tables.ts']);
  // Clients of the user's: a pool is borrowed from in one place, which puts them on the path.
  expect(having(/\bborrowed\(this\.pool\b/)).toEqual(['adapters/postgres/read/archive.ts']);
  expect(textOf('adapters/postgres/read/archive.ts')).toContain('this.isOwnPool ? borrowed : onOwnPath(borrowed)');
  expect(having(/\b(?:pool|reading)\.connect\(|\bpool\.query\(/)).toEqual([
    'adapters/postgres/handlers/tables.ts',
    'adapters/postgres/handlers/transactions.ts',
    'adapters/postgres/session/borrowed.ts',
  ]);
});

test('saveWithTx calls the functions of the schema by all their types: one beside them that fits texts is not chosen', async () => {
  const connectionString = await migratedDatabase();
  const overload = (name: string, type: string, result: string, value: string): string =>
    `create function trunkline.${name}(${Array(9).fill(type).join()}) returns ${result} language sql as $$ select ${value} $$;`;
  await administer(
    connectionString,
    ['text', 'varchar', '"any"']
      .map((type) =>
        type === '"any"'
          ? `create function trunkline.append_event(variadic "any") returns int language internal as 'pg_num_nulls';
           create function trunkline.append_events(variadic "any") returns int language internal as 'pg_num_nulls';`
          : overload('append_event', type, 'int', '77') +
            overload('append_events', `${type}[]`, 'int[]', 'array[77, 77]'),
      )
      .join(''),
  );
  const client = new pg.Client({ connectionString });
  await client.connect();
  const append = new PostgresAppend('trunkline');
  const event = (aggregateId: string, nth: number, expectedVersion?: number): AppendedEvent => ({
    ...{
      id: newId(),
      aggregateType: 'invoice',
      aggregateId,
      type: 'Made',
      schemaVersion: 1,
      occurredAt: new Date(nth),
    },
    ...{ dataJson: '{"text": "a\\"b, {c}"}', metadataJson: nth % 2 === 0 ? '' : '{}', expectedVersion },
  });
  expect(await append.append(client, [event('one', 1)])).toEqual([1]);
  expect(await append.append(client, [event('one', 2, 1), event('two', 3), event('two', 4, 1)])).toEqual([2, 1, 2]);
  await client.end();
  const [{ count }] = await administer(connectionString, 'select count(*)::int as count from trunkline.domain_events');
  expect(count).toBe(4);
});
