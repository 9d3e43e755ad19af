// Random bytes into each decoder: refused or read, never a crash, a hang, or a step outside of what was given.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { MalformedSip } from '../../examples/call-routing/sip/malformed.ts';
import { parseMessage } from '../../examples/call-routing/sip/parse.ts';
import { positionIn, readNote } from '../../src/adapters/kafka/checkpoint.ts';
import { Block } from '../../src/adapters/lmdb/store/block.ts';
import { readArchive } from '../../src/adapters/postgres/partitions/archive-file.ts';
import { writeArchive } from '../../src/adapters/postgres/partitions/archive-writing.ts';
import { readToken, tokenText } from '../../src/adapters/postgres/tail/tail-token.ts';
import { TrunklineError } from '../../src/index.ts';
import { CHUNK_HEADER_BYTES, ChunkBuilder, Field, framesAreSound, parseChunk } from '../../src/log/chunk.ts';
import { ChunkChain } from '../../src/log/chunk-chain.ts';
import { readFloor } from '../../src/log/floor.ts';
import { dataFileOf } from '../../src/log/layout.ts';
import { PageFile } from '../../src/log/pages.ts';
import { readMarker } from '../../src/log/run-manifest.ts';
import { scanFile } from '../../src/log/scan.ts';
import { Signer, secretFile } from '../../src/log/secret.ts';
import { readTree } from '../../src/log/tree.ts';
import { decodeEvent } from '../../src/model/event.ts';
import { FRAME_HEADER_BYTES, FrameReader } from '../../src/wire/frame.ts';

const folder = mkdtempSync(join(tmpdir(), 'trunkline-decoders-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const runs = { numRuns: Number(process.env.TRUNKLINE_RUNS ?? 300) };

const anyBytes = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes));

test('frames: what says that it is sound stays within its bytes', () => {
  fc.assert(
    fc.property(anyBytes(200), fc.boolean(), (bytes, isHonestAboutItsLength) => {
      if (isHonestAboutItsLength && bytes.length >= 4) bytes.writeUInt32LE(bytes.length, 0);
      const frame = new FrameReader(bytes);
      if (!frame.isSound(bytes.length)) return;
      expect(frame.length).toBeLessThanOrEqual(bytes.length);
      expect(frame.aggregateType.length + frame.aggregateId.length).toBeLessThanOrEqual(bytes.length);
      expect(() => decodeEvent(frame, 1)).not.toThrow();
    }),
    runs,
  );
});

test('chunks: random bytes are none, and one that bears a right sum over nonsense holds no frames', () => {
  const header = Buffer.from(new ChunkBuilder({ logId: '00'.repeat(8), number: 1, seed: 7 }, 0, 4096, 4096).seal(1));
  fc.assert(
    fc.property(anyBytes(400), fc.nat(20), (frames, count) => {
      expect(parseChunk(frames)).toBeUndefined();
      const bytes = Buffer.concat([header.subarray(0, CHUNK_HEADER_BYTES), frames]);
      bytes.writeDoubleLE(1, Field.firstPosition);
      bytes.writeUInt32LE(count, Field.count);
      bytes.writeUInt32LE(frames.length, Field.bytes);
      bytes.writeUInt32LE(crc32(frames, crc32(bytes.subarray(0, Field.crc), 7)), Field.crc);
      const chunk = parseChunk(bytes);
      if (!chunk) expect(count * FRAME_HEADER_BYTES).toBeGreaterThan(frames.length);
      else expect(typeof framesAreSound(bytes, chunk)).toBe('boolean');
    }),
    runs,
  );
});

test('data files: pages of anything are refused by the tree and passed over by the scan', () => {
  const chain = new ChunkChain({ logId: '00'.repeat(8), incarnations: [{ number: 1, seed: 7, fromPosition: 1 }] });
  fc.assert(
    fc.property(anyBytes(4096), fc.integer({ min: 0, max: 5 }), (bytes, pages) => {
      writeFileSync(
        dataFileOf(folder),
        Buffer.concat([...Array.from({ length: pages }, () => Buffer.alloc(4096)), bytes]),
      );
      const file = new PageFile(dataFileOf(folder));
      try {
        expect(typeof readTree(file)).toBe('string');
        expect(scanFile(file, chain).whole).toEqual([]);
      } finally {
        file.close();
      }
    }),
    runs,
  );
});

test('the marker: any text is refused by name, or is a marker', () => {
  const text = fc.oneof(anyBytes(300), fc.json().map(Buffer.from), fc.constant(Buffer.from('{"format":1}')));
  fc.assert(
    fc.property(text, (bytes) => {
      writeFileSync(join(folder, 'log.json'), bytes);
      try {
        expect(readMarker(folder)).toMatchObject({ format: 1 });
      } catch (error) {
        expect(error).toBeInstanceOf(TrunklineError);
      }
    }),
    runs,
  );
});

test('the floor: random bytes are no floor', () => {
  fc.assert(
    fc.property(anyBytes(600), (bytes) => {
      writeFileSync(join(folder, 'floor'), bytes);
      expect(readFloor(folder)).toBe(0);
    }),
    runs,
  );
});

test('blocks of the store: random bytes are not intact', () => {
  fc.assert(
    fc.property(anyBytes(300), fc.nat(), (bytes, key) => {
      const block = new Block();
      if (block.over(key, bytes)) expect(block.isIntact()).toBe(false);
    }),
    runs,
  );
});

const anyText = fc.oneof(
  fc.string({ maxLength: 80 }),
  fc.json(),
  fc.constantFrom('{"position":1}', '{"position":-1}', '{"position":"1"}', 'null', ''),
);

test('checkpoints of a stream, and the note of one: a position, or none; never a wrong number', () => {
  const file = join(folder, 'published-kafka.json');
  const note = fc
    .record({ logId: fc.constantFrom('a', 'b', 7), position: fc.nat(20) })
    .map((one) => JSON.stringify(one));
  fc.assert(
    fc.property(fc.oneof(anyText, note), (text) => {
      const position = positionIn(text);
      if (position !== undefined) expect(JSON.parse(text).position).toBe(position);
      writeFileSync(file, text);
      try {
        expect(readNote(file, 'a', 10)).toBe(position);
        expect([position! <= 10, JSON.parse(text).logId]).toEqual([true, 'a']);
      } catch (error) {
        const isOurs = position !== undefined && position <= 10 && JSON.parse(text).logId === 'a';
        expect(isOurs).toBe(false);
        expect((error as TrunklineError).code).toBe(position === undefined ? 'DataDirUnreadable' : 'LogDamaged');
      }
    }),
    runs,
  );
});

test('a note that cannot be read is not taken for none', () => {
  expect(readNote(join(folder, 'nobody'), 'a', 10)).toBeUndefined();
  expect(() => readNote(folder, 'a', 10)).toThrow('is a folder, and a file is expected');
});

test('the secret of a log: whatever else stands in its file, nothing is signed', () => {
  const file = secretFile(folder);
  const near = fc.record({
    logId: fc.constantFrom('a', 'b'),
    secret: fc.oneof(fc.stringMatching(/^[0-9a-fA-F]{62,66}$/), fc.nat()),
  });
  fc.assert(
    fc.property(
      fc.oneof(
        anyText,
        near.map((one) => JSON.stringify(one)),
      ),
      (text) => {
        writeFileSync(file, text);
        const { logId, secret } = (() => {
          try {
            return Object(JSON.parse(text)) as { logId?: unknown; secret?: unknown };
          } catch {
            return {};
          }
        })();
        try {
          expect(Signer.open(folder, 'a').sign(['x'])).toMatch(/^[\w-]{43}$/);
          expect([logId, String(secret).length]).toEqual(['a', 64]);
        } catch (error) {
          expect(logId === 'a' && /^[0-9a-f]{64}$/.test(String(secret))).toBe(false);
          expect((error as TrunklineError).code).toBe('DataDirUnreadable');
        }
      },
    ),
    runs,
  );
});

test('tokens of a tail: any text is one, or refused by name', () => {
  const text = fc.oneof(anyText, fc.stringMatching(/^1;\d+:\d+:[\d,]*;(\d+:\d+:)?;-?\d+$/));
  fc.assert(
    fc.property(text, (token) => {
      try {
        const read = readToken(token);
        expect(readToken(tokenText(read))).toEqual(read);
      } catch (error) {
        expect((error as TrunklineError).code).toBe('InvalidOptions');
      }
    }),
    runs,
  );
});

test('archives: whatever one byte of them becomes, and wherever they are cut, ArchiveDamaged or the same events', async () => {
  const [whole, hurt] = [join(folder, 'whole.zst'), join(folder, 'hurt.zst')];
  const rows = Array.from({ length: 20 }, (_, i) => {
    const row = {
      id: `e${i}`,
      aggregate_type: 'a',
      aggregate_id: 'b',
      version: i + 1,
      event_type: 'T',
      sequence: i + 1,
    };
    return Buffer.from(`${JSON.stringify({ ...row, schema_version: 1, occurred_at: '2026-01-01', data: { i } })}\n`);
  });
  async function* chunks(): AsyncGenerator<Buffer> {
    yield* rows;
  }
  await writeArchive(whole, chunks());
  const bytes = readFileSync(whole);
  const read = async (file: string): Promise<string> => {
    const events: unknown[] = [];
    for await (const event of readArchive(file)) events.push(event);
    return JSON.stringify(events);
  };
  const expected = await read(whole);
  const damage = fc.oneof(
    fc.record({ at: fc.nat(bytes.length - 1), xor: fc.integer({ min: 1, max: 255 }) }),
    fc.record({ cut: fc.nat(bytes.length - 1) }),
  );
  await fc.assert(
    fc.asyncProperty(damage, async (how) => {
      const copy = Buffer.from(bytes);
      if ('at' in how) copy[how.at]! ^= how.xor;
      writeFileSync(hurt, 'cut' in how ? copy.subarray(0, how.cut) : copy);
      try {
        expect(await read(hurt)).toBe(expected);
      } catch (error) {
        expect((error as TrunklineError).code).toBe('ArchiveDamaged');
      }
    }),
    runs,
  );
});

test('SIP: any datagram is a message or malformed', () => {
  const pieces = fc.constantFrom(
    'INVITE sip:a@b SIP/2.0',
    '\r\n',
    'Via: SIP/2.0/UDP a;branch=z9hG4bK1',
    'CSeq: 1 INVITE',
    '\r\n\r\n',
    ';',
    '<',
  );
  const datagram = fc.oneof(
    anyBytes(500),
    fc
      .array(fc.oneof(pieces, fc.string({ maxLength: 8 })), { maxLength: 30 })
      .map((parts) => Buffer.from(parts.join(''))),
  );
  fc.assert(
    fc.property(datagram, (bytes) => {
      try {
        parseMessage(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(MalformedSip);
      }
    }),
    runs,
  );
});
