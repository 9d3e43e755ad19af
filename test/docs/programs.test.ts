// The programs in README and docs run as they stand there: each block that names its file, in a folder of the document's
// own, and print what the block behind them shows.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { sharedKafka } from '../brokers.ts';
import { blocksOf, documents, root, shownFiles } from './documents.ts';

const files = shownFiles();
const isTest = (file: string): boolean => /\.test\.ts$/.test(file);

mkdirSync(join(root, 'data'), { recursive: true });
// Inside the repository (`data` is ignored by git), so that 'trunkline' is the package itself.
const folder = mkdtempSync(join(root, 'data', 'docs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A folder in which a document's programs run one after the other. */
function folderFor(document: string): string {
  const own = join(folder, document.replaceAll('/', '-'));
  mkdirSync(own);
  for (const [file, text] of files) writeFileSync(join(own, file), text);
  return own;
}

function run(cwd: string, args: string[], variables: Record<string, string> = {}) {
  const env = { ...process.env, ...variables };
  return spawnSync(process.execPath, ['--conditions=trunkline-source', ...args], {
    cwd,
    env,
    encoding: 'utf8',
    timeout: 120_000,
  });
}

/** A machine with much else to do makes a program warn of its own slow start: that says nothing of the program. */
const withoutSlowness = (stderr: string): string =>
  stderr
    .split('\n')
    .filter((line) => !line.includes('a module has not started yet, and what needs it waits'))
    .join('\n');

const withPrograms = documents.filter((document) => blocksOf(document).some(({ output }) => output !== undefined));

test.each(withPrograms)('the programs in %s', { timeout: 240_000 }, async (document) => {
  const cwd = folderFor(document);
  for (const { output: file, signal = null, text } of blocksOf(document)) {
    if (file === undefined) continue;
    const variables: Record<string, string> = {};
    if (/process\.env\.KAFKA\b/.test(files.get(file)!)) variables.KAFKA = await sharedKafka();
    const ended = run(cwd, [file], variables);
    const stderr = withoutSlowness(ended.stderr);
    const seen = { file, stdout: ended.stdout, stderr, status: ended.status, signal: ended.signal };
    expect(seen).toEqual({ file, stdout: text, stderr: '', status: signal === null ? 0 : null, signal });
  }
});

const withTests = documents.filter((document) => blocksOf(document).some(({ file = '' }) => isTest(file)));

test.each(withTests)('the test files in %s', { timeout: 240_000 }, (document) => {
  const cwd = folderFor(`tests-${document}`);
  // As if it were installed there: Vite looks for packages in node_modules alone.
  mkdirSync(join(cwd, 'node_modules'));
  symlinkSync(root, join(cwd, 'node_modules', 'trunkline'));
  const names = blocksOf(document).flatMap(({ file = '' }) => (isTest(file) ? [file] : []));
  for (const name of names) {
    const isVitest = /from 'vitest'/.test(files.get(name)!);
    const vitest = join(root, 'node_modules/vitest/vitest.mjs');
    // Settings of this very run are none of that one's.
    const none = Object.fromEntries(
      Object.keys(process.env)
        .filter((key) => /^VITEST/.test(key))
        .map((key) => [key, '']),
    );
    const conditions = "{ resolve: { conditions: ['trunkline-source'] } }";
    writeFileSync(join(cwd, 'vitest.config.mjs'), `export default { ...${conditions}, ssr: ${conditions} };`);
    const args = isVitest ? [vitest, 'run', '--root', cwd, name] : ['--test', name];
    const { stdout, stderr, status } = run(cwd, args, { ...none, NODE_OPTIONS: '--conditions=trunkline-source' });
    expect(status, `${name}: ${stdout}${stderr}`).toBe(0);
  }
});

test('each file that a document shows is run, or used by one that is', () => {
  const outputs = new Set(documents.flatMap((document) => blocksOf(document).map(({ output }) => output)));
  const all = [...files.values()].join('\n');
  const idle = [...files.keys()].filter(
    (file) => !outputs.has(file) && !isTest(file) && !/\.config\.ts$/.test(file) && !all.includes(`./${file}'`),
  );
  expect(idle).toEqual([]);
  for (const output of outputs) if (output !== undefined) expect([...files.keys()]).toContain(output);
  expect(outputs.size).toBeGreaterThan(12);
});

test('the first program is short', () => {
  const lines = ['main.ts', 'counter.ts'].flatMap((file) => files.get(file)!.trim().split('\n'));
  expect(lines.length).toBeLessThanOrEqual(30);
});
