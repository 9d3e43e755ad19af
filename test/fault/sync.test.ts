// Invariant 9: one failed fsync poisons the log. The failure is the kernel's own, injected by strace.
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { Counter } from '../runtime/aggregates.ts';
import { scratchFolder, startRuntime } from '../runtime/scratch.ts';

const program = new URL('./failing-sync.ts', import.meta.url).pathname;
const hasStrace = spawnSync('strace', ['-V']).status === 0;

test.skipIf(!hasStrace)(
  'after a failed fdatasync nothing is acknowledged; a restart finds what was (needs strace: apt-get install strace)',
  async () => {
    const dataDir = scratchFolder();
    const node = [process.execPath, '--conditions=trunkline-source', program, dataDir];
    // Counted over all threads: by the 40th the start is over and commands are being acknowledged.
    const inject = [
      '-f',
      '-qq',
      '-o',
      '/dev/null',
      '-e',
      'trace=fdatasync',
      '-e',
      'inject=fdatasync:error=EIO:when=40+',
    ];
    const result = spawnSync('strace', [...inject, ...node], { encoding: 'utf8', timeout: 60_000 });
    expect(result.stderr).toBe('');
    const told = JSON.parse(result.stdout) as {
      acknowledged: number;
      code: string;
      afterwards: string[];
      state: string;
    };
    expect(told.acknowledged).toBeGreaterThan(5);
    expect(told).toMatchObject({
      code: 'LogPoisoned',
      afterwards: ['LogPoisoned', 'LogPoisoned', 'LogPoisoned'],
      state: 'failed',
    });
    const runtime = await startRuntime({ dataDir });
    expect((await runtime.ref(Counter, 'a').total()).value).toBeGreaterThanOrEqual(told.acknowledged);
  },
);
