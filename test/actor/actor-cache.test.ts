// Residents against a plain list in order of use: who stays, who leaves, and who must not.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Actor, type ActorType } from '../../src/shard/actor.ts';
import { ActorCache } from '../../src/shard/actor-cache.ts';
import { Mailbox } from '../../src/shard/mailbox.ts';
import { Counter } from '../fixtures/counter.ts';

const types: ActorType[] = ['counter', 'other'].map((name, index) => ({
  index,
  definition: Counter,
  name,
  commandNames: ['add'],
  commands: [],
  reducers: new Map(),
  fingerprint: '',
}));

type Step =
  | { do: 'use'; type: number; id: number; published: number }
  | { do: 'busy'; id: number }
  | { do: 'rest' }
  | { do: 'wait'; ms: number }
  | { do: 'sweep'; stored: number; most: number };
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('use' as const),
      type: fc.nat(1),
      id: fc.nat(4),
      published: fc.nat(100),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('busy' as const), id: fc.nat(4) }) },
  fc.record({ do: fc.constant('rest' as const) }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.nat(60) }),
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('sweep' as const), stored: fc.nat(100), most: fc.nat(12) }),
  },
);

test('the least recently used idle ones leave, once the store has what they said; nobody else does', () => {
  const limits = fc.record({ limit: fc.integer({ min: 1, max: 6 }), idleMs: fc.integer({ min: 1, max: 100 }) });
  fc.assert(
    fc.property(limits, fc.array(step, { minLength: 20, maxLength: 80 }), ({ limit, idleMs }, steps) => {
      const actorCache = new ActorCache(types, limit, idleMs);
      let model: Actor[] = []; // least recently used first
      let now = 1000;
      for (const one of steps) {
        if (one.do === 'wait') now += one.ms;
        else if (one.do === 'use') {
          const type = types[one.type]!;
          let actor = actorCache.get(type, `${one.id}`);
          const known = model.find((other) => other.type === type && other.id === `${one.id}`);
          expect(actor === known).toBe(true);
          if (actor) actorCache.touch(actor, now);
          else {
            actor = new Actor(type, `${one.id}`, {}, 0, 0);
            actorCache.add(actor, now);
          }
          actor.lastPublished = one.published;
          model = [...model.filter((other) => other !== actor), actor];
        } else if (one.do === 'busy') {
          const actor = model.find((other) => other.id === `${one.id}`);
          if (actor) actor.mailbox = new Mailbox(10);
        } else if (one.do === 'rest') {
          for (const actor of model) actor.mailbox = undefined;
        } else {
          actorCache.passivate(now, one.stored, one.most);
          for (let seen = 0; seen < one.most && model.length > 0; seen++) {
            const [actor, ...others] = model as [Actor, ...Actor[]];
            if (model.length <= limit && now - actor.usedAt < idleMs) break;
            // Who must not leave goes to the end, so as not to stand before those who can.
            const mayLeave = actor.mailbox === undefined && actor.lastPublished <= one.stored;
            model = mayLeave ? others : [...others, actor];
            if (others.length === 0) break;
          }
        }
        expect(actorCache.count).toBe(model.length);
        for (const type of types) {
          for (let id = 0; id < 5; id++) {
            const expected = model.find((actor) => actor.type === type && actor.id === `${id}`);
            expect(actorCache.get(type, `${id}`) === expected).toBe(true); // never print actors: they are chained
          }
        }
      }
    }),
    { numRuns: 400 },
  );
});

test('many that cannot leave at the old end do not keep idle ones behind them for ever', () => {
  const actorCache = new ActorCache(types, 10, 1_000_000);
  const busy = Array.from({ length: 20 }, (_, i) => new Actor(types[0]!, `busy ${i}`, {}, 0, 0));
  const idle = Array.from({ length: 20 }, (_, i) => new Actor(types[0]!, `idle ${i}`, {}, 0, 0));
  for (const actor of busy) {
    actor.mailbox = new Mailbox(1);
    actorCache.add(actor, 0);
  }
  for (const actor of idle) actorCache.add(actor, 0);
  for (let sweep = 0; sweep < 10; sweep++) actorCache.passivate(1, 0, 10);
  expect(actorCache.count).toBeLessThanOrEqual(20);
});
