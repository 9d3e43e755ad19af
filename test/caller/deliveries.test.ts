// What the log is told of messages: it may forget those that are carried out, and knows of none before all are known.
import { mkdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Caller } from '../../src/caller/caller.ts';
import { Deliveries } from '../../src/caller/deliveries.ts';
import { readLastRun } from '../../src/caller/last-run.ts';
import { TrunklineError } from '../../src/errors.ts';
import { FrameKind } from '../../src/frame.ts';
import { LmdbTables } from '../../src/handlers/lmdb/tables.ts';
import { MessageBox } from '../../src/handlers/message-box.ts';
import type { TableStore } from '../../src/handlers/table-store.ts';
import { Tables } from '../../src/handlers/tables.ts';
import { eachFrame } from '../../src/log/frames.ts';
import { Levels } from '../../src/log/levels.ts';
import { type Message, noLetters } from '../../src/message.ts';
import { resolveMessages } from '../../src/message-options.ts';
import { messageKeyPrefix } from '../../src/receipt.ts';
import { scratchFolder, until } from '../runtime/scratch.ts';
import { MemoryLog } from '../store/sample.ts';

const box = (): MessageBox => boxOver(tablesIn());

function tablesIn(open: (folder: string) => Promise<TableStore> = (folder) => LmdbTables.open(folder)): Tables {
  const folder = scratchFolder();
  mkdirSync(folder, { recursive: true });
  return new Tables(() => open(folder), { checkpointDelayMs: 0, stagedChangesLimit: 1000, onError() {} });
}

const boxOver = (tables: Tables): MessageBox => new MessageBox(tables, () => true);

function deliveriesOver(sendNamed: (...args: unknown[]) => Promise<unknown>, levels: Levels): Deliveries {
  const caller = {
    sendNamed,
    reached: async () => {},
    closed: undefined,
    progress: { isStoreElsewhere: false },
  } as unknown as Caller;
  const events = { refused() {}, parked() {}, heldUp() {} };
  return new Deliveries(caller, levels, resolveMessages({ retry: { minDelayMs: 0 } }), events);
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
  deliveries.recover(await readLastRun(log, 1, log.last), box(), noLetters());
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
  deliveries.recover(await readLastRun(log, 1, 0), box(), noLetters());
  // One shard's ring holds the first and the third, another's the second.
  for (const position of [1, 3, 2]) eachFrame(log, position, position, (frame) => deliveries.add(frame, position));
  await Promise.resolve();
  carriedOut[0]!();
  await new Promise((resolve) => setImmediate(resolve));
  deliveries.settledUpTo(log.last);
  expect([deliveries.count, levels.position('settled')]).toEqual([2, 1]);
});

const id = (n: number): string => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;
const messageFrame = (n: number) => ({ kind: FrameKind.message, version: 1, name: 'add', eventId: id(n) });
const outcomeFrame = (n: number) => ({
  kind: FrameKind.receipt,
  version: 2,
  name: `${messageKeyPrefix}${id(n)}`,
  data: { events: 0, expiresAt: 0 },
});
const failure = { error: new Error('once'), attempts: 1 };

test('a start keeps the outcome of a letter that the last run has carried out, until the letter is gone', async () => {
  const log = new MemoryLog();
  log.append([messageFrame(1)], [outcomeFrame(1)]);
  const [letter] = (await readLastRun(log, 1, log.last)).messages as [Message];
  const tables = tablesIn();
  await boxOver(tables).park(letter, failure, false);
  // The next run's box. What is in the log says that the letter was delivered again: a kill came before it was removed.
  const letters = boxOver(tables);
  const lastRun = await readLastRun(log, 1, log.last);
  const kept = await letters.load(1, lastRun.carriedOut);
  const answer = Promise.withResolvers<unknown>();
  const levels = new Levels();
  levels.publish('written', log.last);
  const deliveries = deliveriesOver(() => answer.promise, levels);
  deliveries.recover(lastRun, letters, kept);
  deliveries.settledUpTo(log.last);
  expect([letters.total, levels.position('settled')]).toEqual([1, 0]);
  answer.resolve({});
  await until(
    () => levels.position('settled'),
    (settled) => settled === log.last,
  );
  expect(letters.total).toBe(0);
});

test('what the last run has carried out becomes no dead letter, whatever its target says now', async () => {
  const log = new MemoryLog();
  log.append([messageFrame(1)], [outcomeFrame(1)], [messageFrame(2)]);
  const letters = box();
  const levels = new Levels();
  levels.publish('written', log.last);
  const deliveries = deliveriesOver(() => Promise.reject(new TrunklineError('CommandFailed', {} as never)), levels);
  deliveries.recover(await readLastRun(log, 1, log.last), letters, noLetters());
  deliveries.settledUpTo(log.last);
  await until(
    () => levels.position('settled'),
    (settled) => settled === log.last,
  );
  expect([letters.total, deliveries.failedCount]).toEqual([1, 1]); // the second one, which has no outcome
});

test('a box that cannot be written for a moment loses no letter, no count and nothing behind it', async () => {
  let refuses = false;
  const tables = tablesIn(async (folder) => {
    const store = await LmdbTables.open(folder);
    const commit = store.commit.bind(store);
    store.commit = async (changes) => {
      if (!refuses) return commit(changes);
      refuses = false;
      throw new TrunklineError('StoreFailed', { dataDir: '', cause: 'for once' });
    };
    return store;
  });
  await tables.open();
  const letters = boxOver(tables);
  const log = new MemoryLog();
  log.append([messageFrame(1)], [messageFrame(2)]);
  const levels = new Levels();
  const deliveries = deliveriesOver(async () => {
    refuses = true;
    throw new TrunklineError('CommandFailed', {} as never);
  }, levels);
  deliveries.recover(await readLastRun(log, 1, log.last), letters, noLetters());
  deliveries.settledUpTo(log.last);
  await until(
    () => [deliveries.letters, levels.position('settled')],
    ([count, settled]) => count === 2 && settled === log.last,
  );
  const kept: unknown[] = [];
  for await (const { reason, attempts } of letters.letters()) kept.push([reason, attempts]);
  expect(kept).toEqual([
    ['failed', 5],
    ['behind', 0],
  ]);
});

test('nothing waits behind a letter that is gone by the time it would be kept', async () => {
  const letters = box();
  const log = new MemoryLog();
  log.append([messageFrame(1)], [messageFrame(2)]);
  const [first, second] = (await readLastRun(log, 1, log.last)).messages as [Message, Message];
  await letters.park(first, failure, false);
  const [discarded, parked] = await Promise.all([
    letters.discard([first], () => {}),
    letters.park(second, undefined, false),
  ]);
  expect([discarded.length, parked, letters.total]).toEqual([1, false, 0]);
  // Nor does one that has failed again come back once it is discarded.
  expect(await letters.park(first, failure, true)).toBe(false);
  expect(await letters.discard([first], () => {})).toEqual([]);
});
