import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CHUNK_BYTES_LEAST,
  CHUNK_HEADER_BYTES,
  ChunkBuilder,
  Field,
  framesAreSound,
  type Incarnation,
  parseChunk,
} from '../../src/log/chunk.ts';
import { ChunkChain } from '../../src/log/chunk-chain.ts';
import { writeGroup } from './sample-log.ts';

const identity: Incarnation = { logId: '0123456789abcdef', number: 3, seed: 0xdeadbeef };
const chain = new ChunkChain({
  logId: identity.logId,
  incarnations: [
    { number: 2, seed: 7, fromPosition: 1 },
    { number: 3, seed: 0xdeadbeef, fromPosition: 100 },
    { number: 4, seed: 9, fromPosition: 200 },
  ],
});

function build(firstPosition: number, sizes: number[], previousCrc = 5): Buffer {
  const builder = new ChunkBuilder(identity, previousCrc, 1 << 16, 1 << 16);
  const group = Buffer.alloc(1 << 16);
  builder.begin(firstPosition);
  let position = firstPosition;
  for (const size of sizes) {
    builder.add(group, 0, writeGroup(group, 0, position, size, 1), size);
    position += size;
  }
  return builder.seal(42);
}

describe('chunk', () => {
  test('what is sealed is parsed', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 100, max: 199 }),
        (sizes, firstPosition) => {
          const bytes = build(firstPosition, sizes);
          const chunk = parseChunk(bytes)!;
          const count = sizes.reduce((a, b) => a + b);
          expect(chunk).toMatchObject({ incarnation: 3, firstPosition, count, previousCrc: 5, floor: 42 });
          expect(bytes.length).toBe(Math.max(CHUNK_BYTES_LEAST, CHUNK_HEADER_BYTES + chunk.frameBytes));
          expect(framesAreSound(bytes, chunk)).toBe(true);
          expect(chain.read(bytes)).toEqual(chunk);
        },
      ),
    );
  });

  test('random bytes are refused, never an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4096 }), fc.boolean(), (random, dressed) => {
        const bytes = Buffer.from(random);
        // Half of them with a header that passes the first look.
        if (dressed && bytes.length >= CHUNK_HEADER_BYTES) build(100, [1]).copy(bytes, 0, 0, Field.count);
        expect(parseChunk(bytes)).toBeUndefined();
        expect(chain.read(bytes)).toBeUndefined();
      }),
      { numRuns: 2000 },
    );
  });

  test('every single flipped bit and every truncation is refused', () => {
    const bytes = Buffer.from(build(100, [2, 1]));
    const end = CHUNK_HEADER_BYTES + parseChunk(bytes)!.frameBytes;
    for (let bit = 0; bit < end * 8; bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(chain.read(bytes), `bit ${bit}`).toBeUndefined();
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
    for (let length = 0; length < end; length++) expect(parseChunk(bytes.subarray(0, length))).toBeUndefined();
    expect(parseChunk(bytes.subarray(0, end))).toBeDefined();
  });

  test('chunks are chained by their CRCs; sealing again changes nothing but the floor', () => {
    const builder = new ChunkBuilder(identity, 77, 1 << 16, 1 << 16);
    const group = Buffer.alloc(1 << 16);
    const end = writeGroup(group, 0, 1, 1, 1);
    builder.begin(1);
    builder.add(group, 0, end, 1);
    const first = parseChunk(builder.seal(0))!;
    const again = parseChunk(builder.seal(1))!;
    expect([first.previousCrc, again.previousCrc]).toEqual([77, 77]);
    builder.begin(2);
    expect(builder.frames).toBe(0);
    builder.add(group, 0, end, 1);
    expect(parseChunk(builder.seal(0))!.previousCrc).toBe(again.crc);
  });

  test('a chunk that ended short of the least is padded with zeros, whatever was there before', () => {
    const builder = new ChunkBuilder(identity, 0, 1 << 16, 1 << 16);
    const group = Buffer.alloc(1 << 16, 0xff);
    builder.begin(1);
    builder.add(group, 0, 1 << 15, 1);
    builder.seal(0);
    builder.begin(2);
    builder.add(group, 0, writeGroup(group, 0, 2, 1, 1), 1);
    const bytes = builder.seal(0);
    expect(bytes.length).toBe(CHUNK_BYTES_LEAST);
    expect(bytes.subarray(CHUNK_HEADER_BYTES + builder.bytes).every((byte) => byte === 0)).toBe(true);
  });

  test('a chunk counts only in its own log, incarnation and range of positions', () => {
    expect(chain.read(build(100, [1]))).toBeDefined();
    expect(chain.read(build(99, [1])), 'before its incarnation began').toBeUndefined();
    expect(chain.read(build(199, [1]))).toBeDefined();
    expect(chain.read(build(200, [1])), 'a later incarnation began here').toBeUndefined();
    const incarnations = [{ number: 3, seed: identity.seed, fromPosition: 100 }];
    expect(new ChunkChain({ logId: 'ffffffffffffffff', incarnations }).read(build(100, [1]))).toBeUndefined();
    const reseeded = [{ number: 3, seed: 8, fromPosition: 100 }];
    expect(new ChunkChain({ logId: identity.logId, incarnations: reseeded }).read(build(100, [1]))).toBeUndefined();
  });

  test('frames that do not add up are not sound', () => {
    const good = build(100, [2, 1]);
    const chunk = parseChunk(good)!;
    for (const wrong of [{ count: 2 }, { count: 4 }, { frameBytes: chunk.frameBytes - 8 }, { count: 0 }]) {
      expect(framesAreSound(good, { ...chunk, ...wrong })).toBe(false);
    }
    const open = Buffer.from(good);
    open.writeUInt8(0, CHUNK_HEADER_BYTES + 5);
    expect(framesAreSound(open, chunk), 'only the last flag matters').toBe(true);
  });
});
