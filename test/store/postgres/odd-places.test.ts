// Servers that are reached otherwise than by a name and IPv4, and roles and databases with names that URLs and SQL write otherwise.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { postgres } from '../../../src/index.ts';
import type { PostgresStoreOptions } from '../../../src/postgres.ts';
import { administer } from '../../postgres.ts';
import { PostgresServer } from '../../postgres-server.ts';
import { Counter } from '../../runtime/aggregates.ts';
import { startRuntime } from '../../runtime/scratch.ts';

const long = 120_000; // on a machine that may be busy
const role = `we ird@u:/%#?"'ü`;
const readable = `d b/%;:&=+$,"'日`;
const unreadable = `d b/%?x#@`;
const password = 'p@ss:/w#%?&= ü';
/** The server's own user makes its socket there. */
const sockets = mkdtempSync(join(tmpdir(), 'trunkline sockets '));
let server: PostgresServer;

beforeAll(async () => {
  chmodSync(sockets, 0o777);
  server = await PostgresServer.start(['listen_addresses=127.0.0.1,::1', `unix_socket_directories="${sockets}"`]);
  const { escapeIdentifier, escapeLiteral } = pg;
  await administer(server.url(), `create role ${escapeIdentifier(role)} login password ${escapeLiteral(password)}`);
  for (const database of [readable, unreadable])
    await administer(server.url(), `create database ${escapeIdentifier(database)} owner ${escapeIdentifier(role)}`);
}, long);
afterAll(async () => {
  await server?.stop();
  rmSync(sockets, { recursive: true, force: true });
});

/** Whatever threads connect: the host, shards, the flush, handlers' tables. */
async function works(given: Parameters<typeof postgres>[0]): Promise<void> {
  const store: PostgresStoreOptions = postgres({ ...given, migrate: true });
  const first = await startRuntime({ store, shards: 1 });
  const id = `a-${Math.random()}`;
  const subscription = first.subscribe({ name: id, handle: (_, { tx }) => tx.put('seen', id, true) });
  const receipt = await first.ref(Counter, id).with({ ack: 'stored' }).add(1);
  await subscription.caughtUpTo(receipt);
  expect(await first.effect('seen', id)).toBe(true);
  await first.close();
  const second = await startRuntime({ store, shards: 1 }); // another log: its shard loads from the server
  expect(await second.ref(Counter, id).with({ ack: 'stored' }).add(1)).toMatchObject({ value: 2, version: 2 });
  await second.close();
}

test('by a socket of the file system', { timeout: long }, async () => {
  const folder = encodeURIComponent(sockets);
  await works({ connectionString: `postgres://postgres:trunkline@${folder}:${server.port}/postgres` });
  const connectionString = `postgres://postgres:trunkline@/postgres?host=${folder}&port=${server.port}`;
  await works({ connectionString, schema: 'behind_it' });
});

test('by IPv6', { timeout: long }, async () => {
  await works({ connectionString: `postgres://postgres:trunkline@[::1]:${server.port}/postgres`, schema: 'by_ipv6' });
});

test('a role, its password, a database and a schema with blanks, quotes and signs', { timeout: long }, async () => {
  const [user, secret] = [role, password].map(encodeURIComponent);
  const url = (name: string): string => `postgres://${user}:${secret}@127.0.0.1:${server.port}/${name}`;
  const name = encodeURI(readable);
  await works({ connectionString: url(name) });
  await works({ connectionString: url(name), schema: `sch "e'm a` });
  // Its client library would take these for another name.
  for (const sign of ';/:&=+$,?#@') {
    const refused = () => postgres({ connectionString: url(`x${encodeURIComponent(sign)}y`) });
    expect(refused, sign).toThrow(/needs a pool of your own/);
  }
  const pool = new pg.Pool({ host: '127.0.0.1', port: server.port, user: role, password, database: unreadable });
  await works({ pool });
  await pool.end();
});
