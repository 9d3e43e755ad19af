// One long aggregate whose state keeps each event: a rehearsal compares few of its states, lets others run, and can be ended.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRuntime } from '../../src/index.ts';
import { type Rehearsal, rehearse } from '../../src/testing.ts';
import { Ledger, ledger, looked } from './ledgers.ts';

const long = 3_000;
let dataDir: string;
const same = (n: number): number => n;
const since =
  (first: number) =>
  (n: number): number =>
    n === first ? -1 : n;

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'trunkline-rehearsal-long-'));
  await using runtime = await createRuntime({ logger: false, dataDir, shards: 1, aggregates: [Ledger] });
  for (let i = 1; i <= long; i += 500) await runtime.ref(Ledger, 'l-1').add(i, 500);
}, 60_000);
afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

const compared = (now: ReturnType<typeof ledger>, more: object = {}): Promise<Rehearsal> =>
  rehearse({ dataDir, old: [ledger(same)], new: [now], ...more });

test.each([1, 2, 64, 375, 376, 1_777, long - 1, long])('the event %i, by few comparisons', async (first) => {
  looked.count = 0;
  const { differences, events } = await compared(ledger(since(first)));
  expect([events, differences.map(({ version }) => version)]).toEqual([long, [first]]);
  // Both sides of each state; eight versions of at most four folds, and the end twice.
  expect(looked.count).toBeLessThan(2 * long * 36);
});

test('a signal and timers come within a fold, and it goes on with the aggregate that was not finished', async () => {
  const ended = new AbortController();
  let last = 0;
  const slow = ledger(same, (n) => {
    last = n;
    if (n === 1) setImmediate(() => ended.abort());
    if (n % 16 !== 0) return;
    const end = performance.now() + 5; // some of these are a turn
    while (performance.now() < end);
  });
  const first = await compared(slow, { signal: ended.signal });
  expect(first).toMatchObject({ aggregates: 0, events: 0, next: { aggregateType: 'ledger', aggregateId: 'l-1' } });
  expect(last).toBeLessThan(long);
  expect(await compared(ledger(same), { from: first.next })).toMatchObject({ aggregates: 1, next: undefined });
});

test('also while the first difference is looked for', async () => {
  const ended = new AbortController();
  let folds = 0;
  const slow = ledger(since(long), (n) => {
    if (n === 1 && ++folds === 2) setImmediate(() => ended.abort());
    if (folds < 2 || n % 16 !== 0) return;
    const end = performance.now() + 5;
    while (performance.now() < end);
  });
  const { differences, different, next } = await compared(slow, { signal: ended.signal });
  expect({ differences, different, next }).toEqual({
    ...{ differences: [], different: 0 },
    next: { aggregateType: 'ledger', aggregateId: 'l-1' },
  });
});
