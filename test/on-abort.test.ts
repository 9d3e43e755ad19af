// Waits with one signal: each hears of the abort once, in its order, and the signal knows of one listener at most.
import { expect, test } from 'vitest';
import { onAbort, pauseUnless } from '../src/base/on-abort.ts';

/** A signal that counts how often it is listened to. */
function counted(): { controller: AbortController; listeners: () => [now: number, ever: number] } {
  const controller = new AbortController();
  const { signal } = controller;
  const added = new Set<unknown>();
  let ever = 0;
  const { addEventListener, removeEventListener } = signal;
  Object.assign(signal, {
    addEventListener(type: 'abort', listener: () => void, options: object) {
      ever++;
      added.add(listener);
      addEventListener.call(signal, type, listener, options);
    },
    removeEventListener(type: 'abort', listener: () => void) {
      added.delete(listener);
      removeEventListener.call(signal, type, listener);
    },
  });
  return { controller, listeners: () => [added.size, ever] };
}

test('however many wait with a signal, it has one listener, and none when they have left', () => {
  const { controller, listeners } = counted();
  for (const round of [1, 2]) {
    const heard: number[] = [];
    const leave = Array.from({ length: 1000 }, (_, i) => onAbort(controller.signal, () => heard.push(i)));
    expect(listeners()).toEqual([1, round]);
    for (const one of leave.reverse()) {
      one();
      one(); // a second time changes nothing
    }
    expect([listeners()[0], heard]).toEqual([0, []]);
  }
});

test('at the abort each is called once, in order; who leaves meanwhile is not, who comes is called at once', () => {
  const { controller, listeners } = counted();
  const { signal } = controller;
  const heard: string[] = [];
  const leaves: (() => void)[] = [];
  onAbort(signal, () => {
    heard.push('first');
    leaves[1]!();
    onAbort(signal, () => heard.push('late'));
    throw new Error('of one alone');
  });
  for (const name of ['second', 'third', 'fourth']) leaves.push(onAbort(signal, () => heard.push(name)));
  controller.abort();
  expect(heard).toEqual(['first', 'late', 'second', 'fourth']);
  for (const leave of leaves) leave();
  onAbort(signal, () => heard.push('afterwards'))();
  expect(heard.slice(4)).toEqual(['afterwards']);
  expect(listeners()[1]).toBe(1);
});

test('a pause is over in its time, or as soon as its signal aborts; it leaves nothing with the signal', async () => {
  const { controller, listeners } = counted();
  const { signal } = controller;
  expect(await Promise.all([pauseUnless(signal, 1), pauseUnless(signal, 2)])).toEqual([true, true]);
  expect(listeners()).toEqual([0, 1]);
  const long = [pauseUnless(signal, 2 ** 40), pauseUnless(signal, 60_000)];
  controller.abort();
  expect(await Promise.all([...long, pauseUnless(signal, 60_000)])).toEqual([false, false, false]);
});
