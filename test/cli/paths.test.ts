// Paths that a user names, and that cannot be used: one line, with the path and what is wrong with it, for each command and path.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const main = path('../../src/cli/main.ts');
const aggregates = path('../rehearsal/orders.ts');
const folder = mkdtempSync(join(tmpdir(), 'trunkline-paths-'));
const nobody = 65_534;
const isRoot = process.getuid!() === 0;

beforeAll(() => {
  chmodSync(folder, 0o777);
  for (const name of ['folder', 'closed']) mkdirSync(join(folder, name));
  for (const name of ['file', 'named.ts']) writeFileSync(join(folder, name), 'x');
  chmodSync(join(folder, 'closed'), 0);
});
afterAll(() => {
  chmodSync(join(folder, 'closed'), 0o700);
  rmSync(folder, { recursive: true, force: true });
});

/** As a user to whom permissions mean something. */
function run(words: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--conditions=trunkline-source', main, ...words], {
    ...{ cwd: folder, encoding: 'utf8', timeout: 60_000 },
    ...(isRoot && { uid: nobody, gid: nobody }),
    // Of a user's own: it may not write in the one of this run, and would strip types and compile in each process.
    env: { ...process.env, NODE_COMPILE_CACHE: join(folder, 'compiled') },
  });
  return { status, stdout, stderr };
}

const denied = 'this user has no permission for it, or for a folder on the way (EACCES)';
const isFolder = 'it is a folder, and a file is expected (EISDIR)';
const isFile = (code: string): string => `a file stands where a folder is expected (${code})`;
const module = ['--aggregates', aggregates];
const accept = ['schemas', 'accept', ...module, '--file'];
const check = ['schemas', 'check', ...module, '--file'];
const html = ['catalogue', ...module, '--format', 'html', '--out'];
const markdown = ['catalogue', ...module, '--format', 'markdown', '--out'];
const rehearse = ['rehearse', '--old', aggregates, '--new', aggregates, '--data-dir'];

test.each<[string[], string, string]>([
  [accept, 'none/lock.json', 'cannot be written: its folder is not there (ENOENT)'],
  [accept, 'folder', 'is a folder, and a file is expected'],
  [accept, 'file/lock.json', `cannot be read: ${isFile('ENOTDIR')}`],
  [accept, 'closed/lock.json', `cannot be read: ${denied}`],
  [check, 'closed/lock.json', `cannot be read: ${denied}`],
  [check, 'none.json', 'is not there: run trunkline schemas accept'],
  [html, 'closed/events.html', `cannot be written: ${denied}`],
  [html, 'folder', `cannot be written: ${isFolder}`],
  [html, 'file/events.html', `cannot be written: ${isFile('EEXIST')}`],
  [[...html.slice(0, -1), '--check', '--out'], 'closed/events.html', `cannot be read: ${denied}`],
  [[...html.slice(0, -1), '--check', '--out'], 'folder', 'is a folder, and a file is expected'],
  [markdown, 'file', `/trunkline-catalogue.json cannot be read: ${isFile('ENOTDIR')}`],
  [markdown, 'closed', `/trunkline-catalogue.json cannot be read: ${denied}`],
  [['schemas', 'check', '--aggregates'], 'none.ts', 'cannot be imported: it is not there (ENOENT)'],
  [
    ['schemas', 'check', '--aggregates'],
    'named',
    'cannot be imported: it is not there, and named.ts is: name the whole file',
  ],
  [['schemas', 'check', '--aggregates'], 'folder', 'cannot be imported: it is a folder; name the file of the module'],
  [['schemas', 'check', '--aggregates'], 'closed/aggregates.ts', `cannot be imported: ${denied}`],
  [
    ['schemas', 'check', '--aggregates'],
    'https://example.org/a.ts',
    'cannot be imported: name a file, or the URL of one',
  ],
  [['topics', 'plan', '--config'], 'none.ts', 'cannot be imported: it is not there (ENOENT)'],
  [['topics', 'plan', '--config'], 'closed/config.ts', `cannot be imported: ${denied}`],
  ...[
    rehearse,
    ['status', '--data-dir'],
    ['dead-letters', 'list', '--data-dir'],
    ['handlers', 'forget', 'x', '--data-dir'],
  ]
    .concat([['replay', '--handler', 'x', '--data-dir']])
    .flatMap((words): [string[], string, string][] => [
      [words, 'closed', `cannot be opened: ${denied}`],
      [words, 'closed/data', `cannot be opened: ${denied}`],
      [words, 'file', `cannot be opened: ${isFile('ENOTDIR')}`],
      [words, 'none', 'is not a data directory this release can read: it does not exist'],
      [words, 'folder', 'is not a data directory this release can read: there is no trunkline.json in it'],
    ]),
])('%s %s', (words, name, reason) => {
  const rest = reason.startsWith('/') ? reason : ` ${reason}`;
  expect(run([...words, name])).toEqual({ status: 1, stdout: '', stderr: `trunkline: ${name}${rest}\n` });
});
