// When a snapshot rides along with a command: never at that command's cost.
import { expect, test } from 'vitest';
import { Actor, type ActorType } from '../../src/shard/actor.ts';
import { Snapshots } from '../../src/shard/snapshots.ts';
import { RingConsumer } from '../../src/shared/ring/consumer.ts';
import { RingProducer } from '../../src/shared/ring/producer.ts';
import { createRing, GroupKind } from '../../src/shared/ring/ring.ts';
import { FrameKind } from '../../src/wire/frame.ts';

const ringBytes = 4096;
const groupLimit = ringBytes / 2;

function actorOf(every: number, state: unknown): Actor {
  const type = { name: 'hoard', fingerprint: 'f', definition: { snapshot: { every } } } as unknown as ActorType;
  return new Actor(type, 'a', state, 0, 0);
}

const snapshots = new Snapshots(groupLimit / 8, () => {});

/** One command that raises `raised` characters and returns `returned`; whether a snapshot came along. */
function run(actor: Actor, ring: RingProducer, raised: number, returned: number): boolean {
  ring.frame(FrameKind.event, 1, 0, ++actor.version, 'hoard', 'a', 'Kept', '', 'x'.repeat(raised));
  const reply = 'ä'.repeat(returned / 2);
  snapshots.keep(actor, ring, reply);
  const isTaken = ring.frameCount === 2;
  ring.publish(GroupKind.reply, 0, 0, actor.version, reply);
  return isTaken;
}

test('a command that fits alone is published, with the snapshot exactly where both fit', () => {
  let taken = 0;
  for (const state of ['s'.repeat(200), 'ü'.repeat(200)]) {
    for (let raised = 1000; raised < 1900; raised += 300) {
      for (let returned = 0; raised + returned < groupLimit - 120; returned += 6) {
        const memory = createRing(ringBytes);
        const ring = new RingProducer(memory, () => false);
        const withSnapshot = run(actorOf(1, { state }), ring, raised, returned);
        if (withSnapshot) taken++;
        const reader = new RingConsumer(memory);
        expect(reader.take(reader.published())).toBe(true);
        const snapshotBytes =
          8 * Math.ceil((52 + 7 + JSON.stringify({ state }).length + (state[0] === 's' ? 0 : 200)) / 8);
        expect(withSnapshot).toBe(reader.groupBytes + (withSnapshot ? 0 : snapshotBytes) <= groupLimit);
      }
    }
  }
  expect(taken).toBeGreaterThan(100);
});

test('a command that has room in a ring that refuses when full is not refused for its snapshot', () => {
  const ring = new RingProducer(createRing(ringBytes), () => false);
  const actor = actorOf(1, { state: 's'.repeat(200) });
  for (const raised of [1500, 1500]) run(actorOf(0, {}), ring, raised, 0);
  expect(run(actor, ring, 200, 20)).toBe(false);
  expect(actor.version).toBe(1);
});

test.each([1, 3])('one that never fits is tried ever more seldom, every %d', (every) => {
  const actor = actorOf(every, { state: 's'.repeat(240) });
  let tries = 0;
  Object.defineProperty(actor, 'state', {
    get: () => {
      tries++;
      return { state: 's'.repeat(240) };
    },
  });
  const memory = createRing(ringBytes);
  const ring = new RingProducer(memory, () => false);
  const reader = new RingConsumer(memory);
  const many = (count: number, raised: number): boolean[] =>
    Array.from({ length: count }, () => {
      const isTaken = run(actor, ring, raised, 0);
      while (reader.take(reader.published()));
      reader.release();
      return isTaken;
    });
  expect(many(1000, 1800)).not.toContain(true);
  expect(tries).toBeLessThan(2 * 12); // two looks at the state a try
  expect(many(1100, 100)).toContain(true);
  expect(actor.version - actor.snapshotVersion).toBeLessThan(every);
  // And from then on it comes when it is due.
  expect(many(2 * every, 100).filter(Boolean)).toHaveLength(2);
  // A large command in between delays it by one version.
  expect(many(2 * every, 1800)).not.toContain(true);
  expect(many(every + 2, 100)).toContain(true);
});
