// One entry of the handlers' tables that cannot be understood never keeps the others from being read: of each kind one is
// damaged in each way, and every reader of a list goes on, and says which one it has passed over.
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseSync, Visitor } from 'oxc-parser';
import { expect, test } from 'vitest';
import { LmdbTables } from '../../src/adapters/lmdb/handlers/tables.ts';
import { DeadLetters } from '../../src/dead-letters/dead-letters.ts';
import { letterKey, letterTable } from '../../src/dead-letters/letters.ts';
import { MessageBox } from '../../src/dead-letters/message-box.ts';
import { MessageLetters } from '../../src/dead-letters/message-letters.ts';
import { ParkedSequences } from '../../src/dead-letters/parked-sequences.ts';
import { checkpointTable } from '../../src/handler-state/checkpoint.ts';
import { doneAbove, handledKey, handledTable } from '../../src/handler-state/completion-records.ts';
import { effectTable } from '../../src/handler-state/effects.ts';
import { StateTables } from '../../src/handler-state/handler-state.ts';
import { InHand } from '../../src/handler-state/in-hand.ts';
import { Inbox } from '../../src/handler-state/once.ts';
import { recordsOf, valuesOf } from '../../src/handler-state/records.ts';
import { Evolution } from '../../src/model/evolution.ts';
import { projectionTable, rowTable } from '../../src/projections/projection.ts';
import { forget } from '../../src/runtime/forget-handler.ts';
import { compareFilter, filterTable } from '../../src/subscriptions/widened.ts';
import { laneOf } from '../../src/wire/message.ts';
import { Counter } from '../runtime/aggregates.ts';
import { scratchFolder, startSmall as startRuntime } from '../runtime/scratch.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Ways in which an entry may be damaged. */
const damages: Readonly<Record<string, string>> = {
  'no JSON': '{"secret',
  'another kind': '"odd"',
  'no fields': '{}',
  'nested very deep': `${'['.repeat(20_000)}${']'.repeat(20_000)}`,
};
/** Of these kinds any JSON will do, as far as it is not too deep. */
const anyKind = ['another kind', 'no fields'];

const id = (n: number): string => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;
const parkedAt = '2026-01-01T00:00:00.000Z';
const messageOf = (n: number) => ({
  ...{ id: id(n), position: n, sender: { aggregateType: 'from', aggregateId: 's' } },
  ...{ aggregateType: 'to', aggregateId: `t${n}`, command: 'take', inputJson: '["a"]', metadataJson: '' },
});
const keyAt = (n: number): string => String(n).padStart(16, '0');
const letterOf = (n: number) => ({
  ...{ handler: 'h', reason: 'failed', attempts: 1, parkedAt },
  event: {
    ...{ id: id(n), position: n, type: 'Added', aggregateType: 'counter', aggregateId: `c${n}`, version: 1 },
    ...{ occurredAt: parkedAt, data: {}, metadata: {} },
  },
});

interface Kind {
  table: string;
  /** The n-th of three entries, of which the second is damaged. */
  entry(n: number): [key: string, value: unknown];
  /** What readers make of those that are left. */
  read(tables: StateTables): Promise<unknown>;
  left: unknown;
  /** Which damages it does not see. */
  blindTo?: readonly string[];
}

interface Told {
  tables: StateTables;
  told: { table: string; key: string; broken: number; code: string | undefined }[];
}

async function tablesIn(): Promise<Told> {
  const told: Told['told'] = [];
  const lmdb = await LmdbTables.open(scratchFolder());
  const tables = new StateTables(async () => lmdb, {
    ...{ checkpointDelayMs: 0, stagedChangesLimit: 1000 },
    onError() {},
    onBroken: (which, error) => told.push({ ...which, code: (error as { code?: string }).code }),
  });
  return { tables, told };
}

const boxOf = (tables: StateTables): MessageBox => new MessageBox(tables, () => true);
const lettersOf = (tables: StateTables): DeadLetters =>
  new DeadLetters(
    tables,
    { names: ['h'], find: () => undefined, keptAs: (name) => name },
    new Map(),
    new MessageLetters(boxOf(tables), undefined),
  );

const kinds: Readonly<Record<string, Kind>> = {
  'dead letters of messages': {
    table: 'message-letters',
    entry: (n) => [
      `${laneOf(messageOf(n))}${keyAt(n)}`,
      { message: messageOf(n), reason: 'failed', attempts: 1, parkedAt },
    ],
    async read(tables) {
      const box = boxOf(tables);
      const { resolved } = await box.load(1, new Set());
      const messages = await lettersOf(tables).messages.list();
      return [box.total, [...resolved], messages.map(({ position }) => position), (await box.first('from\0'))?.id];
    },
    left: [2, [id(1), id(3)], [1, 3], id(1)],
  },
  'messages that wait': {
    table: 'messages-waiting',
    entry: (n) => [keyAt(n), messageOf(n)],
    async read(tables) {
      const box = boxOf(tables);
      const { waiting } = await box.load(1, new Set());
      const found = [await box.waitingFrom(1, 1), await box.waitingFrom(2, 5), [await box.waitingAt(2)]];
      return [waiting, found.map((some) => some.map((one) => one?.position))];
    },
    left: [2, [[1], [3], [undefined]]],
  },
  'messages that were given up': {
    table: 'messages-discarded',
    entry: (n) => [id(n), { position: n }],
    read: async (tables) => [...(await boxOf(tables).load(3, new Set())).resolved],
    left: [id(2), id(3)], // the log may still hold the second
  },
  'dead letters of handlers': {
    table: letterTable,
    entry: (n) => [letterKey('h', `counter\0c${n}`, n), letterOf(n)],
    async read(tables) {
      const parked = new ParkedSequences('h', tables);
      await parked.load();
      const letters = await lettersOf(tables).list();
      const firsts = [1, 2, 3].map(async (n) => (await parked.first(`counter\0c${n}`))?.record.event.position);
      return [parked.count, letters.map(({ event }) => event.position), await Promise.all(firsts)];
    },
    left: [2, [1, 3], [1, undefined, 3]],
  },
  'what handlers have done': {
    table: handledTable,
    entry: (n) => [handledKey('h', 10 * n), { done: [10 * n, 10 * n + 1], eventId: id(n) }],
    read: async (tables) => (await doneAbove(tables, 'h', 0, [])).done,
    left: [10, 11, 20, 20, 30, 31],
  },
  'what was in hand': {
    table: 'in-hand',
    entry: (n) => [`h\0${id(n)}`, { deaths: 0, wasMet: true, isRunning: true, order: n }],
    read: (tables) => new InHand(tables, () => {}).load(1, true, () => false),
    left: [`h\0${id(1)}`, `h\0${id(3)}`],
  },
  checkpoints: {
    table: checkpointTable,
    entry: (n) => [n === 2 ? 'x' : `h${n}`, { low: n, done: [], updatedAt: parkedAt }],
    async read(tables) {
      const parts = { places: [tables], remote: undefined, beginnings: undefined, isRunning: () => false, hold() {} };
      return [(await forget(parts, 'h1', true)).position, (await forget(parts, 'h3', true)).position];
    },
    left: [1, 3],
    blindTo: anyKind, // the names are looked at, and the positions of those that are asked for
  },
  projections: {
    table: projectionTable,
    entry: (n) => [`p${n}`, { shown: { version: 1, generation: n } }],
    async read(tables) {
      const parts = { places: [tables], remote: undefined, beginnings: undefined, isRunning: () => false, hold() {} };
      tables.stage(checkpointTable, 'projection:p1#1', { low: 7, done: [], updatedAt: parkedAt });
      return (await forget(parts, 'projection:p1', true)).position;
    },
    left: 7,
    blindTo: anyKind,
  },
  filters: {
    table: filterTable,
    entry: (n) => [`h${n}`, { types: [], aggregates: null }],
    async read(tables) {
      const widened: unknown[] = [];
      for (const n of [1, 2, 3]) {
        const settings = {
          name: `h${n}`,
          keptAs: `h${n}`,
          types: new Set(['Added']),
          aggregates: undefined,
          evolution: Evolution.none,
        } as never;
        await compareFilter(settings, tables, 5, ({ handler }) => widened.push(handler));
      }
      return widened;
    },
    left: ['h1', 'h3'],
  },
  'rows of a projection': {
    table: rowTable('p'),
    entry: (n) => [`1\0r${n}`, { n }],
    read: async (tables) =>
      (await valuesOf(tables, rowTable('p'), { prefix: '1\0', limit: 2 })).map(({ key }) => key.slice(2)),
    left: ['r1', 'r3'],
    blindTo: anyKind,
  },
  effects: {
    table: effectTable('e'),
    entry: (n) => [`e${n}`, { n }],
    read: async (tables) => (await valuesOf(tables, effectTable('e'), { limit: 2 })).map(({ key }) => key),
    left: ['e1', 'e3'],
    blindTo: anyKind,
  },
  'ages of inbox rows': {
    table: 'inbox-ages',
    entry: (n) => [`${keyAt(n)}\0k${n}`, true],
    async read(tables) {
      const inbox = new Inbox(tables, 1_000, () => 60_000_000);
      await inbox.once('new', () => 1);
      await tables.durable();
      return (await tables.range('inbox-ages')).map(({ key }) => key.slice(17));
    },
    left: ['new'],
    blindTo: anyKind,
  },
};

const cases = Object.entries(kinds).flatMap(([name, kind]) =>
  Object.keys(damages)
    .filter((damage) => !kind.blindTo?.includes(damage))
    .map((damage) => [name, damage] as const),
);

test.each(cases)('%s, one of which is damaged (%s): the others are read, and it is named', async (name, damage) => {
  const { table, entry, read, left } = kinds[name]!;
  const { tables, told } = await tablesIn();
  for (const n of [1, 2, 3]) tables.stage(table, ...entry(n));
  const [broken] = entry(2);
  tables.stageJson(table, broken, damages[damage]);
  await tables.durable();
  expect(await read(tables)).toEqual(left);
  expect(told).toEqual([{ table, key: broken, broken: 1, code: 'RecordInvalid' }]);
  await tables.close();
});

test('a letter of a message whose input is no JSON is passed over by lists', async () => {
  const { tables, told } = await tablesIn();
  for (const n of [1, 2, 3]) {
    const message = { ...messageOf(n), ...(n === 2 && { inputJson: '["a' }) };
    const record = { message, reason: 'failed', attempts: 1, parkedAt };
    tables.stage('message-letters', `${laneOf(message)}${keyAt(n)}`, record);
  }
  const listed = await lettersOf(tables).messages.list();
  expect(listed.map(({ position }) => position)).toEqual([1, 3]);
  expect(told.map(({ key }) => key)).toEqual([`${laneOf(messageOf(2))}${keyAt(2)}`]);
  await tables.close();
});

test('what may be written may be read: as deep as a value may be', async () => {
  const runtime = await startRuntime();
  let deepest: unknown = 1;
  for (let i = 0; i < 201; i++) deepest = [deepest];
  await runtime.once('key', async (tx) => {
    tx.put('deep', 'a', deepest);
    expect(() => tx.put('deep', 'b', [deepest])).toThrow(expect.objectContaining({ code: 'UnserialisableValue' }));
    return deepest;
  });
  expect(await runtime.effects.range('deep')).toEqual([{ key: 'a', value: deepest }]);
  expect(await runtime.once('key', () => 'again')).toEqual(deepest);
  await runtime.ref(Counter, 'a').add(1);
});

/** Where lists are read without `recordsOf` or `valuesOf`, and why that is no risk. */
const rawReaders: Readonly<Record<string, string>> = {
  'src/handler-state/handler-state.ts': 'the readings themselves',
  'src/handler-state/records.ts': 'recordsOf and valuesOf',
  'src/handler-state/completion-records.ts': 'a broken one counts by its key',
  'src/handler-state/in-hand.ts': 'a broken one is removed',
  'src/handler-state/once.ts': 'looks at keys alone',
  'src/dead-letters/message-box.ts': 'a broken one counts by its key',
  'src/dead-letters/parked-sequences.ts': 'looks at keys alone',
  'src/dead-letters/dead-letters.ts': 'looks at keys alone',
  'src/runtime/forget-handler.ts': 'looks at keys; of values, at that of the projection which is asked for',
  'src/runtime/offline-handlers.ts': 'looks at keys alone',
  'src/projections/local-projection.ts': 'removes rows by their keys',
  'src/subscriptions/attempt-runner.ts': 'whether the store answers at all',
  'src/subscriptions/kept-start.ts': 'whether there is any',
};

test('whoever reads a list of records passes over the broken ones', () => {
  const found = new Set<string>();
  for (const file of globSync('src/**/*.ts', { cwd: root })) {
    if (file.startsWith('src/adapters/')) continue; // they read JSON text, and parse none of it
    const code = readFileSync(`${root}/${file}`, 'utf8');
    new Visitor({
      CallExpression({ callee }) {
        if (callee.type !== 'MemberExpression') return;
        const name = code.slice(callee.property.start, callee.property.end);
        const owner = code.slice(callee.object.start, callee.object.end);
        const isTables = /(?:^|\.)(?:handlerState|tables|place|local|state)$/.test(owner) || owner === 'this';
        if (/^(?:entries|pages|range)$/.test(name) && isTables) found.add(file);
      },
    }).visit(parseSync(file, code).program);
  }
  expect([...found].sort()).toEqual(Object.keys(rawReaders).sort());
});

test('a record that is told is told once, and later ones are counted', async () => {
  const { tables, told } = await tablesIn();
  for (const n of [1, 2, 3]) tables.stageJson('t', `k${n}`, n === 1 ? '1' : 'odd');
  for (let i = 0; i < 3; i++) {
    const found: unknown[] = [];
    for await (const { record } of recordsOf(tables, 't', (value) => value as number)) found.push(record);
    expect(found).toEqual([1]);
  }
  expect(told.map(({ broken }) => broken)).toEqual([1, 2]);
  await tables.close();
});
