import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, copyFileSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { DiskReserve } from '../../src/base/disk-reserve.ts';
import { dataFileOf, PAGE_BYTES } from '../../src/log/layout.ts';
import { PageFile } from '../../src/log/pages.ts';
import { type ChunkPlaces, readTree } from '../../src/log/tree.ts';
import { randomFrom } from '../random.ts';
import { removeTemporaryFolders, SampleLog, temporaryFolder } from './sample-log.ts';

afterEach(removeTemporaryFolders);

/** Flipped bits per live page. */
const flips = Number(process.env.TRUNKLINE_FLIPS ?? 150);

function check(file: string): ChunkPlaces | string {
  const pages = new PageFile(file);
  try {
    return readTree(pages);
  } finally {
    pages.close();
  }
}

/** A log with a tree of two levels, some of its head truncated, and so with a list of free pages. */
async function usedLog(): Promise<SampleLog> {
  const log = await SampleLog.open(temporaryFolder());
  const random = randomFrom(3);
  for (let i = 0; i < 260; i++) {
    log.append([random() < 0.8 ? 1 : 100]);
    if (i % 40 === 39) log.writer.truncateBelow(log.nextPosition - 400, 30);
  }
  await log.close();
  return log;
}

test('what LMDB has written passes at every moment of a long life', async () => {
  const log = await SampleLog.open(temporaryFolder());
  const random = randomFrom(5);
  for (let i = 0; i < 3000; i++) {
    log.append([random() < 0.5 ? 1 : Math.ceil(random() * 400)]);
    if (random() < 0.1)
      log.writer.truncateBelow(log.nextPosition - Math.floor(random() * 8000), 1 + Math.floor(random() * 90));
    if (i % 25 === 0) expect(check(log.writer.dataFile), `step ${i}`).not.toBeTypeOf('string');
  }
  await log.close();
});

test('a flipped bit in a page of the tree is found, or does not matter to LMDB', async () => {
  const log = await usedLog();
  const original = readFileSync(log.writer.dataFile);
  const places = check(log.writer.dataFile) as ChunkPlaces;
  const file = log.writer.dataFile;
  const isNoticed = (): boolean => {
    const found = check(file);
    return typeof found === 'string' || JSON.stringify(found) !== JSON.stringify(places);
  };
  const descriptor = openSync(file, 'r+');
  const write = (at: number, bytes: Buffer): void => void writeSync(descriptor, bytes, 0, bytes.length, at);
  const live: number[] = [];
  const reserve = new DiskReserve(file);
  const pages = reserve.usedPages(); // behind them is the reserve: zeros
  reserve.close();
  for (let page = 0; page < pages; page++) {
    write(page * PAGE_BYTES, Buffer.alloc(PAGE_BYTES, 0xff));
    if (isNoticed()) live.push(page);
    write(page * PAGE_BYTES, original.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES));
  }
  expect(live.length, 'two metas, a branch, leaves, a list of free pages').toBeGreaterThan(5);

  const unnoticed: number[] = [];
  let noticed = 0;
  const random = randomFrom(9);
  for (const page of live) {
    for (let i = 0; i < flips; i++) {
      // Mostly where something stands; and the heads of the pages whole.
      let at = i < 1280 && flips > 1280 ? i >> 3 : Math.floor(random() * (i % 3 === 0 ? 160 : PAGE_BYTES));
      for (let tries = 0; original[page * PAGE_BYTES + at] === 0 && tries < 9 && i % 3 === 1; tries++) {
        at = Math.floor(random() * PAGE_BYTES);
      }
      const byte = page * PAGE_BYTES + at;
      const bit = byte * 8 + (i & 7);
      write(byte, flip(original, bit).subarray(byte, byte + 1));
      if (isNoticed()) noticed++;
      else unnoticed.push(bit);
      write(byte, original.subarray(byte, byte + 1));
    }
  }
  closeSync(descriptor);
  expect(noticed).toBeGreaterThan(flips);

  // The rest goes to LMDB, in a process that may die of it: it must not, and must find and keep every chunk.
  const entry = fileURLToPath(new URL('./opening-process.ts', import.meta.url));
  const child = spawn(process.execPath, ['--conditions=trunkline-source', entry], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  for (const bit of unnoticed.sort(() => random() - 0.5).slice(0, flips / 2)) {
    const folder = temporaryFolder();
    writeFileSync(dataFileOf(folder), flip(original, bit));
    child.stdin.write(`${folder}\n`);
    const { value = '', done } = await answers.next();
    expect(done, `LMDB ended the process at bit ${bit % 8} of byte ${bit >> 3}, page ${bit >> 15}`).toBeFalsy();
    const { found, kept } = JSON.parse(value) as { found: number[]; kept: number[] };
    expect(found, `bit ${bit}`).toEqual(places.positions);
    expect(kept, `bit ${bit}`).toEqual(found.slice(found.length - kept.length));
  }
  child.stdin.end();
  expect((await closed)[0]).toBe(0);
});

test('a page that is in use and listed as free is found: LMDB would write over it', async () => {
  const log = await usedLog();
  const original = readFileSync(log.writer.dataFile);
  const places = check(log.writer.dataFile) as ChunkPlaces;
  const file = join(temporaryFolder(), 'twice');
  const faults = new Set<string>();
  const free = new Set<number>(Array.from({ length: original.length / PAGE_BYTES }, (_, page) => page));
  for (const page of places.pages) free.delete(page);
  for (let at = 2 * PAGE_BYTES; at + 8 <= original.length; at += 8) {
    // Whatever may be an entry of the list: the number of a page that holds no chunk.
    if (original.readUInt32LE(at + 4) !== 0 || !free.has(original.readUInt32LE(at)) || original.readUInt32LE(at) < 2)
      continue;
    if (at % PAGE_BYTES === 0 || original.readUInt16LE(at - (at % PAGE_BYTES) + 18) !== 2) continue;
    const altered = Buffer.from(original);
    altered.writeUInt32LE(places.pages[7]!, at);
    writeFileSync(file, altered);
    const found = check(file);
    if (typeof found === 'string') faults.add(found.replace(/\d+/, 'n'));
  }
  expect([...faults]).toContain('page n: used twice');
});

test('a file that is no such file, or cut anywhere, is refused and not more', async () => {
  const log = await usedLog();
  const original = readFileSync(log.writer.dataFile);
  const random = randomFrom(13);
  const folder = join(temporaryFolder(), 'x');
  mkdirSync(folder);
  const file = dataFileOf(folder);
  copyFileSync(log.writer.dataFile, file);
  const cuts = [0, 1, 100, PAGE_BYTES, 2 * PAGE_BYTES, ...Array.from({ length: 60 }, () => random() * original.length)];
  for (const cut of cuts) {
    writeFileSync(file, original.subarray(0, Math.floor(cut)));
    const found = check(file);
    // Places are what the tree says; whether the chunks are there is for whoever reads them.
    if (typeof found !== 'string') expect(found.positions.length).toBeGreaterThan(0);
  }
  for (let i = 0; i < 200; i++) {
    const noise = Buffer.from(original);
    const at = Math.floor(random() * 4) * PAGE_BYTES;
    for (let n = 0; n < 200; n++) noise[at + Math.floor(random() * PAGE_BYTES)] = Math.floor(random() * 256);
    writeFileSync(file, noise);
    check(file);
  }
});

function flip(bytes: Buffer, bit: number): Buffer {
  const flipped = Buffer.from(bytes);
  flipped[bit >> 3]! ^= 1 << (bit & 7);
  return flipped;
}
