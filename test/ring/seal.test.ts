// A thread whose ring has been sealed is a zombie: it may run, and can do nothing. Real threads, sealed in full flight.
import { expect, test } from 'vitest';
import { RingConsumer } from '../../src/ring/consumer.ts';
import { RingProducer } from '../../src/ring/producer.ts';
import { beginRingsAt, createRing, GroupKind, RingSealed, sealHead, sealTail } from '../../src/ring/ring.ts';
import { runAll } from './run-threads.ts';

const overallMs = 60_000;
const begins = [0, 2 ** 31 - 4096, 2 ** 32 - 4096];

function ringAt(count: number): SharedArrayBuffer {
  beginRingsAt(count);
  try {
    return createRing(1 << 16);
  } finally {
    beginRingsAt(0);
  }
}

test.each(begins)(
  'a producer that is sealed has published what the readers find, and nothing afterwards: from %d',
  async (begin) => {
    const ring = ringAt(begin);
    const bells = new Int32Array(new SharedArrayBuffer(8));
    const zombie = runAll([{ role: 'zombie producer', ring, bells: bells.buffer, groups: 0 }], overallMs);
    const reader = new RingConsumer(ring);
    let found = 0;
    const read = (): void => {
      while (reader.take(reader.published())) expect(reader.slot).toBe(found++);
      reader.release();
    };
    while (Atomics.load(bells, 1) === 0) read();
    for (let i = 0; i < 1000; i++) read();
    sealHead(ring);
    const last = reader.published();
    while (reader.take(last)) found++;
    expect(await zombie).toEqual([found]);
    expect(reader.published()).toBe(last);
  },
);

test.each(begins)(
  'a reader that is sealed has acted upon what the producer sees taken, and on nothing else: from %d',
  async (begin) => {
    const ring = ringAt(begin);
    const bells = new Int32Array(new SharedArrayBuffer(8));
    const zombie = runAll([{ role: 'zombie reader', ring, bells: bells.buffer, groups: 0 }], overallMs);
    const producer = new RingProducer(ring, () => true);
    const ends: number[] = [];
    while (Atomics.load(bells, 1) === 0 || ends.length % 1000 !== 0) {
      producer.publish(GroupKind.command, 0, ends.length, 0, '');
      ends.push(producer.head);
    }
    sealTail(ring);
    const taken = ends.filter((end) => end <= producer.tail()).length;
    // There is more to take, and it is never taken.
    for (let i = 0; i < 100 && producer.hasRoom(64); i++) producer.publish(GroupKind.command, 0, 0, 0, '');
    expect(await zombie).toEqual([taken]);
    expect(ends.filter((end) => end <= producer.tail())).toHaveLength(taken);
  },
);

test('what is sealed stays readable, and says that it is sealed', () => {
  const ring = createRing(1 << 16);
  const producer = new RingProducer(ring, () => false);
  const reader = new RingConsumer(ring);
  producer.publish(GroupKind.reply, 0, 7, 0, 'before');
  sealHead(ring);
  expect(() => producer.publish(GroupKind.reply, 0, 8, 0, 'after')).toThrow(RingSealed);
  expect(reader.take(reader.published())).toBe(true);
  expect([reader.slot, reader.isSealed]).toEqual([7, false]);
  expect(reader.take(reader.published())).toBe(false);
  reader.release();
  expect(producer.tail()).toBe(producer.head);
  sealTail(ring);
  expect(reader.isSealed).toBe(true);
  expect(() => reader.release()).toThrow(RingSealed);
  expect(producer.tail()).toBe(producer.head);
});
