// Blocks that were unpacked last: copies, within a bound, and never another block.
import { expect, test } from 'vitest';
import type { BlockView } from '../../src/adapters/lmdb/store/block.ts';
import { BlockCache } from '../../src/adapters/lmdb/store/block-cache.ts';

const bytesOf = (view: BlockView | undefined): Buffer | undefined => view?.block.bytes;
const block = (key: number, length: number): Buffer => Buffer.alloc(length, key);

test('what is kept is a copy, and what was kept last stays', () => {
  const cache = new BlockCache(2_000);
  const first = block(1, 300);
  cache.put(1, first);
  first.fill(9);
  expect(bytesOf(cache.get(1))).toEqual(block(1, 300));
  for (let key = 2; key <= 50; key++) {
    cache.put(key, block(key, 300));
    for (const kept of [key, key - 1]) expect(bytesOf(cache.get(kept))).toEqual(block(kept, 300));
    let found = 0;
    for (let at = 1; at <= key; at++) {
      const known = cache.get(at);
      if (known === undefined) continue;
      found++;
      expect(bytesOf(known)).toEqual(block(at, 300));
    }
    expect(found).toBeLessThanOrEqual(6); // three in each half
  }
});

test('one that is larger than a half is not kept, and does no harm', () => {
  const cache = new BlockCache(2_000);
  cache.put(1, block(1, 300));
  cache.put(2, block(2, 5_000));
  expect(cache.get(2)).toBeUndefined();
  expect(bytesOf(cache.get(1))).toEqual(block(1, 300));
});
