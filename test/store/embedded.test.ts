// Events and snapshots in the embedded store: what is written comes back, aggregate by aggregate.
import { mkdirSync } from 'node:fs';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { EmbeddedStore } from '../../src/adapters/lmdb/store/embedded.ts';
import { dataFileOf } from '../../src/adapters/lmdb/store/environment.ts';
import { type EmbeddedReader, openEmbeddedReader } from '../../src/adapters/lmdb/store/reader.ts';
import { EmbeddedSink } from '../../src/adapters/lmdb/store/sink.ts';
import type { LoadedAggregate } from '../../src/store/store.ts';
import { FrameKind, type FrameReader } from '../../src/wire/frame.ts';
import { newId } from '../../src/wire/ids.ts';
import { batchOf, type Group, temporaryFolder } from './sample.ts';

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

/** One reader is moved along the frames: take what is wanted from each. */
function framesOf<T>(loaded: LoadedAggregate, take: (frame: FrameReader) => T): T[] {
  const taken: T[] = [];
  for (const frame of loaded.frames) taken.push(take(frame));
  return taken;
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

describe('load', () => {
  test('an aggregate that nobody knows is undefined', () => {
    expect(reader.load('call', 'a', 'f')).toBeUndefined();
    expect(reader.head('call', 'a')).toBeUndefined();
    write([{ version: 1 }]);
    expect(reader.load('call', 'b', 'f')).toBeUndefined();
    expect(reader.load('cal', 'la', 'f')).toBeUndefined();
  });

  test('events of one aggregate over many batches and blocks, among others', () => {
    for (let version = 1; version <= 200; version++) {
      const group = Array.from({ length: 40 }, (_, i) => ({ id: `other-${i}`, version }));
      write([{ version }], ...group.map((frame) => [frame]));
    }
    expect(versionsOf('a')).toEqual(upTo(200));
    expect(versionsOf('other-39')).toEqual(upTo(200));
    expect(reader.head('call', 'a')).toEqual({ version: 200, position: 199 * 41 + 1 });
    expect(reader.load('call', 'a', 'f')!.lastPosition).toBe(199 * 41 + 1);
    expect(reader.checkpoint()).toBe(200 * 41);
  });

  test('an event larger than a block has one of its own', () => {
    const large = { text: 'x'.repeat(100_000) };
    write([{ version: 1 }], [{ version: 2, data: large }], [{ version: 3 }]);
    write([{ version: 4, data: large }]);
    const data = framesOf(reader.load('call', 'a', 'f')!, (frame) => frame.dataJson.length);
    expect(data).toEqual([13, 100_011, 13, 100_011]);
  });

  test('ids of any text, apart from each other and from the type', () => {
    const ids = ['', 'ä', '日本', 'a\u0001b', "o'hara", 'x'.repeat(255)].slice(1);
    write(...ids.map((id) => [{ id, version: 1 }]));
    write([{ aggregate: 'callä', id: 'x', version: 1 }], [{ aggregate: 'call', id: 'äx', version: 1 }]);
    for (const id of ids) expect(versionsOf(id)).toEqual([1]);
    expect(reader.head('callä', 'x')).toEqual({ version: 1, position: 6 });
    expect(reader.head('call', 'äx')).toEqual({ version: 1, position: 7 });
  });

  test('sees what was committed since, without an event loop in between', () => {
    write([{ version: 1 }]);
    expect(versionsOf('a')).toEqual([1]);
    write([{ version: 2 }]);
    expect(versionsOf('a')).toEqual([1, 2]);
    expect(reader.checkpoint()).toBe(2);
  });
});

describe('snapshots', () => {
  const snapshot = (version: number, name = 'f') => ({
    kind: FrameKind.snapshot,
    version,
    name,
    data: { total: version },
  });

  test('the newest one, and the events after it', () => {
    write([{ version: 1 }, { version: 2 }, snapshot(2)]);
    write([{ version: 3 }, snapshot(3)], [{ version: 4 }]);
    write([{ version: 5 }]);
    const loaded = reader.load('call', 'a', 'f')!;
    expect(loaded.snapshot).toEqual({ version: 3, fingerprint: 'f', stateJson: '{"total":3}' });
    expect(framesOf(loaded, (frame) => frame.version)).toEqual([4, 5]);
    expect(loaded).toMatchObject({ version: 5, lastPosition: 7, eventCount: 2 });
  });

  test('one with another fingerprint is left aside', () => {
    write([{ version: 1 }, snapshot(1, 'old')], [{ version: 2 }]);
    expect(reader.load('call', 'a', 'f')!.snapshot).toBeUndefined();
    expect(versionsOf('a')).toEqual([1, 2]);
  });

  test('one of a version that the events have not come to is refused', () => {
    expect(() => write([{ version: 1 }, snapshot(2)])).toThrow(/version 2 at position 2/);
  });
});

describe('what is written', () => {
  test('a batch that comes again changes nothing; one that overlaps adds what is new', () => {
    write([{ version: 1 }], [{ version: 2 }]);
    sink.write(batchOf(1, [[{ version: 1 }], [{ version: 2 }]]));
    expect(versionsOf('a')).toEqual([1, 2]);
    sink.write(batchOf(2, [[{ version: 2 }], [{ version: 3 }]]));
    expect(versionsOf('a')).toEqual([1, 2, 3]);
    expect(reader.checkpoint()).toBe(3);
  });

  test.each([
    ['a gap', 3, 2],
    ['a duplicate', 1, 2],
    ['a first version that is not 1', 2, 1],
  ])(
    '%s is refused by name, with nothing changed, and what is right goes on',
    (what, foundVersion, expectedVersion) => {
      if (expectedVersion === 2) write([{ version: 1 }]);
      const position = next + 1;
      const good = { id: 'good', version: 1 };
      expect(() => sink.write(batchOf(next, [[good], [{ version: foundVersion }]])), what).toThrow(
        expect.objectContaining({
          code: 'VersionOutOfOrder',
          details: { aggregateType: 'call', aggregateId: 'a', expectedVersion, foundVersion, position },
        }),
      );
      expect(reader.checkpoint()).toBe(next - 1);
      expect(reader.head('call', 'good')).toBeUndefined();
      write([good], [{ version: expectedVersion }]);
      expect(versionsOf('a')).toEqual(upTo(expectedVersion));
      expect(versionsOf('good')).toEqual([1]);
    },
  );

  test('a hole before the batch is refused', () => {
    write([{ version: 1 }]);
    expect(() => sink.write(batchOf(3, [[{ version: 2 }]]))).toThrow(
      expect.objectContaining({ code: 'PositionGone', details: { position: 2, firstKept: 3 } }),
    );
  });

  test('messages take positions and are not kept', () => {
    write([{ version: 1 }, { kind: FrameKind.message, version: 1, name: 'notify' }], [{ version: 2 }]);
    expect(versionsOf('a')).toEqual([1, 2]);
    expect(reader.load('call', 'a', 'f')!.lastPosition).toBe(3);
  });

  test('more aggregates than the writer remembers', () => {
    const ids = Array.from({ length: 60_000 }, () => newId());
    for (let version = 1; version <= 2; version++) {
      for (let i = 0; i < ids.length; i += 20_000) write(...ids.slice(i, i + 20_000).map((id) => [{ id, version }]));
    }
    for (const id of [ids[0]!, ids[20_000]!, ids[59_999]!]) expect(versionsOf(id)).toEqual([1, 2]);
  });
});

test('a file that cannot be opened is a typed error', () => {
  const folder = temporaryFolder(onTestFinished);
  mkdirSync(dataFileOf(folder));
  expect(() => EmbeddedStore.open(folder)).toThrow(expect.objectContaining({ code: 'StoreDamaged' }));
});
