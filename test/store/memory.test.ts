// The environment as a memory beside a store elsewhere: bounded, and never without what only it can know.
import { expect, onTestFinished, test } from 'vitest';
import { type EmbeddedReader, openEmbeddedReader } from '../../src/adapters/lmdb/store/reader.ts';
import { EmbeddedSink } from '../../src/adapters/lmdb/store/sink.ts';
import { FrameKind } from '../../src/wire/frame.ts';
import { batchOf, type Group, temporaryFolder } from './sample.ts';

interface Memory {
  sink: EmbeddedSink;
  reader: EmbeddedReader;
  stored: number;
  write(...groups: Group[]): number;
}

async function open(blockLimit?: number): Promise<Memory> {
  const folder = temporaryFolder(onTestFinished);
  const settings = { memory: { storedPosition: () => memory.stored, blockLimit } };
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
  const memory: Memory = { sink, reader, stored: 0, write };
  onTestFinished(async () => {
    await reader.close();
    await sink.close();
  });
  return memory;
}

const look = ({ reader }: Memory, id: string) => {
  const loaded = reader.load('call', id, 'f');
  if (loaded === undefined) return undefined;
  const versions: number[] = [];
  for (const frame of loaded.frames) versions.push(frame.version);
  return { base: loaded.base, snapshot: loaded.snapshot?.version, versions, isOwnershipLost: loaded.isOwnershipLost };
};

test('events leave when there are too many, oldest first, and only once the store has them', async () => {
  const memory = await open(2);
  const at: number[] = [];
  for (let version = 1; version <= 6; version++) at.push(memory.write([{ version }]));
  expect(look(memory, 'a')).toMatchObject({ base: 0, versions: [1, 2, 3, 4, 5, 6] });
  memory.stored = at[2]!;
  memory.write([{ id: 'b', version: 1 }]);
  expect(look(memory, 'a')).toMatchObject({ base: 3, versions: [4, 5, 6] });
  memory.stored = at[5]!;
  memory.write([{ id: 'b', version: 2 }]);
  expect(look(memory, 'a')).toMatchObject({ base: 6, versions: [] });
  expect(look(memory, 'b')).toMatchObject({ base: 0, versions: [1, 2] });
  expect(memory.reader.head('call', 'a')).toMatchObject({ version: 6 });
});

test('a snapshot stays, and is enough', async () => {
  const memory = await open(1);
  memory.stored = Number.MAX_SAFE_INTEGER;
  memory.write([{ version: 1 }, { version: 2 }, { kind: FrameKind.snapshot, version: 2, name: 'f', data: { n: 2 } }]);
  for (let version = 1; version <= 4; version++) memory.write([{ id: 'b', version }]);
  expect(look(memory, 'a')).toEqual({ base: 2, snapshot: 2, versions: [], isOwnershipLost: false });
});

test('it begins where it is told: at a later version, or at a snapshot alone', async () => {
  const memory = await open();
  memory.write([{ version: 6 }], [{ version: 7 }]);
  expect(look(memory, 'a')).toMatchObject({ base: 5, versions: [6, 7] });
  memory.write([{ id: 'b', kind: FrameKind.snapshot, version: 9, name: 'f', data: {} }]);
  expect(look(memory, 'b')).toMatchObject({ base: 9, snapshot: 9, versions: [] });
  memory.write([{ id: 'b', version: 10 }]);
  expect(look(memory, 'b')).toMatchObject({ base: 9, snapshot: 9, versions: [10] });
});

test('what another log has written stays marked', async () => {
  const memory = await open();
  memory.write([{ version: 1 }]);
  memory.sink.loseOwnership([
    { type: 'call', id: 'a' },
    { type: 'call', id: 'nobody' },
  ]);
  memory.write([{ version: 2 }]);
  expect(look(memory, 'a')).toMatchObject({ isOwnershipLost: true });
  expect(look(memory, 'nobody')).toMatchObject({ isOwnershipLost: true });
  expect(memory.reader.head('call', 'a')).toBe(undefined);
});
