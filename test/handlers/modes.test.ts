// The modes of a subscription, by their table; and that what waits for an end of executions is woken, never looks again and again.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { Condition } from '../../src/subscriptions/condition.ts';
import { type Mode, mayLead, stateOf } from '../../src/subscriptions/subscription-mode.ts';

const all: readonly Mode[] = ['starting', 'catching up', 'live', 'held', 'paused', 'stopped', 'failed', 'closed'];
const from = (mode: Mode): Mode[] => all.filter((to) => mayLead(mode, to));

test('each mode can be reached, none leads to itself or back to the start, and two are final', () => {
  const reached = new Set<Mode>(['starting']);
  for (const mode of reached) for (const to of from(mode)) reached.add(to);
  expect([...reached].sort()).toEqual([...all].sort());
  for (const mode of all) expect(from(mode)).not.toContain(mode);
  expect(all.filter((mode) => from(mode).includes('starting'))).toEqual([]);
  expect(all.filter((mode) => from(mode).length === 0)).toEqual(['failed', 'closed']);
});

test('from each mode that is not final it may fail and close, and events are taken only behind the checkpoint', () => {
  for (const mode of all.filter((one) => from(one).length > 0)) {
    expect(from(mode)).toEqual(expect.arrayContaining(['failed', 'closed']));
  }
  expect(all.filter((mode) => mayLead(mode, 'live'))).toEqual(['catching up']);
  expect(all.filter((mode) => mayLead(mode, 'catching up'))).toEqual(['starting', 'live', 'held']);
});

test('one that is held is shown as what it will be', () => {
  expect(all.map((mode) => stateOf(mode, false))).toEqual(all.map((mode) => (mode === 'held' ? 'catching up' : mode)));
  expect(stateOf('held', true)).toBe('paused');
  expect(stateOf('stopped', true)).toBe('stopped');
});

test('what waits for a condition looks when it has changed, and goes on only if it holds', async () => {
  const condition = new Condition();
  let count = 2;
  const seen: number[] = [];
  const waits = [1, 2].map(() => condition.until(() => count === 0).then(() => seen.push(count)));
  for (; count > 0; ) {
    count--;
    condition.changed();
    await new Promise(setImmediate);
  }
  expect(seen).toEqual([0, 0]);
  await Promise.all([...waits, condition.until(() => count === 0)]);
});

test('nothing in the handlers looks again and again for what another part of them could tell', () => {
  const folder = fileURLToPath(new URL('../../src', import.meta.url));
  const polls = /while \([^\n]*\)\s*\{?\s*await (?:new Promise(?:<void>)?\(\(resolve\) => setTimeout\(|pause\()/;
  const rooms = '{handler-state,dead-letters,subscriptions,projections,adapters,runtime}/**/*.ts';
  const found = globSync(rooms, { cwd: folder }).filter((file) => polls.test(readFileSync(join(folder, file), 'utf8')));
  expect(found).toEqual([]);
});
