// Waits for a level: each ends by its bound, with what holds the level up.
import { expect, onTestFinished, test } from 'vitest';
import { TrunklineError } from '../../src/base/errors.ts';
import { heldUpBy } from '../../src/base/wait.ts';
import { Progress } from '../../src/dispatch/progress.ts';
import { Refusals } from '../../src/dispatch/refusals.ts';
import { StoreAnswers } from '../../src/dispatch/store-answers.ts';
import { TestControlBlock } from '../control-block.ts';

const full = new TrunklineError('StoreUnavailable', { store: 'embedded', cause: 'the disk is full' });

function waitingFor(timeoutMs: number): { control: TestControlBlock; progress: Progress } {
  const control = new TestControlBlock();
  const settings = { hasStream: true, isStoreElsewhere: false, waitTimeoutMs: timeoutMs, todaysType: String };
  const progress = new Progress(control, settings, new Refusals(), new StoreAnswers());
  onTestFinished(() => progress.fail(full));
  return { control, progress };
}

test('a wait ends after its bound, with the trouble of the level’s owner as its cause, if it has not moved since', async () => {
  const { control, progress } = waitingFor(20);
  progress.troubled('stored', full);
  const own = progress.reached('stored', 5, undefined, 'own');
  const [stored, published] = await Promise.all([
    progress.reached('stored', 5, undefined).catch((error) => error),
    progress.reached('published', 5, undefined).catch((error) => error),
  ]);
  expect(stored).toMatchObject({ code: 'WaitTimedOut', cause: full, details: { timeoutMs: 20 } });
  expect(heldUpBy(stored)).toBe(full);
  expect(heldUpBy(published)).toBe(published);
  control.publish('stored', 4);
  const later = await progress.reached('stored', 5, undefined).catch((error) => error);
  expect(heldUpBy(later)).toMatchObject({ code: 'WaitTimedOut' });
  control.publish('stored', 5);
  progress.advance();
  await own; // what the runtime itself waits for has no bound
});

test('who reads does not wait for a store that is in trouble: neither from then on, nor when it comes to it', async () => {
  const { control, progress } = waitingFor(1e6);
  const reading = progress.reached('stored', 5, undefined, 'reading');
  const patient = progress.reached('stored', 5, undefined);
  progress.troubled('stored', full);
  await expect(reading).rejects.toBe(full);
  await expect(progress.reached('stored', 5, undefined, 'reading')).rejects.toBe(full);
  control.publish('stored', 5);
  progress.advance();
  await patient;
  await progress.reached('stored', 5, undefined, 'reading');
});
