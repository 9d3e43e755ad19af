// Outcomes of idempotency keys: remembered until the store has them, and not a moment less.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OutcomeCache } from '../../src/shard/outcome-cache.ts';

const outcome = (n: number): { version: number; outcome: { value: number; events: number; expiresAt: number } } => ({
  version: n,
  outcome: { value: n, events: 1, expiresAt: 0 },
});

test('a key is found until what was published with it is stored', () => {
  const moves = fc.array(
    fc.oneof(
      fc.record({ add: fc.nat(5), bytes: fc.integer({ min: 1, max: 20 }) }),
      fc.record({ forget: fc.integer({ min: 0, max: 30 }) }),
    ),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(moves, (list) => {
      const outcomeCache = new OutcomeCache();
      const newest = new Map<string, { n: number; published: number }>();
      let [published, stored, n] = [0, 0, 0];
      for (const move of list) {
        if ('add' in move) {
          published += move.bytes;
          const key = OutcomeCache.key('call', 'c', `k${move.add}`);
          outcomeCache.add(key, outcome(++n), published);
          newest.set(key, { n, published });
        } else {
          stored = Math.max(stored, Math.min(published, stored + move.forget));
          outcomeCache.forget(stored);
        }
        for (const [key, last] of newest) {
          // The newest outcome of a key must be there until it is stored itself.
          if (last.published > stored) expect(outcomeCache.get(key)?.version).toBe(last.n);
          else expect(outcomeCache.get(key)).toBeUndefined();
        }
      }
    }),
  );
});

test('no two places share a key', () => {
  const keys = [
    OutcomeCache.key('a', 'b', 'c'),
    OutcomeCache.key('ab', '', 'c'),
    OutcomeCache.key('a', 'bc', ''),
    OutcomeCache.key('a', '', 'bc'),
  ];
  expect(new Set(keys).size).toBe(keys.length);
});
