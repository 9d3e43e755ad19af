// The frame: what is written comes back, for any text; what is not a frame is not taken for one.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AGGREGATE_ID_BYTES_LIMIT } from '../src/base/name-limits.ts';
import {
  alignUp,
  FRAME_HEADER_BYTES,
  FrameFlag,
  FrameKind,
  FrameReader,
  FrameWriter,
  frameBytesBound,
  frameBytesExact,
} from '../src/wire/frame.ts';
import { idToText, isUuid, writeNewId } from '../src/wire/ids.ts';

interface Fields {
  kind: FrameKind;
  schemaVersion: number;
  occurredAt: number;
  version: number;
  type: string;
  id: string;
  name: string;
  metadata: string;
  data: string;
}

// Every length in UTF-8, one to four bytes a character, empty included; bounded as the edge bounds them.
const text = (maxBytes: number): fc.Arbitrary<string> =>
  fc.oneof(
    fc.string({ unit: 'binary', maxLength: Math.floor(maxBytes / 4) }).map((value) => value.toWellFormed()),
    fc
      .array(fc.constantFrom('a', 'é', '漢', '😀', '\0'), { maxLength: Math.floor(maxBytes / 4) })
      .map((c) => c.join('')),
    fc.constant(''),
    fc.integer({ min: 0, max: maxBytes }).map((length) => 'x'.repeat(length)),
  );

const fields: fc.Arbitrary<Fields> = fc.record({
  kind: fc.constantFrom(...Object.values(FrameKind)),
  schemaVersion: fc.integer({ min: 0, max: 65_535 }),
  occurredAt: fc.oneof(fc.integer(), fc.double({ noNaN: true })),
  version: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  type: text(100),
  id: text(AGGREGATE_ID_BYTES_LIMIT),
  name: text(255),
  metadata: text(2_000),
  data: text(20_000),
});

function write(writer: FrameWriter, offset: number, f: Fields): number {
  return writer.write(
    offset,
    f.kind,
    f.schemaVersion,
    f.occurredAt,
    f.version,
    f.type,
    f.id,
    f.name,
    f.metadata,
    f.data,
  );
}

const plain: Fields = {
  kind: FrameKind.event,
  schemaVersion: 1,
  occurredAt: 0,
  version: 1,
  type: 't',
  id: 'i',
  name: 'n',
  metadata: '',
  data: 'null',
};

function read(frame: FrameReader): Fields {
  return {
    kind: frame.kind,
    schemaVersion: frame.schemaVersion,
    occurredAt: frame.occurredAt,
    version: frame.version,
    type: frame.aggregateType,
    id: frame.aggregateId,
    name: frame.name,
    metadata: frame.metadataJson,
    data: frame.dataJson,
  };
}

describe('a frame', () => {
  test('comes back as it was written, one behind the other, in memory that was used before', () => {
    fc.assert(
      fc.property(fc.array(fields, { minLength: 1, maxLength: 4 }), fc.integer({ min: 0, max: 8 }), (list, shift) => {
        const bytes = Buffer.alloc(200_000, 0xff);
        const writer = new FrameWriter(bytes);
        const ids: string[] = [];
        let offset = shift * 8;
        for (const one of list) {
          const length = write(writer, offset, one);
          writeNewId(bytes, offset + 16, Date.now());
          ids.push(idToText(bytes, offset + 16));
          const exact = frameBytesExact(one.type, one.id, one.name, one.metadata, one.data);
          expect(alignUp(length)).toBe(exact);
          expect(frameBytesBound(one.type, one.id, one.name, one.metadata, one.data)).toBeGreaterThanOrEqual(exact);
          for (let i = offset + length; i < offset + exact; i++) expect(bytes[i]).toBe(0);
          expect(bytes[offset + exact]).toBe(0xff);
          offset += exact;
        }
        const frame = new FrameReader(bytes).at(shift * 8);
        for (const [i, one] of list.entries()) {
          expect(frame.isSound(bytes.length)).toBe(true);
          expect(frame.isSound(frame.offset + frame.length)).toBe(true);
          expect(frame.isSound(frame.offset + frame.length - 1)).toBe(false);
          expect(read(frame)).toEqual(one);
          expect(frame.id).toBe(ids[i]);
          expect(isUuid(frame.id)).toBe(true);
          expect(frame.flags).toBe(0);
          frame.at(frame.next);
        }
        expect(frame.offset).toBe(offset);
      }),
      { numRuns: 300 },
    );
  });

  test('is read with its own names, whatever names the same reader has read before', () => {
    const bytes = Buffer.alloc(8192, 0xff);
    const writer = new FrameWriter(bytes);
    // Bytes of the one are the character codes of the other, and names of one length that differ in a character.
    const names = ['é', 'Ã©', 'é', '漢', 'æ¼¢', '漢', 'Added', 'Adder', 'Added', '', 'A', '', 'é'];
    const offsets = names.map((name, i) => {
      write(writer, i * 128, { ...plain, type: name, name: names[(i * 5) % names.length]! });
      return i * 128;
    });
    const frame = new FrameReader(bytes);
    for (const order of [offsets, offsets.toReversed(), offsets.concat(offsets)]) {
      const found = order.map((offset) => [frame.at(offset).aggregateType, frame.name]);
      expect(found).toEqual(order.map((offset) => [names[offset / 128], names[((offset / 128) * 5) % names.length]]));
    }
  });

  test('keeps its flags apart from its other fields', () => {
    const bytes = Buffer.alloc(256, 0xff);
    const writer = new FrameWriter(bytes);
    const one = { kind: FrameKind.receipt, schemaVersion: 65_535, occurredAt: -0.5, version: 2 ** 32 - 1 };
    const whole: Fields = { ...one, type: 't', id: 'i', name: 'n', metadata: '', data: 'null' };
    write(writer, 8, whole);
    const frame = new FrameReader(bytes).at(8);
    expect(frame.isLast).toBe(false);
    writer.addFlags(8, FrameFlag.last);
    writer.addFlags(8, FrameFlag.encrypted);
    expect(frame.flags).toBe(FrameFlag.last | FrameFlag.encrypted);
    expect(frame.isLast).toBe(true);
    expect(read(frame)).toEqual(whole);
  });

  test('at the bound of every length field', () => {
    const whole: Fields = {
      kind: FrameKind.event,
      schemaVersion: 1,
      occurredAt: 0,
      version: 1,
      type: 'é'.repeat(50),
      id: '漢'.repeat(85),
      name: 'n'.repeat(255),
      metadata: '"'.repeat(70_000),
      data: '😀'.repeat(70_000),
    };
    const bytes = Buffer.alloc(400_000);
    write(new FrameWriter(bytes), 0, whole);
    expect(read(new FrameReader(bytes))).toEqual(whole);
  });
});

describe('isSound', () => {
  test('is never true of bytes whose lengths disagree', () => {
    const wild = fc.uint8Array({ minLength: 0, maxLength: 300 });
    fc.assert(
      fc.property(wild, fc.nat(40), fc.nat(300), (raw, offset, limit) => {
        const bytes = Buffer.from(raw);
        const end = Math.min(limit, bytes.length);
        const frame = new FrameReader(bytes).at(offset);
        if (offset + FRAME_HEADER_BYTES > end) {
          expect(frame.isSound(end)).toBe(false);
          return;
        }
        const sum =
          FRAME_HEADER_BYTES +
          bytes.readUInt16LE(offset + 36) +
          bytes.readUInt16LE(offset + 38) +
          bytes.readUInt16LE(offset + 40) +
          bytes.readUInt32LE(offset + 44) +
          bytes.readUInt32LE(offset + 48);
        const length = bytes.readUInt32LE(offset);
        expect(frame.isSound(end)).toBe(length === sum && offset + length <= end);
      }),
      { numRuns: 2000 },
    );
  });

  test('is false once any one length has changed', () => {
    const bytes = Buffer.alloc(512);
    const change = fc.record({ at: fc.constantFrom(0, 36, 38, 40, 44, 48), by: fc.integer({ min: 1, max: 65_535 }) });
    fc.assert(
      fc.property(fields, change, (one, { at, by }) => {
        const small = { ...one, id: one.id.slice(0, 20), name: '', metadata: '', data: '{}', type: 't' };
        write(new FrameWriter(bytes), 0, small);
        bytes.writeUInt16LE((bytes.readUInt16LE(at) + by) & 0xffff, at);
        expect(new FrameReader(bytes).isSound(bytes.length)).toBe(false);
      }),
    );
  });
});

test('a name or number beyond two bytes is refused before the frame is whole, and never read as another', () => {
  const writer = new FrameWriter(Buffer.alloc(200_000));
  const good: Fields = { ...plain, data: '{}' };
  const most = 'x'.repeat(65_535);
  for (const field of ['type', 'id', 'name'] as const) {
    write(writer, 0, { ...good, [field]: most });
    expect(new FrameReader(writer.bytes).at(0).isSound(200_000), field).toBe(true);
    for (const length of [65_536, 65_543]) {
      const refused = expect.objectContaining({ code: 'InvalidId', details: expect.objectContaining({ length }) });
      expect(() => write(writer, 0, { ...good, [field]: 'x'.repeat(length) }), field).toThrow(refused);
    }
  }
  for (const schemaVersion of [65_536, 65_537, -1]) {
    const refused = expect.objectContaining({ code: 'InvalidId' });
    expect(() => write(writer, 0, { ...good, schemaVersion }), String(schemaVersion)).toThrow(refused);
  }
});

/** Buffer's own methods refuse a number that does not fit; a DataView and a shift cut it, in silence. */
const cutting = {
  'wire/frame.ts': ['kind | (schemaVersion << 16)', 'typeLength | (idLength << 16)'], // behind checkTwoBytes
  'adapters/postgres/rows/rows.ts': [
    'setInt16(this.end, columnCount)', // constants
    'setInt16(this.end, -1)',
    'FrameKind.event | (schemaVersion << 16)', // behind checkTwoBytes
    'typeLength | (idLength << 16)',
  ],
};

test('nothing else writes two bytes that are cut', () => {
  const folder = fileURLToPath(new URL('../src', import.meta.url));
  const found: Record<string, string[]> = {};
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts')) continue;
    const writes = readFileSync(join(folder, file), 'utf8').match(
      /[\w.]+ \| \(\w+ << 16\)|setU?[Ii]nt(?:16|8)\([^)]*\)/g,
    );
    if (writes !== null) found[file] = writes;
  }
  expect(found).toEqual(cutting);
});
