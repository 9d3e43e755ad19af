// A catalogue on the disk: what is the catalogue's goes with it, what is not stays; a list that was changed leads nowhere else.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkDocument, checkFolder, writeDocument, writeFolder } from '../../src/catalogue/write.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'trunkline-catalogue-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const first = new Map([
  ['README.md', 'one\n'],
  ['services/a/index.mdx', 'a\n'],
]);
const second = new Map([['README.md', 'two\n']]);

test('a file', () => {
  const file = join(root, 'deep/er/catalogue.json');
  expect(checkDocument(file, 'x')).toEqual([{ path: file, what: 'missing' }]);
  writeDocument(file, 'x');
  expect(checkDocument(file, 'x')).toEqual([]);
  expect(checkDocument(file, 'y')).toEqual([{ path: file, what: 'different' }]);
});

test('a folder: files of before go, others stay', () => {
  const folder = join(root, 'docs');
  expect(checkFolder(folder, first).map(({ what }) => what)).toEqual(['missing', 'missing']);
  writeFolder(folder, first);
  writeFileSync(join(folder, 'mine.md'), 'mine');
  expect(checkFolder(folder, first)).toEqual([]);
  expect(checkFolder(folder, second)).toEqual([
    { path: 'README.md', what: 'different' },
    { path: 'services/a/index.mdx', what: 'left over' },
  ]);
  writeFolder(folder, second);
  expect(checkFolder(folder, second)).toEqual([]);
  expect(existsSync(join(folder, 'services/a/index.mdx'))).toBe(false);
  expect(readFileSync(join(folder, 'mine.md'), 'utf8')).toBe('mine');
});

test.each([
  '["../README.md"]',
  '["/etc/index.mdx"]',
  '["services/../../README.md"]',
  '["notes.txt"]',
  '["a\\\\..\\\\README.md"]',
  '[7]',
  '{}',
])('a list of %s is refused, and nothing is removed or written', (files) => {
  const folder = join(root, 'docs');
  mkdirSync(folder);
  writeFileSync(join(root, 'README.md'), 'another');
  writeFileSync(join(folder, 'trunkline-catalogue.json'), `{"files":${files}}`);
  expect(() => writeFolder(folder, second)).toThrow(expect.objectContaining({ code: 'FileRefused' }));
  expect(readFileSync(join(root, 'README.md'), 'utf8')).toBe('another');
  expect(existsSync(join(folder, 'README.md'))).toBe(false);
});

test('a link in the place of a file is not followed', () => {
  const folder = join(root, 'docs');
  mkdirSync(folder);
  writeFileSync(join(root, 'other'), 'other');
  symlinkSync(join(root, 'other'), join(folder, 'README.md'));
  writeFolder(folder, second);
  expect(readFileSync(join(root, 'other'), 'utf8')).toBe('other');
  expect(readFileSync(join(folder, 'README.md'), 'utf8')).toBe('two\n');
});
