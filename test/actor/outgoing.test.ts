// Who is woken for a reply: the log thread, as it works, naps or sleeps.
import { MessageChannel } from 'node:worker_threads';
import { expect, test } from 'vitest';
import type { Command } from '../../src/shard/command.ts';
import type { ShardData } from '../../src/shard/contract.ts';
import { Outgoing } from '../../src/shard/outgoing.ts';
import { ShardControlBlock, Signal } from '../../src/shared/control-block.ts';
import { createRing } from '../../src/shared/ring/ring.ts';
import { TestControlBlock } from '../control-block.ts';

const command = { ackOnRaise: false, slot: 0 } as Command;

/** What the log thread is found to be when it looks for the last time before it sleeps: `says` is said at this moment. */
function wakes(how: 'nap' | 'block', says: () => void, control: TestControlBlock): boolean {
  let isRung = false;
  control.parkerOf(Signal.logNotifier)[how](() => {
    says();
    isRung = control.flag(Signal.logNotifier) === 0;
    return true;
  }, 0);
  return isRung;
}

test('replies that follow each other leave the log thread napping, and never sleeping', () => {
  const control = new TestControlBlock();
  const { port1 } = new MessageChannel();
  const data = { index: 0, eventRing: createRing(1 << 16), outbox: port1 } as unknown as ShardData;
  const outgoing = new Outgoing(data, new ShardControlBlock(0, control.memory));
  const say = (): void => outgoing.reply(command, 0, 1, '');
  expect(wakes('nap', say, control)).toBe(true); // alone: nothing else will tell of it
  outgoing.beginDrain();
  expect(wakes('nap', say, control)).toBe(true); // the first of many
  const naps = Array.from({ length: 127 }, () => wakes('nap', say, control));
  expect(naps.filter(Boolean)).toEqual([]);
  // It has gone to sleep, since the command before took long.
  expect(wakes('block', say, control)).toBe(true);
  outgoing.endDrain();
  expect(wakes('nap', say, control)).toBe(true);
  port1.close();
});
