// Work that is asked for at any moment of its run is done after that moment.
import { expect, test } from 'vitest';
import { Again } from '../../src/subscriptions/again.ts';

const microtasks = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await null;
};

test.each(['ends', 'throws'])(
  'no request is lost, whenever it comes; nothing runs twice at once: a run that %s',
  async (how) => {
    // The request comes so many microtasks after the first one: within the run, at its end, and after it.
    for (let length = 0; length <= 4; length++) {
      for (let at = 0; at <= 12; at++) {
        let [wanted, done, isRunning] = [0, 0, false];
        let together = 0;
        const failures: unknown[] = [];
        const again = new Again(
          async () => {
            if (isRunning) together++;
            isRunning = true;
            await microtasks(length);
            done = wanted; // what it finds, as late as it can look
            isRunning = false;
            if (how === 'throws') throw new Error('how it ends');
          },
          (error) => {
            failures.push(error);
          },
        );
        const ask = (): void => {
          wanted++;
          again.ask();
        };
        ask();
        await microtasks(at);
        ask();
        await again.ended();
        expect([length, at, done, together, failures.length > 0]).toEqual([length, at, 2, 0, how === 'throws']);
      }
    }
  },
);

test('work that asks for itself, in the turn in which it begins, comes again and not within itself', async () => {
  const steps: string[] = [];
  const again = new Again(
    async () => {
      steps.push('begins');
      if (steps.length < 5) again.ask();
      await null;
      steps.push('ends');
    },
    (error) => expect.unreachable(String(error)),
  );
  again.ask();
  expect(steps).toEqual(['begins']);
  await again.ended();
  expect(steps).toEqual(['begins', 'ends', 'begins', 'ends', 'begins', 'ends']);
});
