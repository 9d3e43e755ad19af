// LMDB opens a file through one door, which lets nothing through that would fail within LMDB: there a failed open ends the
// process. So each of these, without the door, ends the process of the test.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { open } from 'lmdb';
import { afterEach, expect, test } from 'vitest';
import { DiskReserve, reserveLockFile } from '../src/base/disk-reserve.ts';
import { emptyFile, type LmdbFile, openLmdb } from '../src/base/lmdb-open.ts';
import { SmallDisk } from './small-disk.ts';

const pageBytes = 4096;
const startPages = 64;
const mapSize = 64 << 20;
const made: string[] = [];
afterEach(() => {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function fresh(): string {
  const folder = mkdtempSync(join(tmpdir(), 'trunkline-open-'));
  made.push(folder);
  return folder;
}

const binary = { encoding: 'binary', keyEncoding: 'binary', cache: false, overlappingSync: false, maxDbs: 4 } as const;

function opened(file: string, options: { readOnly?: boolean; makesTables?: boolean } = {}): LmdbFile {
  const damaged = (reason: string): Error => new Error(`damaged: ${reason}`);
  return openLmdb(file, { ...binary, readOnly: false, mapSize, startPages, damaged, ...options });
}

test('a new file is what LMDB itself would make of it, and begins with its reserve', async () => {
  const [ours, theirs] = [join(fresh(), 'x.mdb'), join(fresh(), 'x.mdb')];
  await open(theirs, { ...binary, mapSize }).close();
  const expected = readFileSync(theirs);
  expect(emptyFile(mapSize)).toEqual(expected);
  await opened(ours).close();
  const bytes = readFileSync(ours);
  expect(bytes.subarray(0, expected.length)).toEqual(expected);
  expect(bytes.length).toBe((2 + startPages) * pageBytes);
  expect(statSync(ours).mode & 0o777).toBe(0o600);
});

test('what is made of it holds commits, and is opened again', async () => {
  const file = join(fresh(), 'x.mdb');
  for (let i = 1; i <= 3; i++) {
    const data = opened(file);
    const table = data.openDB({ name: 'table', ...binary });
    table.putSync(Buffer.from(`key${i}`), Buffer.alloc(5000, i));
    expect(table.getCount()).toBe(i);
    await data.close();
  }
});

test('a new file that finds no room is refused', async () => {
  using disk = SmallDisk.mount(24 << 20, fresh());
  const file = join(disk.path, 'x.mdb');
  reserveLockFile(file);
  disk.fill();
  expect(() => opened(file)).toThrow(expect.objectContaining({ code: 'DiskFull' }));
  disk.free();
  await opened(file).close();
});

test('an old file whose tables find no room is refused', async () => {
  using disk = SmallDisk.mount(24 << 20, fresh());
  const file = join(disk.path, 'x.mdb');
  await opened(file).close();
  const data = opened(file);
  while (new DiskReserve(file).pages >= new DiskReserve(file).usedPages() + startPages)
    data.putSync(Buffer.from(String(Math.random())), Buffer.alloc(20_000));
  await data.close();
  disk.fill();
  expect(() => opened(file, { makesTables: true })).toThrow(expect.objectContaining({ code: 'DiskFull' }));
  await opened(file, { readOnly: true }).close();
});

test.each<[string, { readOnly: boolean }, (file: string) => void, unknown]>([
  ['is no file of LMDB', { readOnly: true }, (file) => writeFileSync(file, Buffer.alloc(9000, 7)), /first pages/],
  ['is no file of LMDB', { readOnly: false }, (file) => writeFileSync(file, Buffer.alloc(9000, 7)), /first pages/],
  ['is not there', { readOnly: true }, () => {}, expect.objectContaining({ code: 'ENOENT' })],
  ['is a folder', { readOnly: true }, (file) => mkdirSync(file), expect.objectContaining({ code: 'EISDIR' })],
  [
    'has a folder in the place of its readers',
    { readOnly: true },
    (file) => {
      writeFileSync(file, emptyFile(mapSize));
      mkdirSync(`${file}-lock`);
    },
    expect.objectContaining({ code: 'EISDIR' }),
  ],
])('a file that %s (%o) is refused', (_, options, make, expected) => {
  const file = join(fresh(), 'x.mdb');
  make(file);
  expect(() => opened(file, options)).toThrow(expected as Error);
});

test('without descriptors it is refused, and opens once there are some', async () => {
  const program = fileURLToPath(new URL('./opening-process.ts', import.meta.url));
  const words = ['-c', 'ulimit -n 100; exec "$@"', 'sh', process.execPath, '--conditions=trunkline-source', program];
  const { stdout } = await promisify(execFile)('sh', [...words, join(fresh(), 'x.mdb')]);
  expect(JSON.parse(stdout)).toEqual({ refused: 'EMFILE', attempts: 3, entries: 0 });
});
