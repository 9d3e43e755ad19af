// A thread whose ring has been sealed is a zombie: it may run, and can do nothing. Real threads, sealed in full flight.
import { afterEach, expect, test, vi } from 'vitest';
import { RingConsumer } from '../../src/shared/ring/consumer.ts';
import { isSealed } from '../../src/shared/ring/count.ts';
import { RingProducer } from '../../src/shared/ring/producer.ts';
import {
  beginRingsAt,
  createRing,
  GroupKind,
  RingMemory,
  RingSealed,
  sealHead,
  sealTail,
  Word,
} from '../../src/shared/ring/ring.ts';
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
    let [found, wrong] = [0, 0];
    const read = (): void => {
      while (reader.take(reader.published())) if (reader.slot !== found++) wrong++;
      reader.release();
    };
    await Atomics.waitAsync(bells, 1, 0, overallMs).value; // its first 1,000 groups find room
    for (let i = 0; i < 300; i++) read();
    sealHead(ring);
    const last = reader.published();
    while (reader.take(last)) found++;
    expect(await zombie).toEqual([found]);
    expect(wrong).toBe(0);
    expect(reader.published()).toBe(last);
  },
);

test.each(begins)(
  'a reader that is sealed has acted upon what the producer sees taken, and on nothing else: from %d',
  async (begin) => {
    const ring = ringAt(begin);
    const bells = new Int32Array(new SharedArrayBuffer(8));
    const producer = new RingProducer(ring, () => true);
    const ends: number[] = [];
    const publish = (count: number): void => {
      for (let i = 0; i < count; i++) {
        producer.publish(GroupKind.command, 0, ends.length, 0, '');
        ends.push(producer.head);
      }
    };
    publish(1000);
    const zombie = runAll([{ role: 'zombie reader', ring, bells: bells.buffer, groups: 0 }], overallMs);
    await Atomics.waitAsync(bells, 1, 0, overallMs).value;
    publish(20_000);
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

test('a producer that waits for room in a full ring learns that it is sealed, though nobody makes room any more', () => {
  const ring = createRing(1 << 16);
  let looks = 0;
  const producer = new RingProducer(ring, () => {
    if (looks++ === 0) sealHead(ring);
    if (looks > 3) throw new Error('it waits for ever');
    return true;
  });
  const fill = (): void => {
    for (;;) producer.publish(GroupKind.reply, 0, 0, 0, '');
  };
  expect(fill).toThrow(RingSealed);
  expect(looks).toBe(1);
});

afterEach(() => vi.restoreAllMocks());

/** Run `act`, and `between` just before its atomic operation number `at`; returns whether it has so many. */
function interrupt(at: number, act: () => void, between: () => void): boolean {
  let count = 0;
  let isInterrupted = false;
  for (const name of ['load', 'store', 'exchange', 'compareExchange'] as const) {
    const original = Atomics[name] as (...args: unknown[]) => number;
    vi.spyOn(Atomics, name).mockImplementation(((...args: unknown[]) => {
      if (count++ === at) {
        isInterrupted = true;
        between();
      }
      return original(...args);
    }) as never);
  }
  try {
    act();
  } finally {
    vi.restoreAllMocks();
  }
  return isInterrupted;
}

/** What came of it: done, or refused by the seal. */
function outcomeOf(act: () => void): 'done' | 'sealed' {
  try {
    act();
    return 'done';
  } catch (error) {
    if (error instanceof RingSealed) return 'sealed';
    throw error;
  }
}

test.each(['publish', 'take'] as const)(
  'whenever the seal comes between two steps, it holds, and what is seen is what was done: %s',
  (what) => {
    for (let at = 0; ; at++) {
      const ring = createRing(1 << 16);
      const { words } = new RingMemory(ring);
      const producer = new RingProducer(ring, () => false);
      const reader = new RingConsumer(ring);
      if (what === 'take') producer.publish(GroupKind.command, 0, 0, 0, '');
      const [word, seal] = what === 'publish' ? [Word.head, sealHead] : [Word.tail, sealTail];
      const before = words[word]!;
      let outcome: string | undefined;
      const act = (): void => {
        outcome = outcomeOf(() => {
          if (what === 'publish') return producer.publish(GroupKind.reply, 0, 0, 0, '');
          expect(reader.take(reader.published())).toBe(true);
          reader.release();
        });
      };
      if (!interrupt(at, act, () => seal(ring))) {
        expect(at).toBeGreaterThan(0);
        return;
      }
      expect(isSealed(words[word]!)).toBe(true);
      expect((words[word]! & -8) !== before).toBe(outcome === 'done');
      expect(
        outcomeOf(() => (what === 'publish' ? producer.publish(GroupKind.reply, 0, 0, 0, '') : reader.release())),
      ).toBe('sealed');
    }
  },
);
