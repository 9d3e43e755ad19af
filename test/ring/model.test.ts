import { describe, expect, test } from 'vitest';
import { type Defect, exploreRing, type ModelSizes, type ReaderKind } from './model.ts';

// The counters wrap in the middle of the run.
const sizes: ModelSizes = { capacity: 2, messages: 3, start: 6, wrap: 8 };
const readers: ReaderKind[] = ['blocks', 'serves its event loop'];

describe.each(readers)('a reader that %s', (reader) => {
  test('gets every message, whole and in order, in every interleaving; nobody sleeps for ever', () => {
    const { states, wrong } = exploreRing(sizes, reader);
    expect(wrong).toBeUndefined();
    expect(states).toBeGreaterThan(1000);
  });

  const defects: Defect[] = [
    'publishes by a plain store',
    'does not look again before it sleeps',
    'rings before it publishes',
    'frees the slots before it has read them',
    'does not look for room again before it sleeps',
  ];
  test.each(defects)('a defect planted is found: %s', (defect) => {
    expect(exploreRing(sizes, reader, defect).wrong).toBeDefined();
  });
});
