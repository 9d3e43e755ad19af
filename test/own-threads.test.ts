// The runtime's own threads in a process that is not ours alone: what Node's flags and preloads do in each of them neither
// reaches the runtime nor keeps it. A sweep over src holds that no thread speaks or listens on its public port.
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { threadArguments } from '../src/base/thread-arguments.ts';
import { scratchFolder } from './runtime/scratch.ts';
import { startWatched } from './watched.ts';

const src = fileURLToPath(new URL('../src', import.meta.url));
const program = fileURLToPath(new URL('./short-service.ts', import.meta.url));
const boundMs = 180_000; // for a process under any load
const flags = ['--conditions=trunkline-source', '--no-warnings'];

/** What it prints; a process that does not end by itself is killed, which rejects. */
async function run(words: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, ...words], { timeout: boundMs - 10_000 });
  return stdout.trim();
}

test('a preload that posts, listens, serves, swallows and blocks in each thread neither disturbs nor keeps one', {
  timeout: boundMs,
}, async () => {
  const preload = `
    import { isMainThread, parentPort } from 'node:worker_threads';
    import { createServer } from 'node:http';
    if (!isMainThread) {
      parentPort.postMessage({ 'watch:import': ['file:///x.js'] });
      parentPort.on('message', () => {});
      setInterval(() => {}, 1000);
      createServer().listen(0, '127.0.0.1');
      process.on('uncaughtException', () => {});
      process.on('exit', () => {
        process.exitCode = 3;
        for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      });
    }`;
  const url = `data:text/javascript,${encodeURIComponent(preload)}`;
  expect(await run(['--import', url, program, scratchFolder()])).toBe('served');
});

test('a program given as text of a type starts a runtime', { timeout: boundMs }, async () => {
  const text = `await import(${JSON.stringify(program)});`;
  expect(await run(['--input-type=module', '-e', text, scratchFolder()])).toBe('served');
});

test('a program that Node watches starts a runtime', { timeout: boundMs }, async () => {
  const watching = await startWatched(process.execPath, ['--watch', ...flags, program, scratchFolder()], /^served$/);
  await watching.stop();
});

test('threads inherit every argument, but for the one that forbids to start from a file', () => {
  expect(threadArguments(['--expose-gc', '-e', '1'], { NODE_OPTIONS: '--import x' })).toEqual({});
  const given = ['--expose-gc', '-C', 'a', '--import=./b.js', '--input-type', 'module', '-r', './c.js', '-e', '1'];
  expect(threadArguments([...given, '--no-strip-types'], {})).toMatchObject({
    execArgv: ['-C', 'a', '--import=./b.js', '-r', './c.js', '--no-strip-types'],
  });
  expect(threadArguments([], { A: 'b', NODE_OPTIONS: '--no-warnings --input-type=module -C c' })).toEqual({
    execArgv: [],
    env: { A: 'b', NODE_OPTIONS: '--no-warnings -C c' },
  });
});

test('each thread of src inherits the arguments, ends itself, and leaves the public port alone', () => {
  const open: string[] = [];
  const made: string[] = [];
  for (const file of readdirSync(src, { recursive: true }) as string[]) {
    if (!file.endsWith('.ts')) continue;
    const text = readFileSync(join(src, file), 'utf8').replaceAll(/(^|\s)\/\/.*$/gm, '$1');
    if (/\bparentPort\b|\bworker\.(?:on|once|off|addListener)\(\s*'message|\bworker\.postMessage\b/i.test(text))
      open.push(file);
    for (const [, options] of text.matchAll(/new (?:Worker|Piscina)\(([\s\S]*?)\);/g)) {
      made.push(file);
      if (!options!.includes('...threadArguments()') && !text.includes('...threadArguments(),\n    };'))
        open.push(`${file}: arguments`);
    }
    if (/\bThread\(/.test(text)) made.push(file);
    // An entry of a thread of ours ends itself.
    if (/\bthreadData</.test(text) && file !== 'base/thread-entry.ts' && !/^runThread\(/m.test(text))
      open.push(`${file}: its end`);
  }
  expect(open).toEqual([]);
  const starters = [
    'flush/host.ts',
    'adapters/lmdb/handlers/tables.ts',
    'log/threads.ts',
    'rehearsal/live/live-rehearsal.ts',
  ];
  expect(made.sort()).toEqual(['base/thread-for-tasks.ts', ...starters, 'base/thread.ts'].sort());
});
