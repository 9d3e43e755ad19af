import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import { DiskReserve } from '../../src/base/disk-reserve.ts';
import { isError } from '../../src/base/errors.ts';
import { readFloor } from '../../src/log/floor.ts';
import { LogWriter, mapBytesFor, openLogReader } from '../../src/log/lmdb.ts';
import { PageFile } from '../../src/log/pages.ts';
import { readTree } from '../../src/log/tree.ts';
import { FrameReader } from '../../src/wire/frame.ts';
import { mapBytes, removeTemporaryFolders, SampleLog, temporaryFolder, textAt } from './sample-log.ts';

afterEach(removeTemporaryFolders);

describe('writing and reading', () => {
  test('a reader finds the chunk that holds a position, or the next one', async () => {
    const log = await SampleLog.open(temporaryFolder());
    const reader = openLogReader(log.folder, mapBytes);
    expect(reader.read(1)).toBeUndefined();
    expect(reader.firstPosition()).toBe(0);
    log.append([1]);
    log.append([2, 3]);
    log.append([1]);
    expect(reader.firstPosition()).toBe(1);
    for (const [from, first] of [
      [0, 1],
      [1, 1],
      [2, 2],
      [4, 2],
      [6, 2],
      [7, 7],
      [3, 2],
    ] as const) {
      const chunk = reader.read(from)!;
      expect(chunk.firstPosition, `from ${from}`).toBe(first);
      const frame = new FrameReader(chunk.frames).at(0);
      expect(frame.dataJson).toBe(textAt(first, 1));
    }
    expect(reader.read(8)).toBeUndefined();
    log.append([1]);
    expect(reader.read(8)?.firstPosition, 'appended since the last read').toBe(8);
    await reader.close();
    await log.close();
  });

  test('every chunk, however small, has overflow pages of its own; the tree adds up', async () => {
    const log = await SampleLog.open(temporaryFolder());
    for (let i = 0; i < 300; i++) log.append(i % 10 === 0 ? [100, 100] : [1]);
    const file = new PageFile(log.writer.dataFile);
    const places = readTree(file);
    expect(places).toMatchObject({ positions: expect.arrayContaining([1, 201, 202]) });
    expect((places as { positions: number[] }).positions.length).toBe(300);
    file.close();
    await log.close();
  });

  test('what is used and kept is the same after opening again', async () => {
    const log = await SampleLog.open(temporaryFolder());
    for (let i = 0; i < 50; i++) log.append([1 + (i % 30)]);
    log.writer.truncateBelow(200, 1000);
    const { usedBytes, firstPosition, lastPosition } = log.writer;
    expect(usedBytes).toBeGreaterThan(0);
    await log.close();
    const again = LogWriter.open(log.folder, mapBytes);
    expect(again).toMatchObject({ usedBytes, firstPosition, lastPosition });
    expect(lastPosition).toBe(log.nextPosition - 1);
    await again.close();
  });
});

describe('truncation', () => {
  test('takes whole chunks from the head, as many as asked for, and leaves the newest', async () => {
    const log = await SampleLog.open(temporaryFolder());
    for (let i = 0; i < 10; i++) log.append([5]); // 1, 6, 11 … 46
    expect(log.writer.truncateBelow(5, 100), 'position 5 is needed').toBe(0);
    expect(log.writer.truncateBelow(6, 100)).toBe(1);
    expect(log.writer.firstPosition).toBe(6);
    expect(log.writer.truncateBelow(40, 3)).toBe(3);
    expect(log.writer.firstPosition).toBe(21);
    expect(readFloor(log.folder), 'durable before anything was removed').toBe(40);
    const { usedBytes } = log.writer;
    expect(log.writer.truncateBelow(1000, 100, usedBytes - 4095), 'a page less would not be enough').toBe(0);
    expect(log.writer.truncateBelow(1000, 100, usedBytes - 4096)).toBe(1);
    expect(log.writer.truncateBelow(1000, 100)).toBe(4);
    expect([log.writer.firstPosition, log.writer.lastPosition]).toEqual([46, 50]);
    expect(log.writer.truncateBelow(1000, 100)).toBe(0);
    const reader = openLogReader(log.folder, mapBytes);
    expect(reader.read(1)?.firstPosition).toBe(46);
    await reader.close();
    await log.close();
  });

  test('a reader in a thread that blocks reads on while the head goes away, and holds no pages', async () => {
    const log = await SampleLog.open(temporaryFolder(), { mapBytes: mapBytesFor(1 << 20) });
    log.append([3]);
    const turns = new SharedArrayBuffer(8);
    const words = new Int32Array(turns);
    const reading = new Worker(fileURLToPath(new URL('./reading-thread.ts', import.meta.url)), {
      workerData: { folder: log.folder, mapBytes: mapBytesFor(1 << 20), turns },
    });
    // Both at once: a thread that has ended already tells its last message and its exit in one go.
    const [result, exited] = [once(reading, 'message'), once(reading, 'exit')];
    // Many times the log's limit passes through: it fits only if what is truncated can be used again.
    for (let i = 0; i < 4000; i++) {
      log.append([1 + (i % 40)]);
      log.writer.truncateBelow(log.nextPosition - 400, 64);
      Atomics.store(words, 0, log.nextPosition - 1);
      Atomics.notify(words, 0);
      // Lock step at times, so that the reader does see most of the log.
      if (i % 16 === 0)
        while (Atomics.load(words, 1) < Atomics.load(words, 0)) Atomics.wait(words, 1, Atomics.load(words, 1), 100);
    }
    Atomics.store(words, 0, -log.nextPosition);
    Atomics.notify(words, 0);
    const [{ wrong, seen, last }] = await result;
    expect(wrong).toEqual([]);
    expect(last).toBe(log.nextPosition - 1);
    expect(seen).toBeGreaterThan(last / 2);
    await exited;
    // Pages that were given out: the file is longer by its reserve.
    const reserve = new DiskReserve(log.writer.dataFile);
    expect(reserve.usedPages() * reserve.pageBytes).toBeLessThan(4 << 20);
    reserve.close();
    await log.close();
  });
});

describe('a full log', () => {
  test('refuses with LogFull and nothing written; truncation still works, and makes room', async () => {
    const limit = 1 << 20;
    const log = await SampleLog.open(temporaryFolder(), { mapBytes: mapBytesFor(limit) });
    const fill = (): unknown => {
      try {
        for (;;) log.append([20]);
      } catch (error) {
        return error;
      }
    };
    for (let round = 0; round < 20; round++) {
      const error = fill();
      expect(isError(error, 'LogFull') && error.details).toEqual({
        usedBytes: log.writer.usedBytes,
        limitBytes: limit,
        diskIsFull: false,
      });
      expect(log.writer.usedBytes).toBeLessThanOrEqual(limit);
      const { lastPosition } = log.writer;
      expect(lastPosition).toBe(log.nextPosition - 1);
      expect(fill(), 'still full').toBeInstanceOf(Error);
      expect(log.writer.lastPosition).toBe(lastPosition);
      expect(log.writer.truncateBelow(lastPosition, 1 + round)).toBe(1 + round);
      log.append([20]);
    }
    await log.close();
    const again = await SampleLog.open(log.folder, { mapBytes: mapBytesFor(limit) });
    expect(again.recovered.report).toMatchObject({ lastEnd: 'killed', leftOut: [] });
    expect(again.nextPosition).toBe(log.nextPosition);
    await again.close();
  });
});

test('after a failed write nothing more is written', async () => {
  const log = await SampleLog.open(temporaryFolder());
  for (let i = 0; i < 3; i++) log.append([1]);
  expect(() =>
    log.writer.together(0, () => {
      throw new Error('the disk is gone');
    }),
  ).toThrow('the disk is gone');
  for (const write of [() => log.append([1]), () => log.writer.truncateBelow(3, 1)]) {
    expect(write).toThrow(expect.objectContaining({ code: 'LogPoisoned' }));
  }
  await log.close();
});
