// Files of ours: modes whatever the umask is, no symbolic link followed; and the sweep which holds that src makes, opens and
// renames files in one place.
import {
  closeSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { noteFile } from '../src/adapters/kafka/checkpoint.ts';
import { writeFileDurably } from '../src/base/durable-file.ts';
import {
  appendPrivate,
  makePrivateFolder,
  makePrivateFolderLater,
  nameInFile,
  openPrivate,
  touchPrivate,
  writePrivate,
} from '../src/base/private-file.ts';
import { createRuntime } from '../src/index.ts';
import { Counter } from './runtime/aggregates.ts';

let folder: string;
let umask: number;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'trunkline-private-'));
  umask = process.umask(0);
});
afterEach(() => {
  process.umask(umask);
  rmSync(folder, { recursive: true, force: true });
});

const modeOf = (path: string): string => (statSync(path).mode & 0o7777).toString(8);
const openFiles = (): number => readdirSync('/proc/self/fd').length;

test('what is made is for its user alone', async () => {
  const at = (name: string): string => join(folder, name);
  makePrivateFolder(at('a/b'));
  await makePrivateFolderLater(at('c/d'), true);
  writePrivate(at('written'), 'x');
  touchPrivate(at('touched'));
  writeFileDurably(at('durable'), 'x');
  await appendPrivate(at('appended'), 'x');
  closeSync(openPrivate(at('made'), 'make'));
  expect(['a', 'a/b', 'c', 'c/d'].map((name) => modeOf(at(name)))).toEqual(['700', '700', '700', '700']);
  const made = ['written', 'touched', 'durable', 'appended', 'made'];
  expect(made.map((name) => modeOf(at(name)))).toEqual(made.map(() => '600'));
});

test('a link in the place of a file is refused or removed; what it points to stays as it is, no descriptor stays open', async () => {
  const victim = join(folder, 'victim');
  const link = join(folder, 'link');
  writeFileSync(victim, 'untouched');
  symlinkSync(victim, link);
  const before = openFiles();
  const unsafe = expect.objectContaining({ code: 'DataDirUnsafe', details: expect.objectContaining({ path: link }) });
  for (const how of ['read', 'write', 'openOrMake'] as const) expect(() => openPrivate(link, how), how).toThrow(unsafe);
  expect(() => openPrivate(link, 'make')).toThrow('EEXIST');
  expect(() => touchPrivate(link)).toThrow(unsafe);
  await expect(appendPrivate(link, 'x')).rejects.toEqual(unsafe);
  for (const draft of [`${victim}.new`, `${link}.new`]) symlinkSync(victim, draft);
  writeFileDurably(link, 'mine'); // takes the place of the link, by a draft of its own
  expect(readFileSync(link, 'utf8')).toBe('mine');
  rmSync(link);
  symlinkSync(victim, link);
  writePrivate(link, 'mine');
  expect([readFileSync(link, 'utf8'), readFileSync(victim, 'utf8')]).toEqual(['mine', 'untouched']);
  expect(openFiles()).toBe(before);
});

test('a runtime leaves nothing in its directory that others could read, whatever the umask is', async () => {
  const dataDir = join(folder, 'data');
  const runtime = await createRuntime({ dataDir, aggregates: [Counter], shards: 1, logger: false });
  const subscription = runtime.subscribe({ name: 's', handle() {} });
  const { position } = await runtime.ref(Counter, 'a').with({ ack: 'stored' }).add(1);
  await subscription.caughtUpTo(position);
  await runtime.close();
  const found = readdirSync(dataDir, { recursive: true, withFileTypes: true }).map((entry) => {
    const path = join(entry.parentPath, entry.name);
    return `${path.slice(dataDir.length + 1)} ${modeOf(path)}`;
  });
  expect(found.filter((entry) => !/ [67]00$/.test(entry))).toEqual([]);
  expect(found.length).toBeGreaterThan(10);
});

test('a name of the user leads to no other folder when it is part of a file name, and stays apart from others', () => {
  const hostile = ['a/../../x', '../x', '..', '.', 'a/b', 'a\\b', 'ü'.repeat(50), 'x'.repeat(101), ' ', 'a:b'];
  const all = ['kafka', 'billing-2.eu', ...hostile].map(nameInFile);
  expect(all.slice(0, 2)).toEqual(['kafka', 'billing-2.eu']);
  for (const name of all) expect(basename(`published-${name}.json`)).toBe(`published-${name}.json`);
  expect(new Set(all).size).toBe(all.length);
  expect(all.every((name) => name.length <= 100 && /^[\w.-]+$/.test(name))).toBe(true);
  for (const name of hostile) expect(dirname(noteFile(folder, name))).toBe(folder);
});

/** What makes, opens or moves files, and the files of src that may import it: why. */
const meant: Readonly<Record<string, string>> = {
  'base/private-file.ts: mkdirSync': 'the helper',
  'base/private-file.ts: openSync': 'the helper',
  'base/private-file.ts: writeFileSync': 'to a descriptor',
  'base/private-file.ts: mkdir': 'the helper',
  'base/private-file.ts: open': 'the helper',
  'base/durable-file.ts: renameSync': 'the helper: of a draft that it has made',
  'base/durable-file.ts: writeFileSync': 'to a descriptor',
  'runtime/directory-access.ts: fchmodSync': 'closes files of ours to others',
  'base/disk-reserve.ts: ftruncateSync': 'of a descriptor',
  'base/foreign-file.ts: openSync': 'reads, not through a link',
  'base/foreign-file.ts: open': 'reads, not through a link',
  'runtime/ask-owner.ts: renameSync': 'of a draft with a random name that it has made',
  'log/rebuild.ts: linkSync': 'into a folder that it has made',
  'log/rebuild.ts: renameSync': 'of a file in a folder that it has made',
  'adapters/postgres/partitions/archive-writing.ts: createWriteStream': 'to a descriptor',
  'adapters/postgres/partitions/archive-writing.ts: rename': 'of a draft with a random name that it has made',
};

test('src makes, opens and moves files by the helpers; who does not is on the list, with the reason', () => {
  const src = fileURLToPath(new URL('../src', import.meta.url));
  const names =
    /\b(?:mkdir|mkdtemp\w*|open|opendir|openAsBlob|write|writev|writeFile|appendFile|createWriteStream|rename|link|symlink|copyFile|cp|chmod|lchmod|fchmod|chown|lchown|fchown|truncate|ftruncate)(?:Sync)?\b(?!Sync)/g;
  const found: string[] = [];
  for (const entry of readdirSync(src, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts')) continue;
    const path = join(entry.parentPath, entry.name);
    for (const [statement] of readFileSync(path, 'utf8').matchAll(
      /^import [^;]*from '(?:[^']*\/disk\.ts|node:fs[^']*)';/gm,
    )) {
      expect(statement, path).not.toMatch(/\* as|\bfs\b,|import fs\b|\bpromises\b[^']*from/);
      for (const [name] of statement.replace(/from .*/, '').matchAll(names)) {
        if (name !== 'writeSync') found.push(`${path.slice(src.length + 1)}: ${name}`); // to descriptors only
      }
    }
  }
  expect(found.sort()).toEqual(Object.keys(meant).sort());
});

test('no name of a temporary file is made of the number of the process', () => {
  const src = fileURLToPath(new URL('../src', import.meta.url));
  const found = (readdirSync(src, { recursive: true }) as string[])
    .filter((file) => file.endsWith('.ts'))
    .filter((file) => /process\.pid\b/.test(readFileSync(join(src, file), 'utf8')));
  expect(found).toEqual([]);
});
