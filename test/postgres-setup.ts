// Global setup of the tests: a door behind which one PostgreSQL server is started when the first test asks for it, and
// stopped when the run ends. TRUNKLINE_TEST_POSTGRES names another server to be used instead.
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { TestProject } from 'vitest/node';
import { PostgresServer } from './postgres-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    postgresDoor: number;
  }
}

/** Three files at once, each with runtimes of its own. */
const settings = ['max_connections=200'];

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
  return async () => {
    door.close();
    await (await server)?.stop();
  };
}
