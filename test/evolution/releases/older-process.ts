// The machine that is upgraded last, as a process of its own: told what to do, and killed.
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import type { Action } from './model.ts';
import type { Place } from './service.ts';

const program = new URL('./older-machine.ts', import.meta.url).pathname;

export class OlderProcess {
  private readonly process: ChildProcess;
  private readonly said: AsyncIterator<string>;

  private constructor(process: ChildProcess, lines: Interface) {
    this.process = process;
    this.said = lines[Symbol.asyncIterator]();
  }

  static async start(release: number, place: Place): Promise<OlderProcess> {
    const words = ['--conditions=trunkline-source', '--no-warnings', program, JSON.stringify([release, place])];
    const child = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] });
    const older = new OlderProcess(child, createInterface({ input: child.stdout! }));
    await older.answer(); // it has started
    return older;
  }

  /** `done`, or the code by which it was refused. */
  async act(order: string, action: Action): Promise<string> {
    this.process.stdin!.write(`${JSON.stringify([order, action])}\n`);
    return this.answer();
  }

  private async answer(): Promise<string> {
    const { value, done } = await this.said.next();
    if (done) throw new Error('the older process has ended');
    const { refused } = JSON.parse(value) as { refused?: string };
    return refused ?? 'done';
  }

  async kill(): Promise<void> {
    const gone = new Promise((resolve) => this.process.once('close', resolve));
    this.process.kill('SIGKILL');
    await gone;
  }
}
