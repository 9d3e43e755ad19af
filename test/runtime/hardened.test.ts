// Node's flags of hardening, as docs/security/hardening.md has them: under some a runtime works, under the others it says by
// name why not. In real processes.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { scratchFolder } from './scratch.ts';

const root = join(import.meta.dirname, '..', '..');
const service = join(import.meta.dirname, 'hardened-service.ts');

function run(
  flags: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve) => {
    const words = ['--conditions=trunkline-source', ...flags, service, scratchFolder()];
    const child = spawn(process.execPath, words, { env: { ...process.env, ...env, NODE_OPTIONS: '' } });
    let [out, err] = ['', ''];
    child.stdout.on('data', (text) => {
      out += text;
    });
    child.stderr.on('data', (text) => {
      err += text;
    });
    child.once('close', (code) => resolve({ code, out, err }));
  });
}

test.each([
  [['--disable-proto=delete']],
  [['--disable-proto=throw']],
  [['--frozen-intrinsics', '--disable-warning=ExperimentalWarning']],
  [['--unhandled-rejections=strict']],
  [['--max-old-space-size=64']],
])('under %s a service works, and starts again', async (flags) => {
  expect(await run(flags)).toEqual({ code: 0, out: '[1,1]\n[2,2]\n', err: '' });
});

test('where numbers have a toJSON of the program’s, and texts a Turkish capital i, a service works, and starts again', async () => {
  const preload = 'data:text/javascript,BigInt.prototype.toJSON=function(){return String(this)}';
  expect(await run(['--import', preload], { LC_ALL: 'tr_TR.UTF-8' })).toEqual({
    code: 0,
    out: '[1,1]\n[2,2]\n',
    err: '',
  });
});

test.each([
  ['--permission', ['--permission', '--allow-fs-read=*', '--allow-fs-write=*', '--allow-addons', '--allow-worker']],
  ['--disallow-code-generation-from-strings', ['--disallow-code-generation-from-strings']],
])('%s is refused by name', async (flag, flags) => {
  const { code, out, err } = await run(flags);
  expect([code, out, err]).toEqual([1, '', expect.stringContaining(`NodeForbids: Node.js was started with ${flag}`)]);
});

test('nothing of ours makes code of text', () => {
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' });
  const making = /(?<![\w.])eval\(|new Function\b|(?<![\w.])Function\(|from 'node:vm'/;
  const sources = files.filter((file) => file.endsWith('.ts'));
  expect(sources.filter((file) => making.test(readFileSync(join(root, 'src', file), 'utf8')))).toEqual([]);
});
