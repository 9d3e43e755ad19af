// The shared words: each has a place of its own.
import { expect, test } from 'vitest';
import { Levels, LevelWord, Position, type PositionName } from '../../src/shared/levels.ts';

test.each([
  ['positions', Position],
  ['words', LevelWord],
])('no two %s share a place', (_, places: Record<string, number>) => {
  const byPlace = Map.groupBy(Object.keys(places), (name) => places[name]!);
  expect([...byPlace.values()].filter((names) => names.length > 1)).toEqual([]);
});

test('each position is read as it was published, whatever else is', () => {
  const levels = new Levels();
  const names = Object.keys(Position) as PositionName[];
  for (const [index, name] of names.entries()) levels.publish(name, 2 ** 40 + index);
  for (const [index, name] of names.entries()) expect([name, levels.position(name)]).toEqual([name, 2 ** 40 + index]);
});
