import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { until } from './runtime/scratch.ts';
import { startWatched } from './watched.ts';

const isThere = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test('a watched program ends with whoever started it, even by SIGKILL, even while it is frozen', async () => {
  const url = new URL('./watched.ts', import.meta.url).href;
  const program = `
    import { startWatched } from '${url}';
    const { pid } = await startWatched('sh', ['-c', 'echo up; exec sleep 300'], /up/);
    process.kill(pid, 'SIGSTOP');
    console.log(pid);
    setInterval(() => {}, 1e6);`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const pid = await new Promise<number>((resolve) =>
    createInterface({ input: parent.stdout }).once('line', (line) => resolve(Number(line))),
  );
  expect(isThere(pid)).toBe(true);
  parent.kill('SIGKILL');
  await until(
    () => isThere(pid),
    (there) => !there,
  );
});

test('a program that ends before it is ready is an error with what it said', async () => {
  await expect(startWatched('sh', ['-c', 'echo no room; exit 1'], /up/)).rejects.toThrow(/no room/);
});
