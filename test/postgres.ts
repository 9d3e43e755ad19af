// The PostgreSQL server that the tests of one run share, with a database for each test file that asks.
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import pg from 'pg';
import { afterAll, inject } from 'vitest';
import { migrate } from '../src/index.ts';

const made: string[] = [];

/** The connection string of the server: its own database, with every right. */
export async function serverUrl(): Promise<string> {
  const answer = await text(connect(inject('postgresDoor'), '127.0.0.1'));
  const { url, error } = JSON.parse(answer) as { url?: string; error?: string };
  if (url === undefined) throw new Error(error);
  return url;
}

/** A new, empty database; dropped when the file's tests have ended. Returns its connection string. */
export const freshDatabase = async (): Promise<string> => makeDatabase(await serverUrl(), '');

/** A schema that is not the one which options default to. */
export const elsewhere = 'elsewhere';

/** The same with our tables in it: a copy of one that is made once a run, since migrations take five times as long. */
export async function migratedDatabase(schema: 'trunkline' | typeof elsewhere = 'trunkline'): Promise<string> {
  const server = await serverUrl();
  const database = (migrated[schema] ??= madeOnce(server, `${inject('postgresRun')}_${schema}`, schema));
  return makeDatabase(server, `template ${await database}`);
}

const migrated: Record<string, Promise<string>> = {};

async function makeDatabase(server: string, how: string): Promise<string> {
  const name = `trunkline_test_${randomBytes(6).toString('hex')}`;
  await administer(server, `create database ${name} ${how}`);
  made.push(name);
  return databaseUrl(server, name);
}

/** By whichever file asks first; the others wait for it. */
async function madeOnce(server: string, name: string, schema: string): Promise<string> {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  try {
    await client.query('select pg_advisory_lock(hashtext($1))', [name]);
    const { rowCount } = await client.query('select from pg_database where datname = $1', [name]);
    if (rowCount === 1) return name;
    await client.query(`drop database if exists ${name}_half`); // of a file that was ended in it
    await client.query(`create database ${name}_half`);
    await migrate({ connection: databaseUrl(server, `${name}_half`), schema });
    await client.query(`alter database ${name}_half rename to ${name}`);
    return name;
  } finally {
    await client.end();
  }
}

function databaseUrl(server: string, name: string): string {
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}

/** Run statements on a connection of their own; the rows of the last one. */
export async function administer(url: string, sql: string, values: unknown[] = []): Promise<any[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const results: unknown = await client.query(sql, values.length > 0 ? values : undefined);
    const last = (Array.isArray(results) ? results.at(-1) : results) as pg.QueryResult;
    return last.rows;
  } finally {
    await client.end();
  }
}

afterAll(async () => {
  for (const name of made.splice(0))
    await administer(await serverUrl(), `drop database if exists ${name} with (force)`);
});
