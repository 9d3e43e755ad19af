// What counts as a shortage, and how long one excuses a shard that cannot be started.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { isShortage } from '../../src/base/shortage.ts';
import { ShardLives } from '../../src/dispatch/shard-lives.ts';

/** As Node makes it of what the system has answered. */
const system = (code: string, errno: number): Error => Object.assign(new Error(`${code}: open 'x'`), { code, errno });
const emfile = (): Error => system('EMFILE', -24);
const caused = (error: unknown, cause: unknown): Error => Object.assign(new Error(String(error)), { cause });

function refusal(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return error;
  }
}

const cyclic = new Error('of itself');
cyclic.cause = cyclic;
const deep = (depth: number): Error => (depth === 0 ? emfile() : caused('above', deep(depth - 1)));
const packageConfig = (message: string): Error =>
  Object.assign(new Error(message), { code: 'ERR_INVALID_PACKAGE_CONFIG' });

test.each([
  ['no descriptor is left', emfile(), true],
  ['no memory is left', system('ENOMEM', -12), true],
  ['the cause of what failed', caused('cannot load', emfile()), true],
  ['a cause far below', deep(7), true],
  ['a cause too far below', deep(8), false],
  ['a cause of itself', cyclic, false],
  ['a file that is missing', refusal(() => readFileSync('/nowhere/at/all')), false],
  ['the code alone, as anybody may set it', Object.assign(new Error('x'), { code: 'EMFILE' }), false],
  ['a code with the number of another', system('EMFILE', -2), false],
  ['words alone', new Error('EMFILE: too many open files'), false],
  ['a package.json that could not be read', packageConfig('Cannot read package config x'), true],
  ['a package.json that is wrong', packageConfig('Invalid package config x'), false],
  ['no error', 'EMFILE', false],
  ['nothing', undefined, false],
  [
    'what cannot be looked at',
    Object.defineProperty(new Error('x'), 'code', {
      get: () => {
        throw new Error('no');
      },
    }),
    false,
  ],
])('%s', (_, error, is) => {
  expect(isShortage(error)).toBe(is);
});

const settings = { attempts: 3, minDelayMs: 1, maxDelayMs: 1, timeoutMs: 1_000 };
const failShort = (lives: ShardLives): void => {
  lives.short();
  lives.failed('EMFILE');
};

test('starts that fail for want of something are not counted, as long as that may pass', () => {
  const lives = new ShardLives(settings, 60_000);
  for (let i = 0; i < 10; i++) failShort(lives);
  expect([lives.atStart, lives.isHopeless]).toEqual([0, false]);
});

test('a shortage that lasts longer than one does is counted', async () => {
  const lives = new ShardLives(settings, 1);
  failShort(lives);
  const failAgain = (): boolean => {
    failShort(lives);
    return lives.isHopeless;
  };
  await expect.poll(failAgain, { interval: 5 }).toBe(true);
});

test('a failure of another kind ends the excuse, and a start begins it anew', () => {
  const lives = new ShardLives(settings, 60_000);
  failShort(lives);
  for (let i = 0; i < 2; i++) lives.failed('no module');
  expect(lives.atStart).toBe(2);
  lives.failed('no module');
  expect(lives.isHopeless).toBe(true);
  const again = new ShardLives(settings, 60_000);
  again.short();
  again.begun();
  again.failed('no module');
  expect(again.atStart).toBe(1);
});

test('what is down says for how long, how often it was tried, and why; what runs says nothing', () => {
  const lives = new ShardLives(settings);
  expect(lives.down).toBeUndefined();
  lives.gone('it ran out of memory');
  expect(lives.down).toMatchObject({ failedStarts: 0, lastError: 'it ran out of memory' });
  failShort(lives);
  expect(lives.down).toMatchObject({ failedStarts: 1, lastError: 'EMFILE' });
  lives.begun();
  expect(lives.down).toBeUndefined();
});
