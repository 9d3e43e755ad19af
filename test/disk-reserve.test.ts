// The room that an LMDB file has for itself: blocks that are its own, holes filled, a beginning told from damage. The disk
// that is full is a small one in memory, see small-disk.ts.
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'lmdb';
import { afterEach, expect, test } from 'vitest';
import { DiskReserve, fillHoles, reserveLockFile } from '../src/base/disk-reserve.ts';
import { LmdbRoom, neverBegan, prepareFile } from '../src/base/lmdb-file.ts';
import { SmallDisk } from './small-disk.ts';

const pageBytes = 4096;
const made: string[] = [];
afterEach(() => {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function fresh(): string {
  const folder = mkdtempSync(join(tmpdir(), 'trunkline-reserve-'));
  made.push(folder);
  return folder;
}

/** A new environment as LMDB leaves it, with so many commits. */
async function environment(folder: string, commits = 0): Promise<string> {
  const file = join(folder, 'x.mdb');
  const data = open<Buffer, Uint8Array>(file, { encoding: 'binary', keyEncoding: 'binary', overlappingSync: false });
  for (let i = 0; i < commits; i++)
    data.transactionSync(() => data.putSync(Buffer.from(`${i}`), Buffer.alloc(5000, 1)));
  await data.close();
  return file;
}

test('grows by blocks that are written, and covers no more than there are', async () => {
  const file = await environment(fresh(), 3);
  const reserve = new DiskReserve(file);
  const used = reserve.usedPages();
  expect(used).toBeGreaterThan(5);
  expect(reserve.covers(used + 100, 50)).toBe(true);
  expect(reserve.pages).toBe(used + 150);
  const { size, blocks } = statSync(file);
  expect(size).toBe((used + 150) * pageBytes);
  expect(blocks * 512).toBeGreaterThanOrEqual(size);
  expect(reserve.usedPages()).toBe(used);
  reserve.close();
  reserve.close();
});

test('believes no length that another thread is about to cut off again', async () => {
  const file = await environment(fresh(), 1);
  const whole = statSync(file).size;
  truncateSync(file, whole + 100 * pageBytes); // another thread is growing it, and the disk will say no
  const lock = { enter: () => truncateSync(file, whole), leave: () => {} };
  const reserve = new DiskReserve(file);
  const beside = new DiskReserve(file, lock);
  expect(reserve.pages).toBe(whole / pageBytes + 100);
  beside.look();
  expect(beside.pages).toBe(whole / pageBytes);
  for (const one of [reserve, beside]) one.close();
});

test('a sparse copy gets its blocks, and keeps its bytes', async () => {
  const file = await environment(fresh(), 3);
  const bytes = readFileSync(file);
  truncateSync(file, bytes.length + (1 << 20));
  const sparse = statSync(file);
  expect(sparse.blocks * 512).toBeLessThan(sparse.size);
  fillHoles(file);
  const whole = statSync(file);
  expect(whole.size).toBe(sparse.size);
  expect(whole.blocks * 512).toBeGreaterThanOrEqual(whole.size);
  expect(readFileSync(file).subarray(0, bytes.length)).toEqual(bytes);
  reserveLockFile(join(fresh(), 'none'));
});

test.each<[string, boolean, (metas: Buffer) => Buffer]>([
  ['nothing at all', true, () => Buffer.alloc(0)],
  ['zeros', true, () => Buffer.alloc(2 * pageBytes)],
  ['zeros, and a reserve of zeros', true, () => Buffer.alloc(2 << 20)],
  ['the second page alone', true, (metas) => Buffer.concat([Buffer.alloc(pageBytes), metas.subarray(pageBytes)])],
  ['the first page alone', true, (metas) => metas.subarray(0, pageBytes)],
  ['both pages', false, (metas) => metas],
  [
    'a page behind them, and none before',
    false,
    () => Buffer.concat([Buffer.alloc(2 * pageBytes), Buffer.alloc(9, 1)]),
  ],
  ['something else', false, () => Buffer.from('something else')],
])('of a new file a power loss has left %s: never began is %s', async (_, expected, make) => {
  const file = await environment(fresh());
  writeFileSync(file, make(readFileSync(file).subarray(0, 2 * pageBytes)));
  expect(neverBegan(file)).toBe(expected);
  prepareFile(file);
  expect(statSync(file, { throwIfNoEntry: false }) === undefined).toBe(expected);
});

test('a file that had a commit has begun, whatever became of its first pages', async () => {
  for (const page of [0, 1]) {
    const file = await environment(fresh(), 2);
    const descriptor = openSync(file, 'r+');
    writeSync(descriptor, Buffer.alloc(pageBytes), 0, pageBytes, page * pageBytes);
    closeSync(descriptor);
    expect(neverBegan(file)).toBe(false);
  }
});

test('on a full disk: what is reserved can be committed, what is not is refused (needs root)', async () => {
  using disk = SmallDisk.mount(24 << 20, fresh());
  const file = join(disk.path, 'x.mdb');
  reserveLockFile(file);
  const data = open<Buffer, Uint8Array>(file, { encoding: 'binary', keyEncoding: 'binary', overlappingSync: false });
  const room = new LmdbRoom(file, [data], 1 << 20);
  const reserve = new DiskReserve(file);
  let commits = 0;
  const commit = (): void => {
    const value = Buffer.alloc(20_000, commits);
    data.transactionSync(() => {
      room.require({ puts: 1, removals: 0, bytes: value.length });
      data.putSync(Buffer.from(String(commits)), value);
    });
    commits++;
  };
  commit();
  disk.fill();
  const refused = (): unknown => {
    try {
      for (;;) commit();
    } catch (error) {
      return error;
    }
  };
  expect(refused()).toMatchObject({ code: 'DiskFull' });
  expect(commits).toBeGreaterThan(5);
  expect(reserve.usedPages() * pageBytes).toBeLessThanOrEqual(statSync(file).size);
  expect(refused()).toMatchObject({ code: 'DiskFull' }); // and nothing is broken by that
  const before = commits;
  disk.free();
  commit();
  expect(data.getKeysCount()).toBe(before + 1);
  reserve.close();
  room.close();
  await data.close();
});
