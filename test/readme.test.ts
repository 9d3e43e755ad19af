// The programs in README run as they stand there: each block that names its file, in one folder, in order.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { sharedKafka } from './brokers.ts';

const root = new URL('..', import.meta.url).pathname;
mkdirSync(join(root, 'data'), { recursive: true });
// Inside the repository (`data` is ignored by git), so that 'trunkline' is the package itself.
const folder = mkdtempSync(join(root, 'data', 'readme-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const readme = readFileSync(join(root, 'README.md'), 'utf8');
const files = new Map([...readme.matchAll(/```ts file=(\S+)\n([\s\S]*?)```/g)].map((match) => [match[1]!, match[2]!]));
for (const [file, text] of files) writeFileSync(join(folder, file), text);

function run(file: string, variables: Record<string, string> = {}): string {
  const args = ['--conditions=trunkline-source', file];
  const env = { ...process.env, ...variables };
  const result = spawnSync(process.execPath, args, { cwd: folder, env, encoding: 'utf8', timeout: 30_000 });
  expect(result.stderr).toBe('');
  expect(result.status).toBe(0);
  return result.stdout;
}

test('the first program, twice', () => {
  expect(run('main.ts')).toBe('heard 2 at 1\ntotal 2 version 1\n[ { amount: 2 } ]\n');
  expect(run('main.ts')).toBe('heard 2 at 2\ntotal 4 version 2\n[ { amount: 2 }, { amount: 2 } ]\n');
});

test('the handlers, twice', () => {
  expect(run('handlers.ts')).toBe(
    "15 [\n  { key: 'large', row: { count: 1 } },\n  { key: 'small', row: { count: 1 } }\n]\n",
  );
  expect(run('handlers.ts')).toMatch(/^30 .*count: 2.*count: 2/s);
});

test('the entity', () => {
  expect(run('entity.ts')).toBe("{ oldPrice: '0', newPrice: '189.20' }\n");
});

test('the context', () => {
  expect(run('quoting.ts')).toBe('0.012\n');
});

test('the unit of work around a transaction', () => {
  const lines = ['placed o-1 version 1', 'o-2 is for nothing', '1 order in the table', '1 event in the store'];
  expect(run('unit-of-work.ts')).toBe(`${lines.join('\n')}\n`);
});

test('the sink', () => {
  expect(run('sinking.ts')).toBe('{"amount":2}\n');
});

test('the stream, quietly', async () => {
  expect(run('publishing.ts', { KAFKA: await sharedKafka() })).toBe('published: true\n');
});

test('the aggregate under test', () => {
  expect(run('counter-test.ts')).toBe('all as given\n');
});

test('the programs are short, and every file that README links exists', () => {
  const lines = files.get('main.ts')!.trim().split('\n').length + files.get('counter.ts')!.trim().split('\n').length;
  expect(lines).toBeLessThanOrEqual(30);
  for (const [, link] of readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g))
    readFileSync(join(root, link!, /\.\w+$/.test(link!) ? '' : 'README.md'));
});
