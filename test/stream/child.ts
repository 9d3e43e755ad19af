// The service as a child process: what it says, line by line.
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { KafkaOptions } from '../../src/kafka.ts';
import { until } from '../runtime/scratch.ts';

const service = new URL('./service.ts', import.meta.url).pathname;

export interface Said {
  kind: 'started' | 'acknowledged' | 'error' | 'ended';
  code?: string;
  ids?: string[];
}

export class Service {
  readonly said: Said[] = [];
  readonly process: ChildProcess;
  private readonly exited: Promise<void>;

  constructor(dataDir: string, options: KafkaOptions) {
    const words = [
      '--conditions=trunkline-source',
      '--min-semi-space-size=16',
      '--no-warnings',
      service,
      dataDir,
      JSON.stringify(options),
    ];
    this.process = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: this.process.stdout! });
    // The last line may have been cut off by the kill: then nobody was told.
    lines.on('line', (line) => line.endsWith('}') && this.said.push(JSON.parse(line) as Said));
    this.exited = new Promise((resolve) => lines.once('close', () => resolve()));
  }

  /** Until it has said so many things, or one that satisfies. */
  async heard(what: number | ((said: Said) => boolean), boundMs = 120_000): Promise<void> {
    const isHeard = (): boolean => (typeof what === 'number' ? this.said.length >= what : this.said.some(what));
    await until(isHeard, (heard) => heard, boundMs);
  }

  get acknowledged(): string[] {
    return this.said.flatMap(({ ids }) => ids ?? []);
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.exited;
  }
}
