// Global setup of the tests: a door behind which one PostgreSQL server is started when the first test asks for it, and
// stopped when the run ends. TRUNKLINE_TEST_POSTGRES names another server to be used instead.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { PostgresServer } from './postgres-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    postgresDoor: number;
    /** Names of what all files of this run share begin with it. */
    postgresRun: string;
  }
}

/**
 * Four files at once, each with runtimes of its own; some hundred databases are made and dropped. This server never sees the
 * power fail, so what it has written is there without a sync, also after a SIGKILL.
 */
const settings = ['max_connections=260', 'fsync=off', 'full_page_writes=off'];

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  let server: Promise<PostgresServer> | undefined;
  const door = createServer(async (socket) => {
    socket.on('error', () => {});
    try {
      const given = process.env.TRUNKLINE_TEST_POSTGRES;
      socket.end(JSON.stringify({ url: given ?? (await (server ??= PostgresServer.start(settings))).url() }));
    } catch (error) {
      socket.end(JSON.stringify({ error: String(error) }));
    }
  }).listen(0, '127.0.0.1');
  await once(door, 'listening');
  project.provide('postgresDoor', (door.address() as { port: number }).port);
  const run = `trunkline_test_run_${randomBytes(6).toString('hex')}`;
  project.provide('postgresRun', run);
  return async () => {
    door.close();
    const given = process.env.TRUNKLINE_TEST_POSTGRES;
    if (given !== undefined) await drop(given, run); // it outlives us
    await (await server)?.stop();
  };
}

async function drop(server: string, run: string): Promise<void> {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  try {
    const { rows } = await client.query('select datname from pg_database where starts_with(datname, $1)', [run]);
    for (const { datname } of rows) await client.query(`drop database if exists ${datname}`);
  } finally {
    await client.end();
  }
}
