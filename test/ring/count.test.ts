// Counts of bytes that have gone through a ring: 53 bits on each side, 32 in shared memory, joined in one place.
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { countNear, firstCount, isSealed, sealedBit, wordOf } from '../../src/shared/ring/count.ts';

const src = new URL('../../src/', import.meta.url);
const files = (readdirSync(src, { recursive: true }) as string[]).filter((file) => file.endsWith('.ts'));

test('a count comes back from its word, joined to any count that is no further away than a ring is long', () => {
  const count = fc.oneof(
    fc.integer({ min: 0, max: 2 ** 49 }).map((eighth) => eighth * 8),
    fc
      .tuple(fc.constantFrom(2 ** 31, 2 ** 32, 2 ** 33, 2 ** 40), fc.integer({ min: -2, max: 2 }))
      .map(([wrap, step]) => wrap + step * 8),
  );
  fc.assert(
    fc.property(count, fc.integer({ min: -(2 ** 27), max: 2 ** 27 }), fc.boolean(), (value, eighth, sealed) => {
      const word = wordOf(value) | (sealed ? sealedBit : 0);
      expect(countNear(Math.max(0, value + eighth * 8), word)).toBe(value);
      expect(isSealed(word)).toBe(sealed);
      expect(wordOf(firstCount(word))).toBe(wordOf(value));
      expect(firstCount(word)).toBeGreaterThanOrEqual(0);
    }),
  );
});

/** Forbidden everywhere but where it is named, with the reason why it may stand there. */
const arithmetic: readonly { what: string; pattern: RegExp; allowed: Readonly<Record<string, string>> }[] = [
  {
    what: 'a difference or a count cut to 32 bits, signed',
    pattern: /[^|]\|=? ?0(?![\dx])|(?<!>)>> ?0\b|~~|Math\.imul|Int32Array\.of/,
    allowed: {
      'shared/ring/count.ts': 'the one place',
      'shard/contract.ts': 'a hash',
      'shard/evolve.ts': 'a hash',
      'dispatch/outcomes.ts': 'a hash',
      'adapters/kafka/partition.ts': 'a hash',
    },
  },
  {
    what: 'a difference or a count cut to 32 bits, unsigned',
    pattern: />>>=? ?0\b/,
    allowed: {
      'shared/ring/count.ts': 'where a side begins',
      'shard/contract.ts': 'a hash',
      'shard/evolve.ts': 'a hash, and hexadecimal digits',
      'adapters/lmdb/store/block.ts': 'a check value, compared for equality',
    },
  },
  {
    what: 'a shared word of a ring, read or moved',
    pattern: /Atomics\..*\bWord\.|\bnew RingMemory\(/,
    allowed: {
      'shared/ring/consumer.ts': 'joined to its cursor',
      'shared/ring/producer.ts': 'joined to its head',
      'shared/ring/ring.ts': 'sealing',
    },
  },
  {
    what: 'a shared word that counts without end, or is compared by its distance',
    pattern: /Atomics\.(?:add|sub)\(|\bflag\([^()]*\)+ ?- |- [\w.]*\bflag\(/,
    allowed: {
      'shared/heartbeat.ts': 'compared for being equal',
      'shared/exit-guard.ts': 'how many threads are inside: bounded by the threads',
      'shared/log-signals.ts':
        'openings of the log: compared for being equal, and never 2^32 of them between two turns',
    },
  },
];

test.each(arithmetic)('32 bits: $what, only where it is bounded', ({ pattern, allowed }) => {
  const found = new Set<string>();
  for (const file of files) {
    const code = readFileSync(new URL(file, src), 'utf8').replace(/^\s*(?:\/\/|\*|\/\*).*$/gm, '');
    for (const line of code.split('\n')) if (pattern.test(line)) found.add(file);
  }
  expect([...found].filter((file) => !Object.hasOwn(allowed, file))).toEqual([]);
  // A place that is gone must not leave its permission behind.
  expect(Object.keys(allowed).filter((file) => !found.has(file))).toEqual([]);
});
