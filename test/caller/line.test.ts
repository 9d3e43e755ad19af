// What waits in front of a command ring, and what is known of it when the shard is given up.
import { expect, test } from 'vitest';
import { Line, type Waiting } from '../../src/dispatch/line.ts';
import { Bell } from '../../src/shared/ring/bell.ts';
import { RingConsumer } from '../../src/shared/ring/consumer.ts';
import type { RingProducer } from '../../src/shared/ring/producer.ts';
import { beginRingsAt, createRing, GroupKind } from '../../src/shared/ring/ring.ts';
import { FrameKind } from '../../src/wire/frame.ts';

const capacity = 1 << 16;

interface Scene {
  line: Line;
  shard: RingConsumer;
  take(): number[];
}

function scene(ringBytes = capacity): Scene {
  const commandRing = createRing(ringBytes);
  const bell = new Bell(new Int32Array(new SharedArrayBuffer(4)), 0);
  const line = new Line(0, commandRing, createRing(ringBytes), bell);
  const shard = new RingConsumer(commandRing);
  const take = (): number[] => {
    const slots: number[] = [];
    while (shard.take(shard.published())) slots.push(shard.slot);
    shard.release();
    return slots;
  };
  return { line, shard, take };
}

const write =
  (slot: number, bytes = 1000) =>
  (ring: RingProducer): void => {
    ring.frame(FrameKind.message, 0, 0, 0, '', 'a', '', '', 'x'.repeat(bytes));
    ring.publish(GroupKind.command, 0, slot, 0, '');
  };

const never = (error: unknown): void => expect.unreachable(String(error));

/** Fill the ring; afterwards these wait. */
function fill(line: Line, slots: readonly number[]): Waiting[] {
  for (let slot = 1000; line.tryWrite(write(slot)); slot++);
  return slots.map((slot) => line.writeLater(write(slot), never));
}

test('what waits is written in order, and what is withdrawn never', () => {
  const { line, take } = scene();
  const waiting = fill(line, [1, 2, 3, 4]);
  line.tell(write(5), never);
  line.withdraw(waiting[1]!);
  line.withdraw(waiting[3]!);
  expect(line.tryWrite(write(6))).toBe(false); // behind those who wait
  take();
  line.flushOverflow();
  expect(line.hasOverflow).toBe(false);
  line.withdraw(waiting[0]!); // too late: it is in the ring
  expect(take()).toEqual([1, 3, 5]);
});

test('one that can never be written is told so, and holds up nobody', () => {
  const { line, take } = scene();
  fill(line, [1]);
  const errors: unknown[] = [];
  line.writeLater(write(2, capacity), (error) => errors.push(error));
  line.writeLater(write(3), never);
  take();
  line.flushOverflow();
  expect(errors).toMatchObject([{ code: 'CommandTooLarge' }]);
  expect(take()).toEqual([1, 3]);
});

test('the shard is asked to wake the caller while something waits, and room made meanwhile is found', () => {
  const { line, shard } = scene();
  const woken: number[] = [];
  // As the shard makes room at the worst moment: between the last look and the asking.
  const { commands } = line;
  const { armForRoom } = commands;
  commands.armForRoom = () => {
    shard.take(shard.published());
    shard.release();
    woken.push(woken.length);
    return armForRoom.call(commands);
  };
  fill(line, [1]);
  expect(woken).toHaveLength(1);
  expect(line.hasOverflow).toBe(false);
});

test('commands go over to the next shard; answers and aborts were for the old one', () => {
  const [old, next] = [scene(), scene()];
  fill(old.line, [1]);
  old.line.tell(write(2), never);
  old.line.writeLater(write(3), never);
  old.line.seal();
  old.line.tell(write(4), never);
  expect(old.line.tryWrite(write(5))).toBe(false);
  next.line.takeOver(old.line);
  next.line.flushOverflow();
  expect(next.take()).toEqual([1, 3]);
  expect(old.line.hasOverflow).toBe(false);
});

test.each([0, 2 ** 31 - capacity, 2 ** 32 - capacity])(
  'what a shard has taken is known, however long ago: from %d',
  (begin) => {
    beginRingsAt(begin);
    const { line, shard } = scene(1 << 24);
    beginRingsAt(0);
    /** A group of half the ring, most of which nobody writes: only its size matters. */
    const put = (): number => {
      line.commands.frame(FrameKind.message, 0, 0, 0, '', 'a', '', '', '');
      line.commands.end += (1 << 23) - 1024;
      line.commands.publish(GroupKind.command, 0, 1, 0, '');
      return line.commands.head;
    };
    const takeOne = (): void => {
      expect(shard.take(shard.published())).toBe(true);
      shard.release();
    };
    const first = put();
    takeOne();
    const wrong: number[] = [];
    // 5 GiB: every 32-bit difference to the first one is wrong on the way.
    for (let i = 0; i < 640; i++) {
      if (!line.hasTaken(first)) wrong.push(i);
      const end = put();
      if (line.hasTaken(end)) wrong.push(-i);
      takeOne();
    }
    expect(line.commands.published).toBeGreaterThan(2 ** 32);
    expect(wrong).toEqual([]);
  },
);
