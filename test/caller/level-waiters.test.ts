// Waiters for a level against a plain list: released exactly when their position is reached.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TrunklineError } from '../../src/base/errors.ts';
import { LevelWaiters } from '../../src/dispatch/level-waiters.ts';

type State = 'waiting' | 'released' | 'removed' | TrunklineError;

test('each is released once, when its position is reached; who left, never', () => {
  const move = fc.oneof(
    fc.record({ add: fc.nat(50) }),
    fc.record({ remove: fc.nat(30) }),
    fc.record({ advance: fc.nat(10) }),
    fc.record({ fail: fc.constant(true) }),
  );
  fc.assert(
    fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
      const waiters = new LevelWaiters();
      const states: { position: number; state: State; waiter: ReturnType<LevelWaiters['add']> }[] = [];
      let level = 0;
      const settle = (index: number, state: State): void => {
        expect(states[index]!.state).toBe('waiting');
        states[index]!.state = state;
      };
      for (const one of moves) {
        if ('add' in one) {
          const index = states.length;
          const waiter = waiters.add(
            one.add,
            () => settle(index, 'released'),
            (error) => settle(index, error as TrunklineError),
          );
          states.push({ position: one.add, state: 'waiting', waiter });
        } else if ('remove' in one) {
          const chosen = states[one.remove];
          if (chosen?.state !== 'waiting') continue;
          waiters.remove(chosen.waiter);
          chosen.state = 'removed';
        } else if ('advance' in one) {
          level += one.advance;
          const due = states.filter(({ state, position }) => state === 'waiting' && position <= level);
          waiters.advance(level);
          for (const { state } of due) expect(state).toBe('released');
        } else {
          const error = new TrunklineError('LogPoisoned', { cause: 'test' });
          const left = states.filter(({ state }) => state === 'waiting');
          waiters.fail(error);
          for (const { state } of left) expect(state).toBe(error);
        }
        expect(waiters.isEmpty).toBe(states.every(({ state }) => state !== 'waiting'));
      }
    }),
  );
});

const never = (error: unknown): never => {
  throw error;
};

test('one that is added while others are released waits for its own position', () => {
  const waiters = new LevelWaiters();
  const seen: number[] = [];
  waiters.add(
    1,
    () => {
      seen.push(1);
      waiters.add(5, () => seen.push(5), never);
    },
    never,
  );
  waiters.add(2, () => seen.push(2), never);
  waiters.advance(2);
  expect(seen).toEqual([1, 2]);
  expect(waiters.isEmpty).toBe(false);
  waiters.advance(5);
  expect(seen).toEqual([1, 2, 5]);
});
