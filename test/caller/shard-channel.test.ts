// What waits in front of a command ring, and what is known of it when the shard is given up.
import { expect, test } from 'vitest';
import { ShardChannel, type Waiting } from '../../src/dispatch/shard-channel.ts';
import { Notifier } from '../../src/shared/notifier.ts';
import { RingConsumer } from '../../src/shared/ring/consumer.ts';
import type { RingProducer } from '../../src/shared/ring/producer.ts';
import { beginRingsAt, createRing, GroupKind } from '../../src/shared/ring/ring.ts';
import { FrameKind } from '../../src/wire/frame.ts';

const capacity = 1 << 16;

interface Scene {
  channel: ShardChannel;
  shard: RingConsumer;
  take(): number[];
}

function scene(ringBytes = capacity): Scene {
  const commandRing = createRing(ringBytes);
  const notifier = new Notifier(new Int32Array(new SharedArrayBuffer(4)), 0);
  const channel = new ShardChannel(0, commandRing, createRing(ringBytes), notifier);
  const shard = new RingConsumer(commandRing);
  const take = (): number[] => {
    const slots: number[] = [];
    while (shard.take(shard.published())) slots.push(shard.slot);
    shard.release();
    return slots;
  };
  return { channel, shard, take };
}

const write =
  (slot: number, bytes = 1000) =>
  (ring: RingProducer): void => {
    ring.frame(FrameKind.message, 0, 0, 0, '', 'a', '', '', 'x'.repeat(bytes));
    ring.publish(GroupKind.command, 0, slot, 0, '');
  };

const never = (error: unknown): void => expect.unreachable(String(error));

/** Fill the ring; afterwards these wait. */
function fill(channel: ShardChannel, slots: readonly number[]): Waiting[] {
  for (let slot = 1000; channel.tryWrite(write(slot)); slot++);
  return slots.map((slot) => channel.writeLater(write(slot), never));
}

test('what waits is written in order, and what is withdrawn never', () => {
  const { channel, take } = scene();
  const waiting = fill(channel, [1, 2, 3, 4]);
  channel.tell(write(5), never);
  channel.withdraw(waiting[1]!);
  channel.withdraw(waiting[3]!);
  expect(channel.tryWrite(write(6))).toBe(false); // behind those who wait
  take();
  channel.flushOverflow();
  expect(channel.hasOverflow).toBe(false);
  channel.withdraw(waiting[0]!); // too late: it is in the ring
  expect(take()).toEqual([1, 3, 5]);
});

test('one that can never be written is told so, and holds up nobody', () => {
  const { channel, take } = scene();
  fill(channel, [1]);
  const errors: unknown[] = [];
  channel.writeLater(write(2, capacity), (error) => errors.push(error));
  channel.writeLater(write(3), never);
  take();
  channel.flushOverflow();
  expect(errors).toMatchObject([{ code: 'CommandTooLarge' }]);
  expect(take()).toEqual([1, 3]);
});

test('the shard is asked to wake the caller while something waits, and room made meanwhile is found', () => {
  const { channel, shard } = scene();
  const woken: number[] = [];
  // As the shard makes room at the worst moment: between the last look and the asking.
  const { commands } = channel;
  const { armForRoom } = commands;
  commands.armForRoom = () => {
    shard.take(shard.published());
    shard.release();
    woken.push(woken.length);
    return armForRoom.call(commands);
  };
  fill(channel, [1]);
  expect(woken).toHaveLength(1);
  expect(channel.hasOverflow).toBe(false);
});

test('commands go over to the next shard; answers and aborts were for the old one', () => {
  const [old, next] = [scene(), scene()];
  fill(old.channel, [1]);
  old.channel.tell(write(2), never);
  old.channel.writeLater(write(3), never);
  old.channel.seal();
  old.channel.tell(write(4), never);
  expect(old.channel.tryWrite(write(5))).toBe(false);
  next.channel.takeOver(old.channel);
  next.channel.flushOverflow();
  expect(next.take()).toEqual([1, 3]);
  expect(old.channel.hasOverflow).toBe(false);
});

test.each([0, 2 ** 31 - capacity, 2 ** 32 - capacity])(
  'what a shard has taken is known, however long ago: from %d',
  (begin) => {
    beginRingsAt(begin);
    const { channel, shard } = scene(1 << 24);
    beginRingsAt(0);
    /** A group of half the ring, most of which nobody writes: only its size matters. */
    const put = (): number => {
      channel.commands.frame(FrameKind.message, 0, 0, 0, '', 'a', '', '', '');
      channel.commands.end += (1 << 23) - 1024;
      channel.commands.publish(GroupKind.command, 0, 1, 0, '');
      return channel.commands.head;
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
      if (!channel.hasTaken(first)) wrong.push(i);
      const end = put();
      if (channel.hasTaken(end)) wrong.push(-i);
      takeOne();
    }
    expect(channel.commands.published).toBeGreaterThan(2 ** 32);
    expect(wrong).toEqual([]);
  },
);
