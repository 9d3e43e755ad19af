// Tables that may be large are read in pages, and the event loop goes on between two of them, whoever reads.
import { expect, test } from 'vitest';
import { LmdbTables } from '../../src/adapters/lmdb/handlers/tables.ts';
import { DeadLetters } from '../../src/dead-letters/dead-letters.ts';
import { letterKey, letterTable } from '../../src/dead-letters/letters.ts';
import { MessageBox } from '../../src/dead-letters/message-box.ts';
import { MessageLetters } from '../../src/dead-letters/message-letters.ts';
import { ParkedSequences } from '../../src/dead-letters/parked-sequences.ts';
import { handledKey, handledTable } from '../../src/handler-state/completion-records.ts';
import { StateTables } from '../../src/handler-state/handler-state.ts';
import type { HandlerStateStore } from '../../src/handler-state/handler-state-store.ts';
import { InHand } from '../../src/handler-state/in-hand.ts';
import { firstRecord } from '../../src/handler-state/records.ts';
import { laneOf } from '../../src/wire/message.ts';
import { errorOf, scratchFolder } from '../runtime/scratch.ts';

const count = 3_000;
const pageMost = 128;

/** Tables in LMDB that note what is read in one piece: how many entries, in which turn of the event loop. */
async function watchedTables(): Promise<{ handlerState: StateTables; pieces(): number[] }> {
  const lmdb = await LmdbTables.open(scratchFolder());
  let turn = 0;
  let turns: number[] = [];
  let isWatching = true;
  const count = (): void => {
    turn++;
    if (isWatching) setImmediate(count).unref();
  };
  count();
  const store: HandlerStateStore = {
    get: (table, key) => lmdb.get(table, key),
    range(table, range) {
      const entries = lmdb.range(table, range);
      turns[turn] = (turns[turn] ?? 0) + entries.length;
      return entries;
    },
    commit: (changes) => lmdb.commit(changes),
    async close() {
      isWatching = false;
      await lmdb.close();
    },
  };
  const onError = (error: Error): never => {
    throw error;
  };
  const handlerState = new StateTables(async () => store, {
    checkpointDelayMs: 0,
    stagedChangesLimit: 1e6,
    onError,
  });
  const pieces = (): number[] => {
    const read = turns.filter((entries) => entries > 0);
    turns = [];
    return read;
  };
  return { handlerState, pieces };
}

const idOf = (i: number): string => `01a219a6-9579-703c-8fde-${String(i).padStart(12, '0')}`;

test('dead letters, their counts and what else a start reads: page by page, with the event loop between two', async () => {
  const { handlerState, pieces } = await watchedTables();
  const error = { name: 'Error', message: 'as it does', stack: '' };
  const common = { attempts: 5, error, parkedAt: new Date().toISOString() };
  for (let position = 1; position <= count; position++) {
    const id = idOf(position);
    const sender = { aggregateType: 'from', aggregateId: `s${position % 100}` };
    const texts = { command: 'take', inputJson: '["a"]', metadataJson: '' };
    const message = { id, position, sender, aggregateType: 'to', aggregateId: 't', ...texts };
    const key = `${laneOf(message)}${String(position).padStart(16, '0')}`;
    handlerState.stage('message-letters', key, { message, reason: 'failed', ...common });
    handlerState.stage('messages-discarded', `gone-${id}`, { position });
    const event = {
      id,
      position,
      type: 'Added',
      aggregateType: 'counter',
      aggregateId: `c${position % 100}`,
      version: 1,
    };
    const whole = { ...event, occurredAt: common.parkedAt, data: {}, metadata: {} };
    const letter = letterKey('handler', `counter\0${event.aggregateId}`, position);
    handlerState.stage(letterTable, letter, { handler: 'handler', event: whole, reason: 'failed', ...common });
    handlerState.stage(handledTable, handledKey('handler', position), { done: [position, position], eventId: id });
    handlerState.stage('in-hand', `handler\0${id}`, { deaths: 0, wasMet: true, isRunning: false, order: position });
  }
  await handlerState.durable();
  const box = new MessageBox(handlerState, () => true);
  const messages = new MessageLetters(box, undefined);
  const letters = new DeadLetters(
    handlerState,
    { names: [], find: () => undefined, keptAs: (name) => name },
    new Map(),
    messages,
  );
  const looks: Record<string, () => Promise<unknown>> = {
    'messages.list': async () => expect(await messages.list({ limit: 1e6 })).toHaveLength(count),
    'messages.list of one sender': async () =>
      expect(await messages.list({ senderId: 's7' })).toHaveLength(count / 100),
    'messages.show': async () => expect((await messages.show(idOf(count))).position).toBe(count),
    'messages.show of none': async () => expect((await errorOf(messages.show('x'))).code).toBe('UnknownDeadLetter'),
    'messages.discard': async () => expect(await messages.discard({ senderId: 's8' })).toHaveLength(count / 100),
    'messages.load': () => box.load(1, new Set()),
    list: async () => expect(await letters.list({ limit: 1e6 })).toHaveLength(count),
    'list of one aggregate': async () => expect(await letters.list({ aggregateId: 'c7' })).toHaveLength(count / 100),
    show: async () => expect((await letters.show(`handler/${idOf(99)}`)).event.position).toBe(99),
    requeue: async () => expect(await letters.requeue({ reason: 'failed', limit: 1e6 })).toHaveLength(count),
    discard: async () => expect(await letters.discard({ type: 'Added', aggregateId: 'c8' })).toHaveLength(count / 100),
    'parked.load': async () => expect(await new ParkedSequences('handler', handlerState).load()).toHaveLength(99),
    'in-hand.load': async () => expect(await new InHand(handlerState, () => {}).load(1, true, () => false)).toEqual([]),
  };
  for (const [what, look] of Object.entries(looks)) {
    pieces();
    await look();
    await handlerState.durable();
    expect([what, Math.max(0, ...pieces()) <= pageMost]).toEqual([what, true]);
  }
  // What is asked by its aggregate or its sender is read there alone.
  pieces();
  await messages.list({ sender: 'from', senderId: 's9' });
  await letters.list({ handler: 'handler', aggregate: 'counter', aggregateId: 'c9' });
  expect(pieces().reduce((sum, read) => sum + read)).toBe((2 * count) / 100);
  await handlerState.close();
});

test('what is staged meanwhile lies over the pages, in the order of the bytes', async () => {
  const { handlerState } = await watchedTables();
  const keys = Array.from({ length: 200 }, (_, i) => `k${String(i).padStart(3, '0')}`);
  for (const key of keys) handlerState.stage('t', key, key);
  await handlerState.durable();
  for (const key of keys.filter((_, i) => i % 2 === 0)) handlerState.stage('t', key, undefined);
  // UTF-16 has the second before the first.
  const others = ['k010-', 'k\uffee', 'k\u{1f600}'];
  for (const key of others) handlerState.stage('t', key, key);
  handlerState.stage('u', 'k', 'another table');
  const found: string[] = [];
  for await (const { key, value } of handlerState.entries('t', { prefix: 'k' })) {
    expect(value).toBe(key);
    found.push(key);
  }
  const wanted = [...keys.filter((_, i) => i % 2 === 1), ...others];
  expect(found).toEqual(wanted.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
  expect((await firstRecord(handlerState, 't', 'k', String))?.key).toBe('k001');
  expect(await firstRecord(handlerState, 't', 'z', String)).toBeUndefined();
  await handlerState.close();
});
