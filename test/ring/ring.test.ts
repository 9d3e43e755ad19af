// The ring against a plain queue: what goes in comes out, whole and in order, wherever the counters stand.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isPowerOfTwo } from '../../src/base/bytes.ts';
import { isError } from '../../src/base/errors.ts';
import { RingConsumer } from '../../src/shared/ring/consumer.ts';
import { type Group, StagedGroup } from '../../src/shared/ring/group.ts';
import { RingProducer } from '../../src/shared/ring/producer.ts';
import { createRing, GROUP_HEADER_BYTES, GroupKind, RingMemory, Word } from '../../src/shared/ring/ring.ts';
import { FrameKind, FrameReader } from '../../src/wire/frame.ts';
import { writeNewId } from '../../src/wire/ids.ts';

const capacity = 4096;
const half = capacity / 2;

/** A ring whose counters begin where a long life would have brought them. */
function ringAt(counter: number): SharedArrayBuffer {
  const memory = createRing(capacity);
  const { words } = new RingMemory(memory);
  for (const word of [Word.head, Word.written, Word.tail]) words[word] = counter;
  return memory;
}

const starts = fc.oneof(
  fc.constantFrom(0, 2 ** 31 - 8, 2 ** 31 - capacity, 2 ** 32 - 8, 2 ** 32 - capacity - 8, 2 ** 31, capacity - 8),
  fc.integer({ min: 0, max: 2 ** 29 - 1 }).map((eighth) => eighth * 8),
);

interface Sent {
  slot: number;
  version: number;
  flags: number;
  frames: { id: string; data: string }[];
  reply: string;
}

function fill(group: Group, sent: Pick<Sent, 'frames'>): void {
  for (const [i, { id, data }] of sent.frames.entries()) {
    const offset = group.frame(FrameKind.event, 1, i, i + 1, 'call', id, 'CallRouted', '', data);
    writeNewId(group.frames.bytes, offset + 16, Date.now());
  }
}

function received(ring: RingConsumer): Sent {
  const frame = new FrameReader(ring.bytes).at(ring.framesStart);
  const frames: Sent['frames'] = [];
  for (let i = 0; i < ring.frameCount; i++) {
    expect(frame.isSound(ring.replyStart)).toBe(true);
    expect(frame.isLast).toBe(i === ring.frameCount - 1);
    expect(frame.version).toBe(i + 1);
    frames.push({ id: frame.aggregateId, data: frame.dataJson });
    frame.at(frame.next);
  }
  expect(frame.offset).toBe(ring.replyStart);
  const reply = ring.bytes.toString('utf8', ring.replyStart, ring.replyStart + ring.replyBytes);
  return { slot: ring.slot, version: ring.version, flags: ring.flags, frames, reply };
}

const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const sent = fc.record({
  slot: u32,
  version: u32,
  flags: fc.integer({ min: 0, max: 255 }),
  frames: fc.array(
    fc.record({
      id: fc.string({ unit: 'grapheme', maxLength: 20 }),
      data: fc.oneof(
        fc.string({ unit: 'grapheme', maxLength: 60 }),
        fc.nat(1500).map((length) => 'd'.repeat(length)),
      ),
    }),
    { maxLength: 4 },
  ),
  reply: fc.oneof(
    fc.constant(''),
    fc.json({ maxDepth: 1 }),
    fc.nat(1900).map((length) => 'r'.repeat(length)),
  ),
});
type Step = { do: 'send' | 'stage' | 'abandon' | 'log' | 'release'; what: Sent; count: number };
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    do: fc.constantFrom('send', 'send', 'send', 'stage', 'abandon', 'log', 'release'),
    what: sent,
    count: fc.integer({ min: 1, max: 6 }),
  }),
  { maxLength: 60 },
);

test('the ring is a queue: groups come out whole, in order, logged before released', () => {
  fc.assert(
    fc.property(starts, steps, (start, todo) => {
      const memory = ringAt(start);
      const { words } = new RingMemory(memory);
      let fulls = 0;
      const producer = new RingProducer(memory, () => {
        fulls++;
        return false;
      });
      const log = new RingConsumer(memory);
      const last = new RingConsumer(memory);
      const stage = new StagedGroup(half);
      const unlogged: { what: Sent; bytes: number }[] = [];
      const unreleased: { what: Sent; position: number; bytes: number }[] = [];
      let position = 1;
      let used = 0; // bytes between tail and head, as the model has them

      const send = (what: Sent, staged: boolean): void => {
        const head = words[Word.head];
        const bytesBefore = producer.published;
        fulls = 0;
        try {
          if (staged) {
            fill(stage, what);
            producer.copyFrom(stage);
            stage.clear();
          } else fill(producer, what);
          producer.publish(GroupKind.reply, what.flags, what.slot, what.version, what.reply);
        } catch (error) {
          expect(isError(error, 'RingFull') || isError(error, 'CommandTooLarge')).toBe(true);
          if (isError(error, 'RingFull')) expect(fulls).toBe(1);
          stage.clear();
          producer.abandon();
          expect(words[Word.head]).toBe(head);
          return;
        }
        const bytes = producer.published - bytesBefore;
        expect(bytes % 8).toBe(0);
        expect(bytes).toBeLessThanOrEqual(half);
        used += bytes;
        expect(used).toBeLessThanOrEqual(capacity);
        unlogged.push({ what, bytes });
      };

      for (const step of todo) {
        if (step.do === 'send' || step.do === 'stage') send(step.what, step.do === 'stage');
        else if (step.do === 'abandon') {
          const head = words[Word.head];
          try {
            fill(producer, step.what);
          } catch {}
          producer.abandon();
          expect(words[Word.head]).toBe(head);
          expect(producer.isEmpty).toBe(true);
        } else if (step.do === 'log') {
          const limit = log.published();
          for (let i = 0; i < step.count; i++) {
            const next = unlogged[0];
            if (!log.take(limit)) {
              expect(next).toBeUndefined();
              break;
            }
            expect(received(log)).toEqual(next!.what);
            expect(log.groupBytes).toBe(next!.bytes);
            log.firstPosition = position;
            unreleased.push({ ...next!, position });
            position += log.frameCount;
            unlogged.shift();
          }
          log.publishWritten();
          expect(producer.published - producer.writtenBytes()).toBe(
            unlogged.reduce((sum, { bytes }) => sum + bytes, 0),
          );
        } else {
          const limit = last.written();
          for (let i = 0; i < step.count; i++) {
            const next = unreleased[0];
            if (!last.take(limit)) {
              expect(next).toBeUndefined();
              break;
            }
            last.untake();
            expect(last.take(limit)).toBe(true);
            expect(received(last)).toEqual(next!.what);
            expect(last.firstPosition).toBe(next!.position);
            unreleased.shift();
            used -= next!.bytes;
          }
          last.release();
          expect(producer.tail()).toBe(last.cursor);
        }
      }
    }),
    { numRuns: 400 },
  );
});

/** A group of exactly `bytes`: one frame without a reply. */
function exactly(group: Group, bytes: number): void {
  const dataLength = bytes - GROUP_HEADER_BYTES - 52 - 'call'.length - 'c'.length - 'E'.length;
  group.frame(FrameKind.event, 1, 0, 1, 'call', 'c', 'E', '', 'd'.repeat(dataLength));
}

describe.each([0, 2 ** 31 - 104, 2 ** 32 - 8])('counters that begin at %d', (start) => {
  test('half the capacity is accepted, one byte more is CommandTooLarge, and nothing of it is claimed', () => {
    const memory = ringAt(start);
    const producer = new RingProducer(memory, () => false);
    const consumer = new RingConsumer(memory);
    expect(() => exactly(producer, half + 1)).toThrow(
      expect.objectContaining({ code: 'CommandTooLarge', details: { bytes: half + 8, limit: half } }),
    );
    producer.abandon();
    expect(consumer.take(consumer.published())).toBe(false);
    exactly(producer, half);
    producer.publish(GroupKind.reply, 0, 7, 1, '');
    expect(consumer.take(consumer.published())).toBe(true);
    expect([consumer.groupBytes, consumer.slot]).toEqual([half, 7]);
  });

  test('a reply counts towards the bound', () => {
    const producer = new RingProducer(ringAt(start), () => false);
    exactly(producer, half - 8);
    expect(() => producer.publish(GroupKind.reply, 0, 0, 1, 'a reply of more than eight bytes')).toThrow(
      expect.objectContaining({ code: 'CommandTooLarge' }),
    );
    producer.abandon();
    exactly(producer, half - 8);
    producer.publish(GroupKind.reply, 0, 0, 1, '12345678');
    expect(producer.published).toBe(half);
  });

  test('two halves fill it; a third is RingFull until room is given back, and says so once per look', () => {
    const memory = ringAt(start);
    let looks = 0;
    const producer = new RingProducer(memory, () => {
      looks++;
      if (looks < 3) return true;
      if (looks > 3) return false;
      consumer.take(consumer.published());
      consumer.release();
      return true;
    });
    const consumer = new RingConsumer(memory);
    for (let i = 0; i < 2; i++) {
      exactly(producer, half);
      producer.publish(GroupKind.reply, 0, i, 1, '');
    }
    expect(looks).toBe(0);
    exactly(producer, half);
    expect(looks).toBe(3);
    producer.publish(GroupKind.reply, 0, 2, 1, '');
    expect(() => exactly(producer, half)).toThrow(expect.objectContaining({ code: 'RingFull' }));
    producer.abandon();
    expect(producer.hasRoom(8)).toBe(false);
    const slots: number[] = [];
    while (consumer.take(consumer.published())) slots.push(consumer.slot);
    expect(slots).toEqual([1, 2]);
    consumer.release();
    expect(producer.hasRoom(half)).toBe(true);
  });

  test('a group that would cross the end runs on into the spare half, unbroken', () => {
    const memory = ringAt(start);
    const producer = new RingProducer(memory, () => false);
    const consumer = new RingConsumer(memory);
    const sizes = [half, 1000, half, 904, 1608, half];
    let crossed = 0;
    for (let round = 0; round < 50; round++) {
      const size = sizes[round % sizes.length]!;
      exactly(producer, size);
      producer.publish(GroupKind.reply, 0, round, 1, '');
      expect(consumer.take(consumer.published())).toBe(true);
      if (consumer.at + size > capacity) crossed++;
      const [one] = received(consumer).frames;
      expect(one!.data).toBe('d'.repeat(one!.data.length));
      expect([consumer.slot, consumer.groupBytes]).toEqual([round, size]);
      consumer.release();
    }
    expect(crossed).toBeGreaterThan(5);
  });

  test('the reader for the last one sees only what is in the log', () => {
    const memory = ringAt(start);
    const producer = new RingProducer(memory, () => false);
    const log = new RingConsumer(memory);
    const last = new RingConsumer(memory);
    exactly(producer, 200);
    producer.publish(GroupKind.reply, 0, 1, 1, '');
    expect(last.take(last.written())).toBe(false);
    expect(producer.writtenBytes()).toBe(0);
    log.take(log.published());
    log.firstPosition = 2 ** 50 + 1;
    log.publishWritten();
    expect(last.take(last.written())).toBe(true);
    expect(last.firstPosition).toBe(2 ** 50 + 1);
    expect(producer.writtenBytes()).toBe(200);
    // Read is not given back: the room is the producer's again only after release().
    expect(producer.hasRoom(capacity - 200)).toBe(true);
    expect(producer.hasRoom(capacity - 192)).toBe(false);
    last.release();
    expect(producer.hasRoom(capacity)).toBe(true);
  });

  test('a reader that comes later begins at the tail, or at what is in the log', () => {
    const memory = ringAt(start);
    const producer = new RingProducer(memory, () => false);
    const log = new RingConsumer(memory);
    for (const slot of [1, 2, 3]) {
      exactly(producer, 200);
      producer.publish(GroupKind.reply, 0, slot, 1, '');
    }
    log.take(log.published());
    log.publishWritten();
    const [fromTail, fromWritten] = [new RingConsumer(memory), new RingConsumer(memory, Word.written)];
    fromTail.take(fromTail.published());
    fromWritten.take(fromWritten.published());
    expect([fromTail.slot, fromWritten.slot]).toEqual([1, 2]);
  });

  test('a producer that comes later goes on where the last one stopped', () => {
    const memory = ringAt(start);
    const consumer = new RingConsumer(memory);
    for (const slot of [1, 2]) {
      const producer = new RingProducer(memory, () => false);
      exactly(producer, 200);
      producer.publish(GroupKind.reply, 0, slot, 1, '');
    }
    const slots: number[] = [];
    while (consumer.take(consumer.published())) slots.push(consumer.slot);
    expect(slots).toEqual([1, 2]);
  });
});

describe('a group under construction', () => {
  const twoFrames: Pick<Sent, 'frames'> = {
    frames: [
      { id: 'a', data: '1' },
      { id: 'b', data: '22' },
    ],
  };

  test('forgets a frame that an error has made void; the flag is on the frame before it', () => {
    const memory = ringAt(0);
    const producer = new RingProducer(memory, () => false);
    const consumer = new RingConsumer(memory);
    fill(producer, twoFrames);
    producer.dropFrame(producer.frame(FrameKind.event, 1, 0, 3, 'call', 'void', 'E', '', '"void"'));
    producer.publish(GroupKind.reply, 0, 1, 2, 'ok');
    consumer.take(consumer.published());
    expect(received(consumer)).toEqual({ slot: 1, version: 2, flags: 0, reply: 'ok', ...twoFrames });
  });

  test('an abandoned one leaves no trace in the next', () => {
    const memory = ringAt(capacity - 16);
    const producer = new RingProducer(memory, () => false);
    const consumer = new RingConsumer(memory);
    exactly(producer, half);
    producer.abandon();
    producer.publish(GroupKind.cancel, 0, 9, 0, '');
    expect(consumer.take(consumer.published())).toBe(true);
    expect([consumer.kind, consumer.slot, consumer.frameCount, consumer.groupBytes]).toEqual([
      GroupKind.cancel,
      9,
      0,
      GROUP_HEADER_BYTES,
    ]);
  });

  test('a staged one grows as far as the limit, is copied as it is, and can be used again', () => {
    const memory = ringAt(2 ** 32 - 8);
    const producer = new RingProducer(memory, () => false);
    const consumer = new RingConsumer(memory);
    const stage = new StagedGroup(half);
    for (let round = 0; round < 3; round++) {
      stage.clear();
      expect(stage.isEmpty).toBe(true);
      expect(() => exactly(stage, half + 1)).toThrow(expect.objectContaining({ code: 'CommandTooLarge' }));
      stage.clear();
      fill(stage, twoFrames);
      producer.copyFrom(stage);
      producer.publish(GroupKind.reply, 3, round, 2, '"v"');
      consumer.take(consumer.published());
      expect(received(consumer)).toEqual({ slot: round, version: 2, flags: 3, reply: '"v"', ...twoFrames });
      consumer.release();
    }
    exactly(producer, half);
    producer.publish(GroupKind.reply, 0, 0, 1, '');
    exactly(producer, half - 200);
    producer.publish(GroupKind.reply, 0, 0, 1, '');
    stage.clear();
    exactly(stage, 208);
    expect(() => producer.copyFrom(stage)).toThrow(expect.objectContaining({ code: 'RingFull' }));
  });

  test('what was begun in the ring goes on in a stage and comes back', () => {
    const memory = ringAt(capacity - 64);
    const producer = new RingProducer(memory, () => false);
    const consumer = new RingConsumer(memory);
    const stage = new StagedGroup(half);
    fill(producer, { frames: [{ id: 'early', data: 'x'.repeat(1200) }] });
    stage.copyFrom(producer);
    producer.abandon();
    fill(producer, { frames: [{ id: 'other', data: 'y'.repeat(1200) }] });
    producer.publish(GroupKind.reply, 0, 1, 1, '');
    const offset = stage.frame(FrameKind.event, 1, 0, 2, 'call', 'late', 'CallRouted', '', 'z'.repeat(400));
    writeNewId(stage.frames.bytes, offset + 16, Date.now());
    producer.copyFrom(stage);
    producer.publish(GroupKind.reply, 0, 2, 2, '');
    consumer.take(consumer.published());
    expect(received(consumer).frames.map(({ id }) => id)).toEqual(['other']);
    consumer.take(consumer.published());
    expect(received(consumer).frames).toEqual([
      { id: 'early', data: 'x'.repeat(1200) },
      { id: 'late', data: 'z'.repeat(400) },
    ]);
  });
});

test('the shared words stand on cache lines of their own', () => {
  const words = Object.values(Word);
  for (const word of words) expect((word * 4) % 64).toBe(0);
  expect(new Set(words).size).toBe(words.length);
  expect([1, 2, 1 << 16, 0, 3, -2, 1.5, Number.NaN].map(isPowerOfTwo)).toEqual([
    true,
    true,
    true,
    false,
    false,
    false,
    false,
    false,
  ]);
});
