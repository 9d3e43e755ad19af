// Turns of entities: for each of them one holds or acts at a time, in the order in which they came, and all come to act.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EntityTurns, type Wanted } from '../../src/entity/entity-turns.ts';
import { Heads } from '../../src/entity/heads.ts';
import { ControlBlock } from '../../src/shared/control-block.ts';

const make = (
  limit = 1000,
  lookUp?: () => Promise<number>,
  heads = new Heads(new ControlBlock(), () => undefined),
): EntityTurns => new EntityTurns({ heads, lookUp, limit, waitTimeoutMs: 60_000 });
const eventsOf = (ids: Iterable<number>): Wanted[] =>
  [...ids].map((id) => ({ aggregateType: 't', aggregateId: `${id}`, dataJson: '{}' }));

test('each acts once, in order for each entity, and never while another holds one of them', async () => {
  const step = fc.record({
    ids: fc.uniqueArray(fc.nat(3), { minLength: 1, maxLength: 3 }),
    holds: fc.boolean(),
    releases: fc.option(fc.nat(5)),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const turns = make();
      const held = new Set<number>();
      const acted = new Map<number, number[]>();
      const releases: (() => void)[] = [];
      const all: Promise<unknown>[] = [];
      for (const [i, { ids, holds, releases: at }] of steps.entries()) {
        const act = (): void => {
          for (const id of ids) {
            expect(held.has(id)).toBe(false);
            acted.set(id, [...(acted.get(id) ?? []), i]);
          }
        };
        if (!holds) all.push(turns.take(eventsOf(ids), async () => act()));
        else {
          const hold = (release: () => void): void => {
            act();
            for (const id of ids) held.add(id);
            releases.push(() => {
              for (const id of ids) held.delete(id);
              release();
            });
          };
          all.push(turns.hold(eventsOf(ids), hold));
        }
        if (at !== null) releases.splice(at, 1)[0]?.();
      }
      while (releases.length > 0) releases.shift()!();
      await Promise.all(all);
      for (const [id, order] of acted) {
        expect(order).toEqual(steps.flatMap(({ ids }, i) => (ids.includes(id) ? [i] : [])));
      }
      expect(turns.count).toBe(0);
    }),
    { numRuns: 200 },
  );
});

test('many that wait for one entity are bounded, act without nesting, and are told when all has failed', async () => {
  const limit = 20_000;
  const turns = make(limit);
  let release = (): void => {};
  const hold = (): Promise<void> =>
    turns.hold(eventsOf([1]), (free) => {
      release = free;
    });
  await hold();
  const acts = Array.from({ length: limit - 1 }, () => turns.take(eventsOf([1]), async () => {}));
  expect(() => turns.take(eventsOf([1]), async () => {})).toThrow(/flight/);
  release();
  await Promise.all(acts);
  await hold();
  const late = turns.take(eventsOf([1]), async () => {});
  turns.fail(new Error('over'));
  await expect(late).rejects.toThrow('over');
  release();
  expect(turns.count).toBe(0);
});

test('what the store cannot say of an entity that another log has written meanwhile refuses one, and those behind it act', async () => {
  const heads = new Heads(new ControlBlock(), () => undefined);
  let isAway = false;
  const lookUp = async (): Promise<number> => {
    if (!isAway) return 0;
    isAway = false;
    throw new Error('away');
  };
  const turns = make(10, lookUp, heads);
  let release = (): void => {};
  await turns.hold(eventsOf([1]), (free) => {
    release = free;
  });
  const refused = expect(turns.take(eventsOf([1]), async () => {})).rejects.toThrow('away');
  const behind = turns.take(eventsOf([1]), async () => 'acted');
  heads.forgetOne('t', '1');
  isAway = true;
  release();
  await refused;
  expect(await behind).toBe('acted');
  expect(turns.count).toBe(0);
});
