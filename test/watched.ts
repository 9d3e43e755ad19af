// A foreign process that ends with us, however we end: a shell stands between, holds the reading end of a pipe from us,
// and kills its child when the pipe closes.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

const script = '"$@" </dev/null & echo "pid $!"; read -r line; kill -9 $! 2>/dev/null; wait';
const readyBoundMs = 180_000;

export interface Watched {
  /** Process id of the program itself, for SIGSTOP and the like. */
  readonly pid: number;
  /** SIGKILL, and wait until it is gone. */
  kill(): Promise<void>;
  /** SIGTERM, and wait until it has ended. */
  stop(): Promise<void>;
}

/** Start a program and wait until it has said a line that matches `ready`. */
export async function startWatched(command: string, words: readonly string[], ready: RegExp): Promise<Watched> {
  const shell = spawn('sh', ['-c', script, 'sh', command, ...words], { stdio: ['pipe', 'pipe', 'pipe'] });
  shell.stdin.on('error', () => {});
  const gone = new Promise<void>((resolve) => shell.once('close', () => resolve()));
  const last: string[] = [];
  let pid = 0;
  await new Promise<void>((resolve, reject) => {
    const fail = (why: string): void => {
      shell.stdin.end();
      reject(new Error(`${command} ${why}:\n${last.join('\n')}`));
    };
    const timer = setTimeout(() => fail(`was not ready within ${readyBoundMs} ms`), readyBoundMs);
    const hear = (line: string): void => {
      const told = /^pid (\d+)$/.exec(line);
      if (pid === 0 && told) {
        pid = Number(told[1]);
        return;
      }
      last.push(line);
      if (last.length > 30) last.shift();
      if (!ready.test(line)) return;
      clearTimeout(timer);
      resolve();
    };
    for (const stream of [shell.stdout, shell.stderr]) createInterface({ input: stream }).on('line', hear);
    shell.once('close', () => {
      clearTimeout(timer);
      fail('ended');
    });
    // The shell waits for its pipe: a program that has ended by itself shows by its id.
    const watch = setInterval(() => {
      if (pid !== 0 && hasEnded(pid)) fail('ended before it was ready');
    }, 200);
    const forget = (): void => clearInterval(watch);
    gone.then(forget);
    timer.unref();
    shell.stdout.once('close', forget);
  });
  unref(shell);
  return {
    pid,
    kill: () => end(pid, shell, 'SIGKILL', gone),
    stop: () => end(pid, shell, 'SIGTERM', gone),
  };
}

/** Also while its parent, the shell, has not looked after it yet. */
function hasEnded(pid: number): boolean {
  try {
    return /\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}

function unref(child: ChildProcess): void {
  child.unref();
  for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as unknown as { unref(): void }).unref();
}

async function end(pid: number, shell: ChildProcess, signal: NodeJS.Signals, gone: Promise<void>): Promise<void> {
  shell.ref();
  try {
    process.kill(pid, signal);
    process.kill(pid, 'SIGCONT');
  } catch {}
  if (signal === 'SIGTERM') await Promise.race([quiet(pid), new Promise((resolve) => setTimeout(resolve, 10_000))]);
  shell.stdin!.end();
  await gone;
}

async function quiet(pid: number): Promise<void> {
  while (!hasEnded(pid)) await new Promise((resolve) => setTimeout(resolve, 20));
}

/**
 * So many ports of 127.0.0.1 that are free now, below those that the system gives to outgoing connections: while a server
 * is down, a client that calls it again and again could otherwise get its port, or even reach itself.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  for (let tries = 0; ports.size < count; tries++) {
    if (tries > 1000) throw new Error('no free ports');
    const port = randomInt(20_000, 32_000);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer().once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
