// A fence has an end, whatever goes wrong: the caller takes no answer of the aggregate for stored until it hears of it.
import { mkdirSync } from 'node:fs';
import { MessageChannel } from 'node:worker_threads';
import { expect, onTestFinished, test } from 'vitest';
import { TrunklineError } from '../../src/base/errors.ts';
import { Fences } from '../../src/dispatch/fences.ts';
import { ShardChannel } from '../../src/dispatch/shard-channel.ts';
import { messageKeyPrefix } from '../../src/model/receipt.ts';
import { Actor } from '../../src/shard/actor.ts';
import { actorTypeOf } from '../../src/shard/actor-type.ts';
import type { ShardData } from '../../src/shard/contract.ts';
import type { Loader } from '../../src/shard/loader.ts';
import { Shard } from '../../src/shard/shard.ts';
import { ControlBlock } from '../../src/shared/control-block.ts';
import { Notifier } from '../../src/shared/notifier.ts';
import { RingConsumer } from '../../src/shared/ring/consumer.ts';
import { createRing, GroupKind } from '../../src/shared/ring/ring.ts';
import { FrameKind } from '../../src/wire/frame.ts';
import { Held } from '../runtime/held.ts';
import { scratchFolder } from '../runtime/scratch.ts';

/** A shard and the line to it; `outcomeKeys`, `outcome`: what its loader says. */
function shardWith(
  outcomeKeys: () => Set<string>,
  outcome: Loader['outcome'] = () => undefined,
): { shard: Shard; channel: ShardChannel; groups: RingConsumer } {
  const { port1 } = new MessageChannel();
  onTestFinished(() => port1.close());
  const [commandRing, eventRing] = [createRing(1 << 16), createRing(1 << 16)];
  const limits = { groupLimit: 1 << 14, actorLimit: 100, actorIdleMs: 1e6, mailboxLimit: 100, askDeadlineMs: 1000 };
  const controlBlock = new ControlBlock().memory;
  const data = { index: 0, commandRing, eventRing, controlBlock, outbox: port1, ...limits } as unknown as ShardData;
  const load = (type: Actor['type'], id: string) => new Actor(type, id, { total: 0 }, 0, 0);
  const shard = new Shard(data, [actorTypeOf(Held, 0)], { load, outcomeKeys, outcome } as unknown as Loader, {});
  const channel = new ShardChannel(
    0,
    commandRing,
    eventRing,
    new Notifier(new Int32Array(new SharedArrayBuffer(4)), 0),
  );
  return { shard, channel, groups: new RingConsumer(eventRing) };
}

test('a fence that its shard cannot carry out ends the shard; the successor carries it out, and the caller hears of it', () => {
  const failing = shardWith(() => {
    throw new Error('this machine’s environment cannot be read');
  });
  const successor = shardWith(() => new Set());
  const fences = new Fences();
  const refused = { aggregateType: 'held', aggregateId: 'a', version: 3, position: 7, reason: 'taken' };
  fences.add(0, refused as Parameters<Fences['add']>[1], failing.channel);
  expect(() => failing.shard.drain(10)).toThrow('cannot be read');
  const receipt = fences.nextReceipt();
  expect(fences.refusal('held', 'a', receipt, 8)).toMatchObject({ code: 'Quarantined' });
  fences.resend(failing.channel, successor.channel);
  successor.shard.drain(10);
  const { groups } = successor;
  expect(groups.take(groups.published())).toBe(true);
  expect(groups.kind).toBe(GroupKind.fenced);
  fences.concluded(groups.slot, 9);
  expect(fences.refusal('held', 'a', receipt, 8)).toMatchObject({ code: 'Quarantined' });
  expect(fences.refusal('held', 'a', fences.nextReceipt(), 10)).toBeUndefined();
});

test('a message that waits behind an asynchronous command of a refused actor is pushed back, a user’s command is executed', async () => {
  const { shard, channel, groups } = shardWith(() => new Set());
  const until = scratchFolder();
  const names = Object.keys(Held.commands);
  const send = (slot: number, command: string, key: string, input: unknown[]): void => {
    channel.tryWrite((ring) => {
      ring.frame(FrameKind.message, 0, 0, names.indexOf(command), '', 'a', key, '', JSON.stringify(input));
      ring.publish(GroupKind.command, 0, slot, 0, '');
    });
  };
  send(1, 'wait', '', [until]);
  send(2, 'add', `${messageKeyPrefix}m1`, []);
  send(3, 'add', '', []);
  const refused = { aggregateType: 'held', aggregateId: 'a', version: 1, position: 7, reason: 'taken' };
  new Fences().add(0, refused as Parameters<Fences['add']>[1], channel);
  shard.drain(10);
  mkdirSync(until);
  const answers: Record<number, unknown> = {};
  while (Object.keys(answers).length < 3) {
    await new Promise((resolve) => setImmediate(resolve));
    while (groups.take(groups.published())) {
      const reply = groups.bytes.toString('utf8', groups.replyStart, groups.replyStart + groups.replyBytes);
      if (groups.kind === GroupKind.reply) answers[groups.slot] = JSON.parse(reply || 'null');
    }
  }
  // On the next actor the message would go before those of its sender that the fence has made void.
  expect(answers[2]).toMatchObject({ code: 'NotExecuted' });
  expect(answers[3]).toBe(1);
});

test('an outcome that cannot be understood is no reason against a fence', () => {
  const broken = shardWith(
    () => new Set(['k']),
    () => {
      throw new TrunklineError('RecordInvalid', { what: 'the outcome of a command', reason: 'is no JSON' });
    },
  );
  const refused = { aggregateType: 'held', aggregateId: 'a', version: 3, position: 7, reason: 'taken' };
  new Fences().add(0, refused as Parameters<Fences['add']>[1], broken.channel);
  broken.shard.drain(10);
  expect(broken.groups.take(broken.groups.published())).toBe(true);
  expect(broken.groups.kind).toBe(GroupKind.fenced);
});
