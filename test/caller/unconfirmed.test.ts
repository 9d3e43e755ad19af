// Answers that a store elsewhere has still to confirm: one that it cannot say anything of for a moment stops none of the others.
import { expect, test } from 'vitest';
import { TrunklineError } from '../../src/base/errors.ts';
import { type Answer, Unconfirmed } from '../../src/dispatch/unconfirmed.ts';
import { until } from '../runtime/scratch.ts';

const answer = (whenAt: () => Promise<void>): Answer => ({ whenAt }) as unknown as Answer;
const quarantined = (): Promise<never> =>
  Promise.reject(
    new TrunklineError('Quarantined', { aggregateType: '', aggregateId: '', version: 1, position: 1, reason: '' }),
  );

test('whatever a confirmation is rejected with, it is asked for again, and those behind it have their turn', async () => {
  const ends: [string, boolean][] = [];
  const unconfirmed = new Unconfirmed<string>(
    (of, isStored) => {
      ends.push([of, isStored]);
      if (of === 'throws') throw new Error('of who is told');
    },
    () => false,
  );
  let fails = true;
  const once = async (): Promise<void> => {
    if (!fails) return;
    fails = false;
    throw new TypeError('of ours');
  };
  unconfirmed.add(
    'throws',
    answer(async () => {}),
  );
  unconfirmed.add('fails once', answer(once));
  unconfirmed.add('refused', answer(quarantined));
  await until(
    () => ends.length,
    (count) => count === 3,
  );
  unconfirmed.add(
    'later',
    answer(async () => {}),
  );
  await until(
    () => ends.length,
    (count) => count === 4,
  );
  expect(ends).toEqual([
    ['throws', true],
    ['fails once', true],
    ['refused', false],
    ['later', true],
  ]);
});

test('what ends the runtime ends the asking, and nothing that was not confirmed counts', async () => {
  const ends: string[] = [];
  let hasStopped = false;
  const unconfirmed = new Unconfirmed<string>(
    (of) => ends.push(of),
    () => hasStopped,
  );
  const { promise, reject } = Promise.withResolvers<void>();
  unconfirmed.add(
    'a',
    answer(() => promise),
  );
  unconfirmed.add(
    'b',
    answer(async () => {}),
  );
  hasStopped = true;
  reject(new Error('closed'));
  await new Promise((resolve) => setImmediate(resolve));
  expect(ends).toEqual([]);
});
