// What the log is told of messages: it may forget those that are carried out, and knows of none before all are known.
import { expect, test } from 'vitest';
import type { Caller } from '../../src/caller/caller.ts';
import { Deliveries } from '../../src/caller/deliveries.ts';
import { FrameKind } from '../../src/frame.ts';
import { eachFrame } from '../../src/log/frames.ts';
import { Levels } from '../../src/log/levels.ts';
import type { KeptLetters, LetterBox } from '../../src/message.ts';
import { resolveMessages } from '../../src/message-options.ts';
import { MemoryLog } from '../store/sample.ts';

const nothingKept: KeptLetters = { lanes: new Map(), requeued: [], resolved: new Set() };
const noBox = {} as LetterBox;

function deliveriesOver(sendNamed: () => Promise<unknown>, levels: Levels): Deliveries {
  const caller = { sendNamed, reached: async () => {} } as unknown as Caller;
  const events = { refused() {}, parked() {}, heldUp() {} };
  return new Deliveries(caller, levels, resolveMessages(), events);
}

test('a start says nothing of messages before it has found those of the last run', async () => {
  const log = new MemoryLog();
  log.append(
    [{ version: 1 }],
    [{ version: 2 }, { kind: FrameKind.message, version: 2, name: 'add' }],
    [{ version: 3 }],
  );
  const carriedOut: (() => void)[] = [];
  const sendNamed = (): Promise<unknown> => new Promise<void>((resolve) => carriedOut.push(resolve));
  const levels = new Levels();
  const deliveries = deliveriesOver(sendNamed, levels);
  // The caller's turns begin before: with the log as it is, all of it would count as done.
  deliveries.settledUpTo(log.last);
  expect(levels.position('settled')).toBe(0);
  deliveries.recover(log, 1, log.last, noBox, nothingKept);
  deliveries.settledUpTo(log.last);
  expect([deliveries.count, levels.position('settled')]).toEqual([1, 2]);
  await Promise.resolve();
  carriedOut[0]!();
  await new Promise((resolve) => setImmediate(resolve));
  expect([deliveries.count, levels.position('settled')]).toEqual([0, log.last]);
});

test('messages that several rings bring in one turn are done in log order, whatever order they came in', async () => {
  const log = new MemoryLog();
  const message = { kind: FrameKind.message, version: 1, name: 'add' };
  log.append([message], [message], [message]);
  const carriedOut: (() => void)[] = [];
  const sendNamed = (): Promise<unknown> => new Promise<void>((resolve) => carriedOut.push(resolve));
  const levels = new Levels();
  const deliveries = deliveriesOver(sendNamed, levels);
  deliveries.recover(log, 1, 0, noBox, nothingKept);
  // One shard's ring holds the first and the third, another's the second.
  for (const position of [1, 3, 2]) eachFrame(log, position, position, (frame) => deliveries.add(frame, position));
  await Promise.resolve();
  carriedOut[0]!();
  await new Promise((resolve) => setImmediate(resolve));
  deliveries.settledUpTo(log.last);
  expect([deliveries.count, levels.position('settled')]).toEqual([2, 1]);
});
