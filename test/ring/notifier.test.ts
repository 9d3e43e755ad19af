// The order of steps that keeps a wake-up from getting lost: say that you sleep, look again, sleep. One thread plays both
// sides here, at the worst moment; threads.test.ts lets real ones find it.
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Notifier, Parker } from '../../src/shared/notifier.ts';

let words: Int32Array;
let channel: MessageChannel;
let notifier: Notifier;
let parker: Parker;

beforeEach(() => {
  words = new Int32Array(new SharedArrayBuffer(16));
  channel = new MessageChannel();
  notifier = new Notifier(words, 2, channel.port1);
  parker = new Parker(words, 2);
});

afterEach(() => {
  channel.port1.close();
});

function messages(): number {
  let count = 0;
  while (receiveMessageOnPort(channel.port2) !== undefined) count++;
  return count;
}

test('work that comes while the sleeper looks for the last time is noticed: it does not sleep', () => {
  const look = (): boolean => {
    expect(words[2]).not.toBe(0); // said already: a bell would ring from here on
    notifier.notify();
    return false;
  };
  parker.block(look, 1000);
  const armed = parker.arm(look);
  expect(armed).toBe(true);
  expect(messages()).toBe(1);
});

test('who finds work stays awake, and is not rung', () => {
  parker.block(() => true, Number.POSITIVE_INFINITY);
  notifier.notify();
  expect(parker.arm(() => true)).toBe(false);
  notifier.notify();
  expect(messages()).toBe(0);
  expect(words[2]).toBe(0);
});

test('a sleep has an end by its bound, and the sleeper is awake then', () => {
  parker.block(() => false, 1);
  expect(words[2]).toBe(0);
});

test('many ring once: one message for all that is published while nobody is up', () => {
  parker.arm(() => false);
  for (let i = 0; i < 5; i++) notifier.notify();
  expect(messages()).toBe(1);
  parker.rise();
  for (let i = 0; i < 5; i++) notifier.notify();
  expect(messages()).toBe(0);
  parker.arm(() => false);
  notifier.notify();
  expect(messages()).toBe(1);
});

test('bells side by side do not ring one another', () => {
  parker.arm(() => false);
  new Notifier(words, 1, channel.port1).notify();
  new Notifier(words, 3, channel.port1).notify();
  expect(messages()).toBe(0);
  expect(words[2]).not.toBe(0);
});
