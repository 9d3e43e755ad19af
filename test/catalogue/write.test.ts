// A catalogue on the disk: what is the catalogue's goes with it, what is not stays; a list that was changed leads nowhere else.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
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

test('a file or link that no catalogue has made is refused by name, and nothing is written or removed', () => {
  const folder = join(root, 'docs');
  const refused = (files: ReadonlyMap<string, string>, path: string): void =>
    expect(() => writeFolder(folder, files)).toThrow(
      expect.objectContaining({ code: 'FileRefused', details: expect.objectContaining({ file: join(folder, path) }) }),
    );
  mkdirSync(folder);
  writeFileSync(join(folder, 'README.md'), 'mine');
  refused(first, 'README.md');
  expect(readdirSync(folder)).toEqual(['README.md']);
  rmSync(join(folder, 'README.md'));
  symlinkSync(join(root, 'nowhere'), join(folder, 'README.md'));
  refused(first, 'README.md');
  rmSync(join(folder, 'README.md'));
  // One of which a later catalogue would make a file.
  writeFolder(folder, new Map([['services/a/index.mdx', 'a\n']]));
  writeFileSync(join(folder, 'README.md'), 'mine');
  refused(second, 'README.md');
  expect(readFileSync(join(folder, 'README.md'), 'utf8')).toBe('mine');
  expect(readFileSync(join(folder, 'services/a/index.mdx'), 'utf8')).toBe('a\n');
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
  writeFileSync(join(folder, 'trunkline-catalogue.json'), '{"files":["README.md"]}');
  writeFolder(folder, second);
  expect(readFileSync(join(root, 'other'), 'utf8')).toBe('other');
  expect(readFileSync(join(folder, 'README.md'), 'utf8')).toBe('two\n');
});
