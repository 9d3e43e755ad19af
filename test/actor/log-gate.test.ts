// Users' commands to one aggregate begin in the order in which they came, whenever the log is nearly full and has room again:
// the shard reads the log's flag several times in one drain, and each time it may say something else.
import { MessageChannel } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { defineAggregate } from '../../src/index.ts';
import { Actor } from '../../src/shard/actor.ts';
import { actorTypeOf } from '../../src/shard/actor-type.ts';
import type { ShardData } from '../../src/shard/contract.ts';
import type { Loader } from '../../src/shard/loader.ts';
import { Shard } from '../../src/shard/shard.ts';
import { ControlBlock, Signal } from '../../src/shared/control-block.ts';
import { LogRoom } from '../../src/shared/log-signals.ts';
import { RingProducer } from '../../src/shared/ring/producer.ts';
import { createRing, GroupFlag, GroupKind } from '../../src/shared/ring/ring.ts';
import { FrameKind } from '../../src/wire/frame.ts';
import { integerFrom, oneOf, type Random, randomFrom } from '../random.ts';

/** What has begun, by aggregate and sender; and how to end what is asynchronous. */
let begun: Map<string, number[]>;
let ends: (() => void)[];

const begins = (id: string, sender: string, number: number): void => {
  const name = `${id} ${sender}`;
  begun.set(name, [...(begun.get(name) ?? []), number]);
};

const Noted = defineAggregate('noted', {
  module: import.meta.url,
  state: () => ({}),
  events: {},
  evolve: {},
  commands: {
    note(noted, sender: string, number: number) {
      begins(noted.id, sender, number);
    },
    async wait(noted, sender: string, number: number) {
      begins(noted.id, sender, number);
      await new Promise<void>((resolve) => ends.push(resolve));
    },
  },
});

const ids = ['a', 'b', 'c'];

async function play(random: Random): Promise<void> {
  begun = new Map();
  ends = [];
  const { port1, port2 } = new MessageChannel();
  const [commandRing, eventRing] = [createRing(1 << 18), createRing(1 << 18)];
  const limits = { groupLimit: 1 << 16, actorLimit: 100, actorIdleMs: 1e6, mailboxLimit: 1000, askDeadlineMs: 1000 };
  const controlBlock = new ControlBlock().memory;
  const data = { index: 0, commandRing, eventRing, controlBlock, outbox: port1, ...limits } as unknown as ShardData;
  // Some actors are there at once, some are asked for elsewhere.
  const loader = {
    load: (type: Actor['type'], id: string) => (random() < 0.5 ? new Actor(type, id, {}, 0, 0) : undefined),
    fetch: () => new Promise<void>((resolve) => ends.push(resolve)),
  } as unknown as Loader;
  const shard = new Shard(data, [actorTypeOf(Noted, 0)], loader, {});
  let step = 0;
  const isSteady = (): boolean => step >= 60;
  const flag = shard.control.flag.bind(shard.control);
  shard.control.flag = (word) => {
    if (word !== Signal.full) return flag(word);
    return isSteady() || random() < 0.5 ? LogRoom.plenty : LogRoom.admitted;
  };
  const commands = new RingProducer(commandRing, () => false);
  const sent = new Map<string, number[]>();
  for (; !isSteady() || shard.hasWork() || shard.pending > 0; step++) {
    if (!isSteady() && random() < 0.7) {
      const [id, command] = [oneOf(random, ids), integerFrom(random, 0, 1)];
      const sender = random() < 0.7 ? 'user' : 'aggregate';
      const name = `${id} ${sender}`;
      sent.set(name, [...(sent.get(name) ?? []), step]);
      commands.frame(FrameKind.message, 0, 0, command, '', id, '', '', JSON.stringify([sender, step]));
      commands.publish(GroupKind.command, sender === 'user' ? 0 : GroupFlag.internal, step, 0, '');
    }
    if (isSteady() || random() < 0.6) shard.drain(integerFrom(random, 1, 8));
    if (isSteady() || random() < 0.4) ends.shift()?.();
    for (let turns = integerFrom(random, 0, 5); turns > 0; turns--) await null;
    if (isSteady()) await new Promise((resolve) => setImmediate(resolve));
  }
  port2.close();
  expect(Object.fromEntries(begun)).toEqual(Object.fromEntries(sent));
}

test('commands of one sender to one aggregate begin in their order, whatever the log says from one look to the next', async () => {
  for (let seed = 1; seed <= 300; seed++) {
    await play(randomFrom(seed)).catch((error: unknown) => {
      throw new Error(`seed ${seed}`, { cause: error });
    });
  }
});
