// biome-ignore-all lint/suspicious/noTemplateCurlyInString: code as texts
// SQL lies in files named `*-sql.ts`, as statements with a shape of their rows; other files run them, and read no result themselves.
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseSync, Visitor } from 'oxc-parser';
import type pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import { type Nothing, noColumns, Statement } from '../../../src/adapters/postgres/session/statement.ts';
import { number, object, text } from '../../../src/base/json.ts';
import { freshDatabase } from '../../postgres.ts';
import { Clients } from './clients.ts';

const folder = 'src/adapters/postgres';
const root = fileURLToPath(new URL('../../..', import.meta.url));

/** The one that runs statements; and streams of COPY: bytes, and no rows of a result. */
const runners = [`${folder}/session/statement.ts`, `${folder}/rows/copy-out.ts`];

const filesOf = (): string[] =>
  globSync(`${folder}/**/*.ts`, { cwd: root })
    .filter((file) => !file.endsWith('-sql.ts') && !runners.includes(file))
    .sort();

const isSql =
  /^\s*(?:with \w+ as|select|insert into|update \S+|delete from|begin|savepoint|copy|lock|create|drop|alter|set (?:local|session)|truncate|notify|listen)\b|\b(?:select|from|join|where|insert into|union all|order by|limit) [$("']|\b(?:and|where) [\w.]+ (?:[<>=]|in |between )|\border by\b|\blimit \$\{/i;
/** English that reads like SQL, also because it says which SQL an administrator has to run. */
const english: readonly RegExp[] = [
  /^version \$\{version\} came where /,
  /^drop$/,
  /^create$/,
  /: revoke (?:create|trigger)\b/,
];
/** What begins and ends a transaction, and COPY in, gives no rows. */
const isOfTransaction = /^(?:'commit'|'rollback'|beginSql\(.*\)|copyFrom\(.*\))$/s;

/** SQL, and results that are read, in a file's text. */
function faultsOf(code: string): string[] {
  const { program } = parseSync('file.ts', code);
  const found: string[] = [];
  const textOf = ({ start, end }: { start: number; end: number }): string => code.slice(start, end);
  const look = (sql: string): void => {
    if (isSql.test(sql) && !english.some((each) => each.test(sql))) found.push(sql);
  };
  new Visitor({
    Literal: (node) => {
      if (typeof node.value === 'string') look(node.value);
    },
    TemplateLiteral: (node) => look(textOf(node).slice(1, -1)),
    CallExpression: (node) => {
      const { callee } = node;
      const isQuery =
        callee.type === 'MemberExpression' && callee.property.type === 'Identifier' && callee.property.name === 'query';
      if (isQuery && !isOfTransaction.test(node.arguments.map(textOf).join())) found.push(textOf(node));
    },
  }).visit(program);
  return found;
}

test('no text outside of *-sql.ts is SQL, and no result is read outside of Statement', () => {
  const found = filesOf().flatMap((file) =>
    faultsOf(readFileSync(`${root}/${file}`, 'utf8')).map((fault) => [file, fault]),
  );
  expect(found).toEqual([]);
  expect(filesOf().length).toBeGreaterThan(10); // it has seen them
});

test.each([
  ["const sql = 'select 1 as one';", 1],
  ['const sql = `insert into ${schema}.outbox values (1)`;', 1],
  ['const sql = `with page as (${work}) delete from x`;', 1],
  ['const where = ` and aggregate_type = ${type}`;', 1],
  ['const page = `${from} limit ${size}`;', 1],
  ['const { rows } = await client.query(text);', 1],
  ["(await this.client.query('select 1')).rows[0].x;", 2],
  ["await client.query('savepoint a');", 2],
  ["await client.query('commit'); await client.query(beginSql(`lock_timeout = ${ms}`));", 0],
  ["throw new Error('it is not where the log has it, and begins from there');", 0],
])('the sweep sees it: %s', (code, count) => {
  expect(faultsOf(code)).toHaveLength(count);
});

const clients = new Clients();
afterEach(() => clients.end());

interface Row {
  name: string;
  count: number;
}

const row = object<Row>({ name: text, count: number });
const of = (sql: string): Statement<{ name: string; count: number }, Row> =>
  new Statement('a row of the test', sql, ['count', 'name'], row);
const good = 'select $2::text as name, $1::float8 as count';

test('a statement takes its values by name, and gives rows of its shape', async () => {
  const client = await clients.connect(await freshDatabase());
  const given = { name: 'a', count: 2 };
  expect(await of(good).run(client, given)).toEqual([given]);
  expect(await of(good).one(client, given)).toEqual(given);
  expect(await of(`${good} where false`).run(client, given)).toEqual([]);
  const table = new Statement<Nothing, Nothing>(
    'a',
    'create temporary table a as select from generate_series(1, 3)',
    [],
    noColumns,
  );
  expect(await table.count(client, {})).toBe(3);
});

test.each([
  [
    'a column of another type',
    'select $2::text as name, $1::bigint as count',
    'its count must be a number, and is string',
  ],
  [
    'a column of another name',
    'select $2::text as title, $1::float8 as count',
    'its name must be text, and is missing',
  ],
  ['null', `${good} union all select null, $1::float8`, 'its name must be text, and is null'],
  ['two rows', `${good} union all ${good}`, 'must be one row, and is 2'],
  ['no row', `${good} where false`, 'must be one row, and is 0'],
])('%s: the row is named, and not given', async (_, sql, reason) => {
  const client = await clients.connect(await freshDatabase());
  await expect(of(sql).one(client, { name: 'a', count: 2 })).rejects.toMatchObject({
    code: 'RecordInvalid',
    details: { what: 'a row of the test', reason },
  });
});

test('of several statements in one query, each reads its own result', async () => {
  const client = await clients.connect(await freshDatabase());
  const results = (await client.query(
    "select 1; select 'a' as name, 2::float8 as count",
  )) as unknown as pg.QueryResult[];
  expect(of(good).oneIn(results[1]!)).toEqual({ name: 'a', count: 2 });
  expect(() => of(good).rowsIn(results[0]!)).toThrow('a row of the test');
});
