// What the embedded store does beside events: receipts, the index, damaged blocks, whose store it is.
import '../leap.ts';

import { readFileSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { EmbeddedStore } from '../../src/adapters/lmdb/store/embedded.ts';
import {
  dataFileOf,
  identityKey,
  indexedKey,
  openEnvironment,
  readNumber,
} from '../../src/adapters/lmdb/store/environment.ts';
import { type EmbeddedReader, openEmbeddedReader } from '../../src/adapters/lmdb/store/reader.ts';
import { EmbeddedSink } from '../../src/adapters/lmdb/store/sink.ts';
import { messageKeyPrefix } from '../../src/model/receipt.ts';
import { FrameKind } from '../../src/wire/frame.ts';
import { TestControlBlock } from '../control-block.ts';
import { leapTo, pass } from '../leap.ts';
import { batchOf, type Group, temporaryFolder, usedPagesOf } from './sample.ts';

let folder: string;
let sink: EmbeddedSink;
let reader: EmbeddedReader;
let next: number;

beforeEach(async () => {
  folder = temporaryFolder(onTestFinished);
  sink = new EmbeddedSink(folder, 'log-1');
  expect(await sink.open()).toBe(0);
  reader = openEmbeddedReader(folder);
  next = 1;
  onTestFinished(async () => {
    await reader.close();
    await sink.close();
  });
});

function write(...groups: Group[]): void {
  const batch = batchOf(next, groups);
  sink.write(batch);
  next = batch.toPosition + 1;
}

const versionsOf = (id: string, fingerprint = 'f'): number[] => {
  const versions: number[] = [];
  for (const frame of reader.load('call', id, fingerprint)?.frames ?? []) {
    expect(JSON.parse(frame.dataJson)).toEqual({ version: frame.version });
    versions.push(frame.version);
  }
  return versions;
};

describe('receipts', () => {
  const receipt = (name: string, expiresAt: number, value: unknown = name) => ({
    kind: FrameKind.receipt,
    version: 7,
    name,
    data: { value, events: 0, expiresAt },
  });

  test('are found by type, id and key; whether one has expired is for the shard to say', () => {
    const later = Date.now() + 1e6;
    write([receipt('k', later)], [receipt('gone', 1)]);
    const outcome = { value: 'k', events: 0, expiresAt: later };
    expect(reader.receipt('call', 'a', 'k')).toEqual({ version: 7, position: 1, outcome });
    expect(reader.receipt('call', 'b', 'k')).toBeUndefined();
    expect(reader.receipt('cal', 'la', 'k')).toBeUndefined();
  });

  test('those that have expired are swept by later batches, and a key used again lives on', () => {
    const { receipts, expiries } = reader.environment;
    for (let i = 0; i < 300; i++) write([receipt(`k${i}`, Date.now() + 60_000)]);
    write([receipt('k7', Date.now() + 1e6, 'again')]);
    reader.fresh(() => expect([receipts.getCount(), expiries.getCount()]).toEqual([300, 301]));
    pass(120_000);
    for (let i = 0; i < 60; i++) write([{ version: i + 1 }]);
    reader.fresh(() => expect([receipts.getCount(), expiries.getCount()]).toEqual([1, 1]));
    expect(reader.receipt('call', 'a', 'k7')!.outcome.value).toBe('again');
  });

  test('are swept by how long the store was in use, whatever the date says meanwhile', async () => {
    onTestFinished(() => leapTo(0));
    write([receipt('k', Date.now() + 60_000)]);
    const month = 31 * 86_400_000;
    for (const [i, aheadMs] of [month, -month].entries()) {
      leapTo(aheadMs);
      await sink.close();
      sink = new EmbeddedSink(folder, 'log-1');
      await sink.open();
      write([{ version: i + 1 }]);
      expect(reader.receipt('call', 'a', 'k')).toBeDefined();
    }
  });

  test("a message's outcome goes when nothing can deliver the message again, and no sooner", async () => {
    const control = new TestControlBlock();
    await sink.close();
    sink = new EmbeddedSink(folder, 'log-1', { control });
    await sink.open();
    const sent = (id: string): string => `${messageKeyPrefix}${id}`;
    write([receipt(sent('a'), 1)]); // as an older release wrote it
    write([receipt(sent('b'), Number.MAX_SAFE_INTEGER)]);
    pass(31 * 86_400_000);
    write([{ version: 1 }]);
    expect(['a', 'b'].map((id) => reader.receipt('call', 'a', sent(id)) !== undefined)).toEqual([true, true]);
    control.publish('settled', 1);
    write([{ version: 2 }]);
    expect(['a', 'b'].map((id) => reader.receipt('call', 'a', sent(id)) !== undefined)).toEqual([false, true]);
    control.publish('settled', 100);
    write([{ version: 3 }]);
    reader.fresh(() => {
      expect([reader.environment.receipts.getCount(), reader.environment.expiries.getCount()]).toEqual([0, 0]);
    });
    // What is given back is never delivered again; and no position counts as done that the store has not seen.
    await sink.close();
    sink = new EmbeddedSink(folder, 'log-1', { control });
    await sink.open();
    expect(control.position('settledBefore')).toBe(next - 1);
  });
});

describe('the index', () => {
  const large = { text: 'x'.repeat(9000) }; // a block for each event

  test('is written every so many blocks, and read in again by the next writer', async () => {
    const numbers = (): number[] =>
      reader.fresh(() => [readNumber(reader.environment, indexedKey), reader.environment.postings.getCount()]);
    const reopen = async (): Promise<void> => {
      await sink.close();
      sink = new EmbeddedSink(folder, 'log-1', { indexEvery: 3 });
      await sink.open();
    };
    await reopen();
    for (let version = 1; version <= 2; version++) write([{ version, data: large }]);
    expect(numbers()).toEqual([0, 0]);
    await reopen();
    write([{ version: 3, data: large }]);
    expect(numbers()).toEqual([3, 3]); // of the type, of the aggregate type, of all
    write(...[4, 5, 6, 7].map((version): Group => [{ version, data: large }]));
    expect(numbers()).toEqual([6, 6]);
  });

  test('keeps what was waiting for it when a batch fails', async () => {
    await sink.close();
    sink = new EmbeddedSink(folder, 'log-1', { indexEvery: 3 });
    await sink.open();
    write([{ version: 1, name: 'Rare' }]);
    const more = [2, 3, 4].map((version): Group => [{ version, data: large }]);
    expect(() => sink.write(batchOf(2, [...more, [{ version: 9 }]]))).toThrow(/version 9/);
    write(...more);
    const store = EmbeddedStore.open(folder);
    expect((await store.getByType('Rare')).map(({ position }) => position)).toEqual([1]);
    expect(await store.getByType('Happened')).toHaveLength(3);
    await store.close();
  });
});

describe('a damaged block', () => {
  const fill = (): void => {
    for (let version = 1; version <= 60; version++) {
      write([{ version, data: { version } }], [{ id: 'b', version, data: { version, text: 'x'.repeat(2000) } }]);
    }
  };

  test('with one byte changed is refused by whoever reads all of it', async () => {
    fill();
    const { root, blocks } = openEnvironment(folder, false);
    const { key, value } = [...blocks.getRange({ limit: 1 })][0]!;
    value[value.indexOf('xxxx')] = 0x79;
    root.transactionSync(() => blocks.putSync(key, value));
    const store = EmbeddedStore.open(folder);
    await expect(store.getByType('Happened')).rejects.toMatchObject({ code: 'StoreDamaged' });
    await store.close();
    await root.close();
  });

  test('that cannot be unpacked is refused, though the buffer still holds the one before', async () => {
    fill();
    const { root } = openEnvironment(folder, false);
    const raw = root.openDB<Buffer, Uint8Array>({ name: 'blocks', encoding: 'binary', keyEncoding: 'binary' });
    const entries = [...raw.getRange()];
    expect(entries.every(({ value }) => value[0] === 254)).toBe(true); // packed
    const { key, value } = entries[30]!;
    root.transactionSync(() => raw.putSync(key, Buffer.concat([value.subarray(0, 4), Buffer.alloc(40, 0xff)])));
    expect(thrownBy(() => reader.load('call', 'a', 'f'))).toMatchObject({ code: 'StoreDamaged' });
    const store = EmbeddedStore.open(folder);
    await expect(store.getByType('Happened')).rejects.toMatchObject({ code: 'StoreDamaged' });
    await store.close();
    await root.close();
  });
});

describe('opening', () => {
  test('again: everything is there, and goes on', async () => {
    write([{ version: 1 }]);
    await sink.close();
    sink = new EmbeddedSink(folder, 'log-1');
    expect(await sink.open()).toBe(1);
    write([{ version: 2 }]);
    expect(versionsOf('a')).toEqual([1, 2]);
  });

  test('the store of another log is refused', async () => {
    await sink.close();
    const other = new EmbeddedSink(folder, 'log-2').open();
    await expect(other).rejects.toThrow(/damaged: it belongs to log log-1, and the log here is log-2/);
    await sink.open();
  });

  test.each([
    ['of a newer release', '{"format":99,"logId":"log-1"}', 'DataDirNewerFormat', { found: 99, supported: 1 }],
    ['with an identity that is none', '{"format":"?"}', 'StoreDamaged', {}],
    ['with an identity that is not JSON', '\u0000', 'StoreDamaged', {}],
  ])('a store %s is refused, by the writer and by readers', async (_, identity, code, details) => {
    const { root } = openEnvironment(folder, false);
    root.transactionSync(() => root.putSync(identityKey, Buffer.from(identity)));
    await sink.close();
    await expect(new EmbeddedSink(folder, 'log-1').open()).rejects.toMatchObject({ code, details });
    expect(thrownBy(() => openEmbeddedReader(folder))).toMatchObject({ code, details });
    root.transactionSync(() => root.putSync(identityKey, Buffer.from('{"format":1,"logId":"log-1"}')));
    await sink.open();
    await root.close();
  });
});

function thrownBy(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    return error;
  }
}

test('a store that was closed in order and has a changed byte anywhere is refused', async () => {
  write([{ version: 1 }, { version: 2 }], [{ version: 3 }]);
  await reader.close();
  await sink.close();
  const file = dataFileOf(folder);
  const whole = readFileSync(file);
  for (let at = 0; at < usedPagesOf(file) * 4096; at += 509) {
    const changed = Buffer.from(whole);
    changed[at]! ^= 1 << (at % 8);
    writeFileSync(file, changed);
    await expect(new EmbeddedSink(folder, 'log-1').open()).rejects.toMatchObject({ code: 'StoreDamaged' });
  }
  writeFileSync(file, whole);
  sink = new EmbeddedSink(folder, 'log-1');
  expect(await sink.open()).toBe(3);
  reader = openEmbeddedReader(folder);
});
