// An exception of one command that nobody expects becomes the reply to it, and the shard goes on: wherever on the command's
// way it is thrown.
import { expect, test } from 'vitest';
import { defineAggregate, Rejected } from '../../src/index.ts';
import { Actor } from '../../src/shard/actor.ts';
import { actorTypeOf } from '../../src/shard/actor-type.ts';
import type { ShardData } from '../../src/shard/contract.ts';
import type { Loader } from '../../src/shard/loader.ts';
import { Shard } from '../../src/shard/shard.ts';
import { ControlBlock } from '../../src/shared/control-block.ts';
import { RingConsumer } from '../../src/shared/ring/consumer.ts';
import { RingProducer } from '../../src/shared/ring/producer.ts';
import { createRing, GroupFlag, GroupKind } from '../../src/shared/ring/ring.ts';
import { FrameKind } from '../../src/wire/frame.ts';

const Noted = defineAggregate('noted', {
  module: import.meta.url,
  state: () => ({}),
  events: {},
  evolve: {},
  commands: {
    note() {},
    async refuse() {
      throw new Rejected('no');
    },
  },
});

const fail = (): never => {
  throw new Error('nobody expects it');
};

const gateOf = (shard: Shard): object => Reflect.get(shard, 'gate');

/** What is in the way of the first command; it is taken away for the second. */
const places: [string, number, string, (shard: Shard) => void][] = [
  ['as it is looked whether it may begin', 0, '', (shard) => Object.assign(gateOf(shard), { keeps: fail })],
  ['as it is looked whether the log has room', 0, '', (shard) => Object.assign(gateOf(shard), { holds: fail })],
  ['as the outcome of its key is looked for', 0, 'broken', () => {}],
  ['as its rejection is kept, asynchronously', 1, 'key', (shard) => Object.assign(shard.control, { keyClock: fail })],
];

test.each(places)('%s', async (_, command, key, spoil) => {
  const warnings: unknown[] = [];
  const outbox = {
    postMessage: ({ type, message }: { type: string; message?: string }) =>
      type === 'warning' && warnings.push(message),
  };
  const [commandRing, eventRing] = [createRing(1 << 16), createRing(1 << 16)];
  const limits = { groupLimit: 1 << 14, actorLimit: 100, actorIdleMs: 1e6, mailboxLimit: 10, askDeadlineMs: 1000 };
  const rings = { commandRing, eventRing, controlBlock: new ControlBlock().memory, outbox };
  const data = { index: 0, idempotencyTtlMs: 1000, ...rings, ...limits } as unknown as ShardData;
  const loader = {
    load: (type: Actor['type'], id: string) => new Actor(type, id, {}, 0, 0),
    outcome: (_type: string, _id: string, of: string) => (of === 'broken' ? fail() : undefined),
  } as unknown as Loader;
  const shard = new Shard(data, [actorTypeOf(Noted, 0)], loader, {});
  const commands = new RingProducer(commandRing, () => false);
  const replies = new RingConsumer(eventRing);
  const answered: [number, boolean][] = [];
  const run = async (slot: number, index: number, by: string): Promise<void> => {
    commands.frame(FrameKind.message, 0, 0, index, '', 'a', by, '', '[]');
    commands.publish(GroupKind.command, 0, slot, 0, '');
    shard.drain(8);
    while (shard.pending > 0) await new Promise((resolve) => setImmediate(resolve));
    while (replies.take(replies.published())) {
      if (replies.kind === GroupKind.reply) answered.push([replies.slot, (replies.flags & GroupFlag.nothing) !== 0]);
    }
  };
  spoil(shard);
  await run(1, command, key);
  Reflect.deleteProperty(gateOf(shard), 'keeps');
  Reflect.deleteProperty(gateOf(shard), 'holds');
  Reflect.deleteProperty(shard.control, 'keyClock');
  await run(2, 0, '');
  expect([answered, shard.failure]).toEqual([
    [
      [1, false],
      [2, true],
    ],
    undefined,
  ]);
  expect(warnings).toEqual(['an unexpected exception of one command']);
});
