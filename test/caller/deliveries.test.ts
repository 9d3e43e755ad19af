// What the log is told of messages: it may forget those that are carried out, and knows of none before all are known.
import { mkdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { LmdbTables } from '../../src/adapters/lmdb/handlers/tables.ts';
import { TrunklineError } from '../../src/base/errors.ts';
import { MessageBox } from '../../src/dead-letters/message-box.ts';
import { Deliveries } from '../../src/dispatch/deliveries.ts';
import type { MessageSender } from '../../src/dispatch/delivery.ts';
import { readLastRun } from '../../src/dispatch/last-run.ts';
import { Outcomes } from '../../src/dispatch/outcomes.ts';
import { stretchFrom } from '../../src/dispatch/stretch.ts';
import { StateTables } from '../../src/handler-state/handler-state.ts';
import type { HandlerStateStore } from '../../src/handler-state/handler-state-store.ts';
import { eachFrame } from '../../src/log/frames.ts';
import { resolveMessages } from '../../src/model/message-options.ts';
import { messageKeyPrefix } from '../../src/model/receipt.ts';
import { Signal } from '../../src/shared/control-block.ts';
import { FrameKind } from '../../src/wire/frame.ts';
import { type KeptLetters, laneOf, type Message, noLetters } from '../../src/wire/message.ts';
import { TestControlBlock } from '../control-block.ts';
import { scratchFolder, until } from '../runtime/scratch.ts';
import { MemoryLog } from '../store/sample.ts';

const messagesIn = (log: MemoryLog): Message[] => stretchFrom(log, 1, log.last, 1000).messages;

const box = (): MessageBox => boxOver(tablesIn());

function tablesIn(
  open: (folder: string) => Promise<HandlerStateStore> = (folder) => LmdbTables.open(folder),
): StateTables {
  const folder = scratchFolder();
  mkdirSync(folder, { recursive: true });
  return new StateTables(() => open(folder), { checkpointDelayMs: 0, stagedChangesLimit: 1000, onError() {} });
}

const boxOver = (handlerState: StateTables): MessageBox => new MessageBox(handlerState, () => true);

interface Around {
  isStoreElsewhere?: boolean;
  /** Until what is written is synced. */
  synced?: () => Promise<void>;
}

function deliveriesOver(
  sendNamed: (...args: any[]) => Promise<unknown>,
  control: TestControlBlock,
  { isStoreElsewhere = false, synced = async () => {} }: Around = {},
): Deliveries {
  const caller = {
    sendNamed,
    reached: synced,
    closed: undefined,
    progress: { isStoreElsewhere },
  } as unknown as MessageSender;
  const events = { refused() {}, parked() {}, heldUp() {} };
  return new Deliveries(caller, control, resolveMessages({ retry: { minDelayMs: 0 } }), events);
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
  const control = new TestControlBlock();
  const deliveries = deliveriesOver(sendNamed, control);
  // The caller's turns begin before: with the log as it is, all of it would count as done.
  deliveries.settledUpTo(log.last);
  expect(control.position('settled')).toBe(0);
  deliveries.recover(await readLastRun(log, 1, log.last), box(), noLetters());
  deliveries.settledUpTo(log.last);
  expect([deliveries.counts.underWay, control.position('settled')]).toEqual([1, 2]);
  await Promise.resolve();
  carriedOut[0]!();
  await new Promise((resolve) => setImmediate(resolve));
  expect([deliveries.counts.underWay, control.position('settled')]).toEqual([0, log.last]);
});

test('messages that several rings bring in one turn are done in log order, whatever order they came in', async () => {
  const log = new MemoryLog();
  const message = { kind: FrameKind.message, version: 1, name: 'add' };
  log.append([message], [message], [message]);
  const carriedOut: (() => void)[] = [];
  const sendNamed = (): Promise<unknown> => new Promise<void>((resolve) => carriedOut.push(resolve));
  const control = new TestControlBlock();
  const deliveries = deliveriesOver(sendNamed, control);
  deliveries.recover(await readLastRun(log, 1, 0), box(), noLetters());
  // One shard's ring holds the first and the third, another's the second.
  for (const position of [1, 3, 2]) eachFrame(log, position, position, (frame) => deliveries.add(frame, position));
  await Promise.resolve();
  carriedOut[0]!();
  await new Promise((resolve) => setImmediate(resolve));
  deliveries.settledUpTo(log.last);
  expect([deliveries.counts.underWay, control.position('settled')]).toEqual([2, 1]);
});

const id = (n: number): string => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;
const messageFrame = (n: number) => ({ kind: FrameKind.message, version: 1, name: 'add', eventId: id(n) });
const outcomeFrame = (n: number) => ({
  kind: FrameKind.receipt,
  version: 2,
  name: `${messageKeyPrefix}${id(n)}`,
  data: { events: 0, expiresAt: 1 },
});
const failure = { error: new Error('once'), attempts: 1 };

/** The first message of a log, as a letter that an earlier run has kept; and the next run's box. */
async function keptLetter(log: MemoryLog): Promise<{ letter: Message; letters: MessageBox }> {
  const [letter] = messagesIn(log) as [Message];
  const handlerState = tablesIn();
  await boxOver(handlerState).park(letter, failure, false);
  return { letter, letters: boxOver(handlerState) };
}

test('a start keeps the outcome of a letter that the last run has carried out, until the letter is gone', async () => {
  const log = new MemoryLog();
  log.append([messageFrame(1)], [outcomeFrame(1)]);
  // What is in the log says that the letter was delivered again: a kill came before it was removed.
  const { letters } = await keptLetter(log);
  const lastRun = await readLastRun(log, 1, log.last);
  const kept = await letters.load(1, lastRun.carriedOut);
  const synced = Promise.withResolvers<void>();
  const control = new TestControlBlock();
  control.publish('written', log.last);
  const notAsked = (): never => expect.unreachable('its outcome is in the log');
  const deliveries = deliveriesOver(notAsked, control, { synced: () => synced.promise });
  deliveries.recover(lastRun, letters, kept);
  deliveries.settledUpTo(log.last);
  expect([letters.total, control.position('settled')]).toEqual([1, 0]);
  synced.resolve();
  await until(
    () => control.position('settled'),
    (settled) => settled === log.last,
  );
  expect(letters.total).toBe(0);
});

test('what the last run has carried out becomes no dead letter, whatever its target says now', async () => {
  const log = new MemoryLog();
  log.append([messageFrame(1)], [outcomeFrame(1)], [messageFrame(2)]);
  const letters = box();
  const control = new TestControlBlock();
  control.publish('written', log.last);
  const deliveries = deliveriesOver(() => Promise.reject(new TrunklineError('CommandFailed', {} as never)), control);
  deliveries.recover(await readLastRun(log, 1, log.last), letters, noLetters());
  deliveries.settledUpTo(log.last);
  await until(
    () => control.position('settled'),
    (settled) => settled === log.last,
  );
  expect([letters.total, deliveries.counts.failed]).toEqual([1, 1]); // the second one, which has no outcome
});

test('a box that cannot be written for a moment loses no letter, no count and nothing behind it', async () => {
  let refuses = false;
  const handlerState = tablesIn(async (folder) => {
    const store = await LmdbTables.open(folder);
    const commit = store.commit.bind(store);
    store.commit = async (changes) => {
      if (!refuses) return commit(changes);
      refuses = false;
      throw new TrunklineError('StoreFailed', { dataDir: '', cause: 'for once' });
    };
    return store;
  });
  await handlerState.open();
  const letters = boxOver(handlerState);
  const log = new MemoryLog();
  log.append([messageFrame(1)], [messageFrame(2)]);
  const control = new TestControlBlock();
  const deliveries = deliveriesOver(async () => {
    refuses = true;
    throw new TrunklineError('CommandFailed', {} as never);
  }, control);
  deliveries.recover(await readLastRun(log, 1, log.last), letters, noLetters());
  deliveries.settledUpTo(log.last);
  await until(
    () => [deliveries.counts.deadLetters, control.position('settled')],
    ([count, settled]) => count === 2 && settled === log.last,
  );
  const kept: unknown[] = [];
  for await (const { reason, attempts } of letters.letters((one) => one)) kept.push([reason, attempts]);
  expect(kept).toEqual([
    ['failed', 5],
    ['behind', 0],
  ]);
});

test('nothing waits behind a letter that is gone by the time it would be kept', async () => {
  const letters = box();
  const log = new MemoryLog();
  log.append([messageFrame(1)], [messageFrame(2)]);
  const [first, second] = messagesIn(log) as [Message, Message];
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

/** What the log wants room for, as its thread says it. */
const wantsRoom = (control: TestControlBlock, floor: number): void => {
  control.publish('floor', floor);
  control.setFlag(Signal.heldByMessages, 1);
};
const settledIs = (control: TestControlBlock, position: number): Promise<number> =>
  until(
    () => control.position('settled'),
    (settled) => settled === position,
  );

test('where the log wants room, a message waits in the box, and its outcome stays until it has left', async () => {
  const log = new MemoryLog();
  log.append([messageFrame(1)], [{ version: 2 }], [messageFrame(3)]);
  const control = new TestControlBlock();
  const handlerState = tablesIn();
  const letters = boxOver(handlerState);
  const sent: { onOutcome(position: number): void; answer: PromiseWithResolvers<unknown> }[] = [];
  const sendNamed = (...args: any[]): Promise<unknown> => {
    const answer = Promise.withResolvers<unknown>();
    sent.push({ onOutcome: args.at(-1).onOutcome, answer });
    return answer.promise;
  };
  const synced = Promise.withResolvers<void>();
  const deliveries = deliveriesOver(sendNamed, control, { synced: () => synced.promise });
  deliveries.recover(await readLastRun(log, 1, 0), letters, noLetters());
  for (const position of [1, 3]) eachFrame(log, position, position, (frame) => deliveries.add(frame, position));
  deliveries.settledUpTo(3);
  expect([control.position('settled'), deliveries.isReliefDue]).toEqual([0, false]);
  // The sinks have passed the first one, not the other.
  wantsRoom(control, 3);
  expect(deliveries.isReliefDue).toBe(true);
  deliveries.settledUpTo(3);
  await settledIs(control, 2);
  expect([letters.total, control.flag(Signal.waitingKib)]).toEqual([0, 0]);
  deliveries.settledUpTo(3);
  expect(control.flag(Signal.waitingKib)).toBe(1);
  // Another run would find it there, and deliver it in its place.
  expect(await boxOver(handlerState).waitingFrom(0, 100)).toMatchObject([{ id: id(1), position: 1 }]);
  control.publish('floor', 4);
  await settledIs(control, 3);
  // Its outcome is read: that stays although everything else is done.
  sent[0]!.onOutcome(5);
  sent[0]!.answer.resolve({});
  deliveries.settledUpTo(9);
  await until(
    () => sent.length,
    (count) => count === 2,
  );
  expect(control.position('settled')).toBe(4);
  synced.resolve();
  await settledIs(control, 9);
  expect(await boxOver(handlerState).waitingFrom(0, 100)).toMatchObject([{ id: id(3) }]);
  expect(deliveries.counts.underWay).toBe(1);
  deliveries.close();
  deliveries.end();
});

test('the log keeps an outcome until the box has forgotten its message durably', async () => {
  const log = new MemoryLog();
  log.append([messageFrame(1)], [outcomeFrame(1)]);
  const messages = messagesIn(log);
  const forgetting = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
  const handlerState = tablesIn(async (folder) => {
    const store = await LmdbTables.open(folder);
    const commit = store.commit.bind(store);
    store.commit = async (changes) => {
      if (changes.some(({ json }) => json === undefined)) {
        forgetting[0].resolve();
        await forgetting[1].promise;
      }
      return commit(changes);
    };
    return store;
  });
  await boxOver(handlerState).keep([{ message: messages[0]! }], () => true);
  const letters = boxOver(handlerState);
  const lastRun = await readLastRun(log, 2, log.last);
  const control = new TestControlBlock();
  control.publish('written', log.last);
  const deliveries = deliveriesOver(() => expect.unreachable('its outcome is in the log'), control);
  deliveries.recover(lastRun, letters, await letters.load(2, lastRun.carriedOut));
  deliveries.settledUpTo(log.last);
  await forgetting[0].promise;
  await new Promise((resolve) => setImmediate(resolve));
  expect([control.position('settled'), deliveries.counts.underWay]).toEqual([1, 1]);
  forgetting[1].resolve();
  await settledIs(control, log.last);
});

test('a start delivers what waits in the box in the order of the log, and nothing that it holds twice', async () => {
  const log = new MemoryLog();
  log.append([messageFrame(1)], [messageFrame(2)], [messageFrame(3)], [outcomeFrame(1)]);
  const messages = messagesIn(log);
  const handlerState = tablesIn();
  await boxOver(handlerState).keep(
    messages.slice(0, 2).map((message) => ({ message })),
    () => true,
  );
  const letters = boxOver(handlerState);
  const control = new TestControlBlock();
  control.publish('written', log.last);
  const lastRun = await readLastRun(log, 2, log.last);
  const sent: string[] = [];
  const sendNamed = async (...args: any[]): Promise<unknown> => {
    sent.push(args.at(-1).idempotencyKey.slice(messageKeyPrefix.length));
    return {};
  };
  const deliveries = deliveriesOver(sendNamed, control);
  deliveries.recover(lastRun, letters, await letters.load(2, lastRun.carriedOut));
  deliveries.settledUpTo(log.last);
  expect(control.position('settled')).toBe(1);
  await settledIs(control, log.last);
  expect(sent).toEqual([id(2), id(3)]); // the first one's outcome is in the log
  expect(await boxOver(handlerState).waitingFrom(0, 100)).toEqual([]);
});

test('a message that waits in the box and cannot be delivered is a dead letter there, and nothing besides', async () => {
  const log = new MemoryLog();
  log.append([messageFrame(1)]);
  const messages = messagesIn(log);
  const handlerState = tablesIn();
  await boxOver(handlerState).keep([{ message: messages[0]! }], () => true);
  const letters = boxOver(handlerState);
  const lastRun = await readLastRun(log, 2, log.last);
  const control = new TestControlBlock();
  const deliveries = deliveriesOver(() => Promise.reject(new TrunklineError('CommandFailed', {} as never)), control);
  deliveries.recover(lastRun, letters, await letters.load(2, lastRun.carriedOut));
  await until(
    () => [deliveries.counts.deadLetters, deliveries.counts.underWay],
    ([count, open]) => count === 1 && open === 0,
  );
  const again = boxOver(handlerState);
  expect([(await again.load(1, new Set())).waiting, again.total]).toEqual([0, 1]);
});

test('what the last run has carried out does not go behind a letter of its lane that came after it', async () => {
  const log = new MemoryLog();
  log.append([messageFrame(1)], [messageFrame(2)], [outcomeFrame(1)]);
  const lastRun = await readLastRun(log, 1, log.last);
  const [, later] = messagesIn(log) as [Message, Message];
  const handlerState = tablesIn();
  await boxOver(handlerState).park(later, failure, false);
  const letters = boxOver(handlerState);
  const control = new TestControlBlock();
  control.publish('written', log.last);
  const deliveries = deliveriesOver(() => expect.unreachable('its outcome is in the log'), control);
  deliveries.recover(lastRun, letters, await letters.load(1, lastRun.carriedOut));
  deliveries.settledUpTo(log.last);
  await settledIs(control, log.last);
  expect([letters.total, deliveries.counts.underWay]).toEqual([1, 0]);
});

test('while the box cannot be read, no message is delivered and none forgotten; then all are, in their order', async () => {
  const log = new MemoryLog();
  log.append([messageFrame(1)], [outcomeFrame(1)], [messageFrame(2)]);
  const { letters } = await keptLetter(log);
  const lastRun = await readLastRun(log, 1, log.last);
  const control = new TestControlBlock();
  control.publish('written', log.last);
  const sent: string[] = [];
  const sendNamed = async (...args: any[]): Promise<unknown> => {
    sent.push(args.at(-1).idempotencyKey.slice(messageKeyPrefix.length));
    return {};
  };
  const deliveries = deliveriesOver(sendNamed, control);
  let isReadable = false;
  let tries = 0;
  const load = async (): Promise<KeptLetters> => {
    tries++;
    if (!isReadable) throw new TrunklineError('StoreDamaged', { dataDir: '', reason: '' } as never);
    return letters.load(1, lastRun.carriedOut);
  };
  deliveries.recoverLater(lastRun, letters, load);
  log.append([messageFrame(4)]);
  eachFrame(log, 4, 4, (frame) => deliveries.add(frame, 4));
  deliveries.settledUpTo(log.last);
  wantsRoom(control, log.last);
  await until(
    () => tries,
    (count) => count === 1,
  );
  deliveries.settledUpTo(log.last);
  expect([sent, control.position('settled'), deliveries.counts.underWay]).toEqual([[], 0, 3]);
  isReadable = true;
  await settledIs(control, log.last);
  expect([sent, letters.total, deliveries.counts.underWay]).toEqual([[id(2), id(4)], 0, 0]);
  deliveries.end();
});

test('a log without messages goes on, although the box cannot be read', () => {
  const control = new TestControlBlock();
  const log = new MemoryLog();
  const lastRun = { log, from: 1, to: 0, messages: 0, carriedOut: new Outcomes(log) };
  const deliveries = deliveriesOver(() => expect.unreachable(), control);
  deliveries.recoverLater(lastRun, box(), () => Promise.reject(new Error('damaged')));
  deliveries.settledUpTo(7);
  expect(control.position('settled')).toBe(7);
  deliveries.close();
});

test('where the store is elsewhere, a letter stays until the store has its outcome, and after it has refused it', async () => {
  const log = new MemoryLog();
  log.append([messageFrame(1)]);
  const messages = messagesIn(log);
  const letters = box();
  await letters.park(messages[0]!, failure, false);
  const control = new TestControlBlock();
  const stored: PromiseWithResolvers<void>[] = [];
  const sendNamed = async (...args: any[]): Promise<unknown> => {
    args.at(-1).onOutcome(5 * (stored.length + 1));
    const end = Promise.withResolvers<void>();
    stored.push(end);
    return { whenAt: () => end.promise };
  };
  const deliveries = deliveriesOver(sendNamed, control, { isStoreElsewhere: true });
  deliveries.recover(await readLastRun(log, 2, 1), letters, noLetters());
  await letters.requeue(
    messages.map((message) => laneOf(message)),
    (lane) => deliveries.requeue(lane),
  );
  await until(
    () => stored.length,
    (count) => count === 1,
  );
  deliveries.settledUpTo(20);
  await new Promise((resolve) => setImmediate(resolve));
  expect([letters.total, control.position('settled')]).toEqual([1, 4]);
  const details = { aggregateType: '', aggregateId: '', version: 1, position: 5, reason: '' };
  stored[0]!.reject(new TrunklineError('Quarantined', details));
  await until(
    () => stored.length,
    (count) => count === 2,
  );
  deliveries.settledUpTo(20);
  expect([letters.total, control.position('settled')]).toEqual([1, 9]);
  stored[1]!.resolve();
  await settledIs(control, 20);
  expect(letters.total).toBe(0);
});

/** Messages 1, 2, … of one lane with a store elsewhere, which the test lets answer, confirm or refuse. */
async function laneElsewhere(count: number, fails: (n: number) => boolean = () => false) {
  const log = new MemoryLog();
  log.append(...Array.from({ length: count }, (_, i) => [messageFrame(i + 1)]));
  const sent: number[] = [];
  const lasting: number[] = [];
  const answers = new Map<number, PromiseWithResolvers<void>>();
  const stores = new Map<number, PromiseWithResolvers<void>>();
  const heldBack = new Set<number>();
  const sendNamed = async (...args: any[]): Promise<unknown> => {
    const n = Number(args.at(-1).idempotencyKey.slice(-12));
    sent.push(n);
    if (heldBack.has(n)) {
      const answer = Promise.withResolvers<void>();
      answers.set(n, answer);
      await answer.promise;
    }
    if (fails(n)) throw new TrunklineError('CommandFailed', {} as never);
    args.at(-1).onOutcome(100 + sent.length);
    const stored = Promise.withResolvers<void>();
    stores.set(n, stored);
    return { whenAt: () => stored.promise.then(() => void lasting.push(n)) };
  };
  const letters = box();
  const control = new TestControlBlock();
  const deliveries = deliveriesOver(sendNamed, control, { isStoreElsewhere: true });
  const lastRun = await readLastRun(log, 1, log.last);
  const target = messagesIn(log)[0]!;
  const begin = (): void => deliveries.recover(lastRun, letters, noLetters());
  const details = { aggregateType: '', aggregateId: '', version: 1, position: 5, reason: '' };
  const refuse = (n: number): void => stores.get(n)!.reject(new TrunklineError('Quarantined', details));
  const sentAre = (...all: number[]): Promise<unknown> =>
    until(
      () => sent.join(),
      (so) => so === all.join(),
    );
  return { deliveries, letters, target, sent, lasting, answers, stores, heldBack, begin, refuse, sentAre };
}
const aTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('messages whose outcomes the store refuses are carried out before later ones of their lane, in their order', async () => {
  const lane = await laneElsewhere(5);
  lane.heldBack.add(3);
  lane.begin();
  await lane.sentAre(1, 2, 3);
  lane.refuse(1);
  await aTurn();
  // The third one's outcome is decided, and the second one's is open still: nothing goes before them.
  lane.answers.get(3)!.resolve();
  await aTurn();
  expect(lane.sent).toEqual([1, 2, 3]);
  lane.heldBack.clear();
  lane.refuse(2);
  lane.refuse(3);
  await lane.sentAre(1, 2, 3, 1, 2, 3, 4, 5);
  for (const stored of lane.stores.values()) stored.resolve();
  await until(
    () => lane.lasting,
    ({ length }) => length === 5,
  );
  expect(lane.lasting).toEqual([1, 2, 3, 4, 5]);
  lane.deliveries.close();
});

test('a message that fails is a dead letter once those before it are confirmed, and not if one of them is refused', async () => {
  const lane = await laneElsewhere(3, (n) => n === 2);
  lane.begin();
  await lane.sentAre(1, 2, 2, 2, 2, 2);
  await aTurn();
  expect([lane.letters.total, lane.deliveries.counts.failed]).toEqual([0, 0]);
  lane.refuse(1);
  await lane.sentAre(1, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2);
  lane.stores.get(1)!.resolve();
  await until(
    () => lane.letters.total,
    (total) => total === 2,
  );
  expect([lane.lasting, lane.deliveries.counts.failed]).toEqual([[1], 1]);
  lane.deliveries.close();
});

test('from the moment at which the store refuses events of a target, its lanes begin nothing new', async () => {
  const lane = await laneElsewhere(3);
  lane.heldBack.add(2);
  lane.begin();
  await lane.sentAre(1, 2);
  lane.deliveries.fenced([lane.target]);
  lane.answers.get(2)!.resolve();
  await aTurn();
  expect(lane.sent).toEqual([1, 2]);
  lane.heldBack.clear();
  lane.refuse(1);
  lane.refuse(2);
  await lane.sentAre(1, 2, 1, 2, 3);
  lane.deliveries.close();
});

test('what is requested again while the shards start, after the letters were read, is delivered', async () => {
  const log = new MemoryLog();
  log.append([messageFrame(1)]);
  const { letter, letters } = await keptLetter(log);
  const lastRun = await readLastRun(log, 1, log.last);
  const kept = await letters.load(1, lastRun.carriedOut);
  const asked: string[] = [];
  const control = new TestControlBlock();
  const deliveries = deliveriesOver(async (...[, , id]) => void asked.push(id), control);
  await letters.requeue([laneOf(letter)], (lane) => deliveries.requeue(lane));
  expect(asked).toEqual([]);
  deliveries.recover(lastRun, letters, kept);
  await until(
    () => asked,
    ({ length }) => length > 0,
  );
});
