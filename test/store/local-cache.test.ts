// The environment as the local cache beside a store elsewhere: bounded, and never without what only it can know.
import { expect, onTestFinished, test } from 'vitest';
import { type EmbeddedReader, openEmbeddedReader } from '../../src/adapters/lmdb/store/reader.ts';
import { EmbeddedSink } from '../../src/adapters/lmdb/store/sink.ts';
import { FrameKind } from '../../src/wire/frame.ts';
import { batchOf, type Group, temporaryFolder } from './sample.ts';

interface Cache {
  sink: EmbeddedSink;
  reader: EmbeddedReader;
  stored: number;
  write(...groups: Group[]): number;
}

async function open(blockLimit?: number): Promise<Cache> {
  const folder = temporaryFolder(onTestFinished);
  const settings = { cache: { storedPosition: () => cache.stored, blockLimit } };
  const sink = new EmbeddedSink(folder, 'log-1', settings);
  let next = 1;
  await sink.open();
  const reader = openEmbeddedReader(folder);
  const write = (...groups: Group[]): number => {
    const batch = batchOf(next, groups);
    sink.write(batch);
    next = batch.toPosition + 1;
    return batch.toPosition;
  };
  const cache: Cache = { sink, reader, stored: 0, write };
  onTestFinished(async () => {
    await reader.close();
    await sink.close();
  });
  return cache;
}

const look = ({ reader }: Cache, id: string) => {
  const loaded = reader.load('call', id, 'f');
  if (loaded === undefined) return undefined;
  const versions: number[] = [];
  for (const frame of loaded.frames) versions.push(frame.version);
  return { base: loaded.base, snapshot: loaded.snapshot?.version, versions, isOwnershipLost: loaded.isOwnershipLost };
};

test('events leave when there are too many, oldest first, and only once the store has them', async () => {
  const cache = await open(2);
  const at: number[] = [];
  for (let version = 1; version <= 6; version++) at.push(cache.write([{ version }]));
  expect(look(cache, 'a')).toMatchObject({ base: 0, versions: [1, 2, 3, 4, 5, 6] });
  cache.stored = at[2]!;
  cache.write([{ id: 'b', version: 1 }]);
  expect(look(cache, 'a')).toMatchObject({ base: 3, versions: [4, 5, 6] });
  cache.stored = at[5]!;
  cache.write([{ id: 'b', version: 2 }]);
  expect(look(cache, 'a')).toMatchObject({ base: 6, versions: [] });
  expect(look(cache, 'b')).toMatchObject({ base: 0, versions: [1, 2] });
  expect(cache.reader.head('call', 'a')).toMatchObject({ version: 6 });
});

test('a snapshot stays, and is enough', async () => {
  const cache = await open(1);
  cache.stored = Number.MAX_SAFE_INTEGER;
  cache.write([{ version: 1 }, { version: 2 }, { kind: FrameKind.snapshot, version: 2, name: 'f', data: { n: 2 } }]);
  for (let version = 1; version <= 4; version++) cache.write([{ id: 'b', version }]);
  expect(look(cache, 'a')).toEqual({ base: 2, snapshot: 2, versions: [], isOwnershipLost: false });
});

test('it begins where it is told: at a later version, or at a snapshot alone', async () => {
  const cache = await open();
  cache.write([{ version: 6 }], [{ version: 7 }]);
  expect(look(cache, 'a')).toMatchObject({ base: 5, versions: [6, 7] });
  cache.write([{ id: 'b', kind: FrameKind.snapshot, version: 9, name: 'f', data: {} }]);
  expect(look(cache, 'b')).toMatchObject({ base: 9, snapshot: 9, versions: [] });
  cache.write([{ id: 'b', version: 10 }]);
  expect(look(cache, 'b')).toMatchObject({ base: 9, snapshot: 9, versions: [10] });
});

test('what another log has written stays marked', async () => {
  const cache = await open();
  cache.write([{ version: 1 }]);
  cache.sink.loseOwnership([
    { type: 'call', id: 'a' },
    { type: 'call', id: 'nobody' },
  ]);
  cache.write([{ version: 2 }]);
  expect(look(cache, 'a')).toMatchObject({ isOwnershipLost: true });
  expect(look(cache, 'nobody')).toMatchObject({ isOwnershipLost: true });
  expect(cache.reader.head('call', 'a')).toBe(undefined);
});
