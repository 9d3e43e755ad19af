// Messages under which a shard has died have it for themselves, one after the other, and none for ever.
import { expect, test } from 'vitest';
import { Suspects } from '../../src/dispatch/suspects.ts';

const never = (): Promise<never> => new Promise(() => {});
const noTurnEnds = 2 ** 30;

test('suspects come one at a time, in order', async () => {
  const suspects = new Suspects(noTurnEnds);
  const heard: string[] = [];
  const first = Promise.withResolvers<void>();
  const attempt = (name: string, end?: Promise<void>) => async () => {
    heard.push(`${name} begins`);
    await end;
    heard.push(`${name} ends`);
  };
  const all = ['b', 'c'].map((name) =>
    suspects.alone(attempt(name, name === 'b' ? first.promise : undefined), () => {}),
  );
  await new Promise((resolve) => setImmediate(resolve));
  expect(heard).toEqual(['b begins']);
  first.resolve();
  await Promise.all(all);
  expect(heard).toEqual(['b begins', 'b ends', 'c begins', 'c ends']);
});

test('one that hangs leaves the line after its turn, and the others are delivered', async () => {
  const suspects = new Suspects(1);
  void suspects.alone(never, () => {});
  void suspects.alone(never, () => {});
  const done = await Promise.all(
    [1, 2, 3].map((n) =>
      suspects.alone(
        async () => n,
        () => {},
      ),
    ),
  );
  expect(done).toEqual([1, 2, 3]);
});

test('a death is charged to what was alone, and to the one that has outlived its turn, not to those beside it', async () => {
  const suspects = new Suspects(1);
  const charged: string[] = [];
  const death = Promise.withResolvers<never>();
  const begun = Promise.withResolvers<void>();
  const dies = (name: string, onBegin = () => {}): Promise<unknown> => {
    const attempt = (): Promise<never> => {
      onBegin();
      return death.promise;
    };
    return suspects.alone(attempt, () => charged.push(name)).catch(() => {});
  };
  const late = dies('late');
  const beside = dies('beside', () => begun.resolve());
  await begun.promise; // so the other has outlived its turn
  death.reject(new Error('the shard died'));
  await Promise.all([late, beside]);
  expect(charged).toEqual(['late']);
  await suspects
    .alone(
      () => Promise.reject(new Error('again')),
      () => charged.push('alone'),
    )
    .catch(() => {});
  expect(charged).toEqual(['late', 'alone']);
});
