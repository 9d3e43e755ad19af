// The PostgreSQL server that the tests of one run share, with a database for each test file that asks.
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import pg from 'pg';
import { afterAll, inject } from 'vitest';

const made: string[] = [];

/** The connection string of the server: its own database, with every right. */
export async function serverUrl(): Promise<string> {
  const answer = await text(connect(inject('postgresDoor'), '127.0.0.1'));
  const { url, error } = JSON.parse(answer) as { url?: string; error?: string };
  if (url === undefined) throw new Error(error);
  return url;
}

/** A new, empty database; dropped when the file's tests have ended. Returns its connection string. */
export async function freshDatabase(): Promise<string> {
  const name = `trunkline_test_${randomBytes(6).toString('hex')}`;
  const server = await serverUrl();
  await administer(server, `create database ${name}`);
  made.push(name);
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
