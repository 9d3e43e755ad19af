// The checkpoint: whatever order events are done in, it says all that is done and no more.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DoneRanges } from '../../src/handler-state/done-ranges.ts';
import { type Pending, Tracker } from '../../src/subscriptions/tracker.ts';

test('the low-water mark and the ranges above it say exactly what is done', () => {
  const step = fc.record({
    gap: fc.integer({ min: 1, max: 3 }),
    kind: fc.constantFrom('begin', 'passed', 'complete'),
    pick: fc.nat(50),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const tracker = new Tracker(0);
      const open: Pending[] = [];
      const undone = new Set<number>();
      const wanted: number[] = [];
      let position = 0;
      for (const { gap, kind, pick } of steps) {
        if (kind === 'complete' && open.length > 0) {
          const [pending] = open.splice(pick % open.length, 1);
          undone.delete(pending!.position);
          tracker.complete(pending!);
        } else {
          position += gap;
          wanted.push(position);
          if (kind === 'passed') tracker.passed(position);
          else {
            open.push(tracker.begin(position, 0));
            undone.add(position);
          }
        }
        const { low } = tracker;
        const done = new DoneRanges(tracker.done());
        expect(tracker.isIdle).toBe(undone.size === 0);
        expect(low).toBe(undone.size === 0 ? position : Math.min(...undone) - 1);
        for (const one of wanted) if (one > low) expect(done.has(one)).toBe(!undone.has(one));
        expect(tracker.count).toBe(wanted.filter((one) => one > low).length);
      }
    }),
  );
});

test('a run that ends before it has come to what an earlier one has done still says so', () => {
  const tracker = new Tracker(10, [12, 15, 20, 30]);
  expect(tracker.done()).toEqual([12, 15, 20, 30]);
  const pending = tracker.begin(11, 0);
  expect([tracker.wasDone(12), tracker.low, tracker.done()]).toEqual([true, 10, [12, 15, 20, 30]]);
  tracker.passed(14);
  expect(tracker.done()).toEqual([14, 14, 15, 15, 20, 30]);
  tracker.scanned(25);
  expect(tracker.done()).toEqual([14, 14, 26, 30]);
  tracker.complete(pending);
  expect([tracker.low, tracker.done()]).toEqual([25, [26, 30]]);
});
