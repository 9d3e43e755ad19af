// The clock of idempotency keys: it goes on by the monotonic clock, while a store is open, from where the last commit has put
// it. A date that is corrected, in a run or between two, moves it neither way.
import '../leap.ts';

import { expect, onTestFinished, test } from 'vitest';
import { EmbeddedSink } from '../../src/adapters/lmdb/store/sink.ts';
import { TestControlBlock } from '../control-block.ts';
import { leapTo, pass } from '../leap.ts';
import { batchOf, temporaryFolder } from './sample.ts';

const dayMs = 86_400_000;

/** What the clock shows when a store is opened, and behind a commit that is made an hour later. */
async function shownBy(folder: string, position: number): Promise<readonly [number, number]> {
  const control = new TestControlBlock();
  const sink = new EmbeddedSink(folder, 'log-1', { control });
  await sink.open();
  const opened = control.keyClock();
  pass(3_600_000);
  sink.write(batchOf(position, [[{ version: position }]]));
  const closed = control.keyClock();
  await sink.close();
  return [opened, closed];
}

test.each([-30, 30])('the date leaps by %i days between two runs, and within one', async (days) => {
  onTestFinished(() => leapTo(0));
  const folder = temporaryFolder(onTestFinished);
  const [first, last] = await shownBy(folder, 1);
  expect(Math.abs(first - Date.now())).toBeLessThan(dayMs); // a new one begins at the date
  expect(last - first).toBeGreaterThanOrEqual(3_600_000);
  leapTo(days * dayMs);
  const [again, later] = await shownBy(folder, 2);
  expect(again).toBeGreaterThanOrEqual(first + 3_600_000 - 1); // as whole milliseconds
  expect(again - last).toBeLessThan(dayMs);
  const control = new TestControlBlock();
  control.publish('keyClockAhead', 1_000_000);
  const before = control.keyClock();
  leapTo(-days * dayMs);
  expect(Math.abs(control.keyClock() - before)).toBeLessThan(dayMs);
  expect(later).toBeGreaterThan(again);
});
