// The shared words: each has a place of its own.
import { expect, test } from 'vitest';
import { ControlBlock, Signal, Watermark, type WatermarkName } from '../../src/shared/control-block.ts';

test.each([
  ['positions', Watermark],
  ['words', Signal],
])('no two %s share a place', (_, places: Record<string, number>) => {
  const byPlace = Map.groupBy(Object.keys(places), (name) => places[name]!);
  expect([...byPlace.values()].filter((names) => names.length > 1)).toEqual([]);
});

test('each position is read as it was published, whatever else is', () => {
  const control = new ControlBlock();
  const names = Object.keys(Watermark) as WatermarkName[];
  for (const [index, name] of names.entries()) control.publish(name, 2 ** 40 + index);
  for (const [index, name] of names.entries()) expect([name, control.position(name)]).toEqual([name, 2 ** 40 + index]);
});
