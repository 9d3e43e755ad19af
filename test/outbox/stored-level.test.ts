// Whether a database has gone back: known by what the flusher has said and the database says, each time once.
import { expect, test } from 'vitest';
import { StoredLevel } from '../../src/outbox/stored-level.ts';

test('it has gone back where it has less than the flusher has said; once, however long the flusher does not look', () => {
  const level = new StoredLevel();
  level.look(10);
  expect([level.hasGoneBack(10), level.hasGoneBack(12)]).toEqual([false, false]);
  level.look(20);
  expect(level.hasGoneBack(15)).toBe(true);
  level.look(20); // it has not looked since
  expect([level.hasGoneBack(15), level.hasGoneBack(14)]).toEqual([false, true]);
  level.look(14); // it has
  level.look(20);
  expect(level.hasGoneBack(19)).toBe(true);
});
