// A real PostgreSQL server of one's own, on a free loopback port: to be killed, stopped, held, started again.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { HostReport, HostRequest } from './postgres-host.ts';

const host = fileURLToPath(new URL('./postgres-host.ts', import.meta.url));

const goneBoundMs = 30_000;

export class PostgresServer implements AsyncDisposable {
  private readonly child: ChildProcess;
  private pid = 0;
  port = 0;

  private constructor(settings: readonly string[]) {
    this.child = fork(host, [JSON.stringify(settings)], {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
  }

  /** `settings`: as in postgresql.conf, `name=value`. */
  static async start(settings: readonly string[] = []): Promise<PostgresServer> {
    const server = new PostgresServer(settings);
    await server.ready();
    return server;
  }

  url(database = 'postgres', user = 'postgres', password = 'trunkline'): string {
    return `postgres://${user}:${password}@127.0.0.1:${this.port}/${database}`;
  }

  /**
   * SIGKILL: its processes notice and go, nothing is written. SIGQUIT: an immediate shutdown. Resolves when it serves nobody
   * any more: its backends outlive it until they notice.
   */
  async kill(signal: 'SIGKILL' | 'SIGQUIT' = 'SIGKILL'): Promise<void> {
    const processes = this.processes();
    process.kill(this.pid, signal);
    for (const end = Date.now() + goneBoundMs; processes.some(isAtWork); await pause(1)) {
      if (Date.now() > end) throw new Error('the server was killed, and a process of it goes on');
    }
  }

  /** Start again after a {@link kill}, on the same port and files. */
  async restart(): Promise<void> {
    this.send({ type: 'start' });
    await this.ready();
  }

  /** Hold every process of the server (SIGSTOP), as a hanging disk would. */
  hold(): void {
    signal([this.pid], 'SIGSTOP'); // first the one that makes the others: then there are no more of them
    signal(this.processes(), 'SIGSTOP');
  }

  release(): void {
    signal(this.processes(), 'SIGCONT');
  }

  private processes(): number[] {
    if (!isAtWork(this.pid)) return [];
    const children = readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8');
    return [this.pid, ...children.trim().split(/\s+/).filter(Boolean).map(Number)];
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const ended = once(this.child, 'exit');
    this.release(); // what is held cannot end
    this.send({ type: 'stop' });
    await ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  private send(request: HostRequest): void {
    this.child.send(request);
  }

  private async ready(): Promise<void> {
    const [report] = (await Promise.race([
      once(this.child, 'message'),
      once(this.child, 'exit').then(([code]) => [{ type: 'failed', reason: `the host ended with ${code}` }]),
    ])) as [HostReport];
    if (report.type === 'failed') throw new Error(`PostgreSQL does not start: ${report.reason}`);
    this.port = report.port;
    this.pid = report.pid;
  }
}

/** To all that are still there. */
function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** Not a zombie either, which nobody may have waited for yet. */
function isAtWork(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
