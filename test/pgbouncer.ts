// A real PgBouncer in transaction mode before a server, on a free loopback port. It ends with this process (setpriv), and
// never runs as root, which it refuses.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';

const nobody = 65534;
const startBoundMs = 30_000;

export class PgBouncer implements AsyncDisposable {
  readonly url: string;
  private readonly child: ChildProcess;
  private readonly folder: string;

  private constructor(url: string, child: ChildProcess, folder: string) {
    this.url = url;
    this.child = child;
    this.folder = folder;
  }

  /** `server`: the connection string of what lies behind; few connections, so that clients share them. */
  static async before(server: string): Promise<PgBouncer> {
    const { hostname, port, username, password, pathname } = new URL(server);
    const own = await freePort();
    const folder = mkdtempSync(join(tmpdir(), 'trunkline-pgbouncer-'));
    chmodSync(folder, 0o755);
    const file = join(folder, 'pgbouncer.ini');
    const lines = [
      '[databases]',
      `* = host=${hostname} port=${port} user=${username} password=${password}`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${own}`,
      'unix_socket_dir =',
      'auth_type = any',
      'pool_mode = transaction',
      'default_pool_size = 3',
      'max_client_conn = 200',
    ];
    writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o644 });
    const asNobody = process.getuid?.() === 0 ? [`--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups'] : [];
    const words = [...asNobody, '--pdeathsig', 'KILL', 'pgbouncer', '-q', file];
    const child = spawn('setpriv', words, { stdio: ['ignore', 'ignore', 'inherit'] });
    const bouncer = new PgBouncer(`postgres://${username}@127.0.0.1:${own}${pathname}`, child, folder);
    await bouncer.ready();
    return bouncer;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = once(this.child, 'exit');
      this.child.kill('SIGKILL');
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  private async ready(): Promise<void> {
    for (const end = Date.now() + startBoundMs; ; ) {
      const client = new pg.Client({ connectionString: this.url });
      client.on('error', () => {});
      try {
        await client.connect();
        return await client.end();
      } catch (error) {
        if (Date.now() > end || this.child.exitCode !== null) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
