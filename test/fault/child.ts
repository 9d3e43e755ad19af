// A service in a process of its own, which tells line by line what happens to it, until it ends or is killed.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Injection, straceWords } from './strace.ts';

export interface ChildSettings<Line> {
  /** The program's file, beside this one, and its one argument, see parent.ts. */
  program: string;
  argument: object;
  injection?: Injection;
  /** Options for Node. */
  options?: string[];
  environment?: NodeJS.ProcessEnv;
  /** Called with each line; true: kill it now. */
  onLine?(line: Line, count: number): boolean;
  /** What is done to the world while it runs. It is given a way to speak to the child, and one to kill it. */
  meanwhile?(child: { say(word: string): void; kill(): void }): Promise<void>;
  /** It has failed if it has not ended by then. */
  boundMs: number;
}

export interface Ended<Line> {
  lines: Line[];
  /** How it ended: its exit code, or the signal that ended it. */
  end: number | NodeJS.Signals;
  timedOut: boolean;
  /** What it said on its standard error. */
  trouble: string;
}

export async function runChild<Line>(settings: ChildSettings<Line>): Promise<Ended<Line>> {
  const program = fileURLToPath(new URL(settings.program, import.meta.url));
  const node = [
    process.execPath,
    '--conditions=trunkline-source',
    '--min-semi-space-size=16',
    ...(settings.options ?? []),
    program,
  ];
  const [command, ...words] = settings.injection ? [...straceWords(settings.injection), ...node] : node;
  // Its standard input ends when this process does: then it ends too.
  const child = spawn(command!, words, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...settings.environment },
  });
  child.stdin.on('error', () => {});
  child.stdin.write(`${JSON.stringify(settings.argument)}\n`);
  let trouble = '';
  child.stderr.on('data', (text: Buffer) => {
    trouble = `${trouble}${text}`.slice(-4000);
  });
  const ended = new Promise<number | NodeJS.Signals>((resolve) =>
    child.once('close', (code, signal) => resolve(signal ?? code!)),
  );
  let servicePid = settings.injection ? undefined : child.pid;
  const kill = (): void => {
    if (child.exitCode !== null || child.signalCode !== null || servicePid === undefined) return;
    process.kill(servicePid, 'SIGKILL');
  };
  let timedOut = false;
  const bound = setTimeout(() => {
    timedOut = true;
    kill();
    child.kill('SIGKILL');
  }, settings.boundMs);
  const say = (word: string): void => void child.stdin.write(`${word}\n`);
  const meanwhile = settings.meanwhile?.({ say, kill });
  meanwhile?.catch(kill);
  const lines: Line[] = [];
  try {
    for await (const text of createInterface({ input: child.stdout })) {
      if (!text.endsWith('}')) continue; // cut off by the kill: then nobody was told
      const line = JSON.parse(text) as Line & { pid?: number };
      servicePid ??= line.pid;
      lines.push(line);
      if (settings.onLine?.(line, lines.length)) kill();
    }
    await meanwhile;
    return { lines, end: await ended, timedOut, trouble };
  } finally {
    clearTimeout(bound);
  }
}
