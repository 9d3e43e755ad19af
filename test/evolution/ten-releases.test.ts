// Ten releases of an order service over one data directory, PostgreSQL and Kafka: each reads all that the earlier ones have
// written, and the sixth runs beside the fifth, which is another process on another machine's directory.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { administer, migratedDatabase } from '../postgres.ts';
import { setUp } from '../stream/setup.ts';
import {
  checkHandled,
  checkNewHandler,
  checkQueries,
  checkRehearsal,
  checkSchemas,
  checkStates,
  checkStored,
  checkTable,
  line,
} from './releases/checks.ts';
import { Life, Machine, shapeOf } from './releases/life.ts';
import { type Action, recordsOf, versionOf } from './releases/model.ts';
import { OlderProcess } from './releases/older-process.ts';
import { loadRelease, type Place, type Release } from './releases/service.ts';

const last = 10;
const life = new Life();
const folder = mkdtempSync(join(tmpdir(), 'trunkline-ten-'));
let connectionString: string;
let stream: Awaited<ReturnType<typeof setUp>>;
let here: Place;
let there: Place;

beforeAll(async () => {
  stream = await setUp();
  connectionString = await migratedDatabase();
  await administer(connectionString, 'create table carts (id text primary key, items integer not null)');
  const shared = { connectionString, broker: stream.broker, prefix: stream.prefix };
  here = { dataDir: join(folder, 'here'), ...shared };
  there = { dataDir: join(folder, 'there'), ...shared };
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('ten releases', { timeout: 240_000 }, async () => {
  let before: Release | undefined;
  let lock: Parameters<typeof checkSchemas>[1] = new Map();
  for (let number = 1; number <= last; number++) {
    const release = await loadRelease(number);
    lock = checkSchemas(release, lock);
    if (before !== undefined) await checkRehearsal(connectionString, before, release, life);
    await live(release);
    const rows = await life.compareRows(connectionString);
    expect(rows, `rows behind ${number}`).toEqual({ count: versionOf(life.facts), changed: [] });
    before = release;
  }
  await checkStored(connectionString, before!, life);
  await checkTopic();
});

/** One release, from its start to its end. */
async function live(release: Release): Promise<void> {
  const { number } = release;
  const older = number === 6 ? await OlderProcess.start(5, there) : undefined;
  const machine = await Machine.start(release, here, life);
  machine.project();
  await workOn(machine);
  await machine.settle();
  await checkStates(machine, life);
  await checkQueries(machine, life);
  checkHandled(life, number);
  await checkTable(connectionString, life, here.dataDir);
  if (number === last) await checkNewHandler(machine, life, here.dataDir);
  if (older !== undefined) await upgrade(older, machine);
  if (number < last) {
    await machine.stopHandling();
    await machine.act(`late-${number}`, ...openings(number), ['reach', 'Late Lane', `${number}`]);
    await machine.act('o-1', ['add', `late ${number}`, 1]);
  }
  await machine.end();
}

const openings = (release: number): Action[] => [
  ['open', `customer ${release}`, 100 * release + 5, release < 3 || release % 2 === 0 ? 'EUR' : 'USD'],
  ['add', 'shoe', 1],
];

/** A new order, the first one, and that of the release before. */
async function workOn(machine: Machine): Promise<void> {
  const { number } = machine.release;
  const order = `o-${number}`;
  await machine.act(order, ...openings(number), ['reach', `Street ${number}`, `555-${number}`]);
  if (number < 8) await machine.act(order, ['redeem', `SPRING-${number}`]);
  const method = ['card', 'cash', number < 9 ? 'card' : 'transfer'][number % 3]!;
  await machine.act(order, ['pay', method, Date.UTC(2020 + number, 1, 2)]);
  const quantity = number === 1 ? 1 : number;
  await machine.act('o-1', ['add', 'lace', quantity], ['reach', `Main Street ${number}`, '555']);
  if (number > 1) await machine.act(`o-${number - 1}`, ['add', 'box', quantity]);
  if (number === 7) await machine.act('o-2', ['add', 'box', quantity]); // which the other machine has written
}

/** The older release beside the newer one: what it cannot read stops that aggregate alone. Then it is killed and upgraded. */
async function upgrade(older: OlderProcess, newer: Machine): Promise<void> {
  const { release, runtime } = newer;
  const own: Action[] = [...openings(5), ['reach', 'Other Street', '556'], ['pay', 'card', Date.UTC(2025, 5, 5)]];
  const tell = async (order: string, action: Action): Promise<void> => {
    expect(await older.act(order, action)).toBe('done');
    life.facts.push({ order, action, by: 5, handledBy: release.number, at: there.dataDir });
  };
  for (const action of own) await tell('b-1', action);
  expect(await older.act('o-6', ['add', 'hat', 1])).toBe('UnsupportedEventVersion');
  expect(await older.act('o-1', ['add', 'hat', 1])).toBe('UnknownEventType');
  await newer.act('o-1', ['add', 'belt', 1]); // what the other cannot read stays here
  await newer.settle();
  expect(runtime.status().quarantined).toBe(0);
  await tell('b-1', ['add', 'hat', 2]);
  await tell('o-2', ['add', 'hat', 2]); // the release before has written to it last
  await older.kill();
  const upgraded = await Machine.start(release, there, life);
  for (const order of ['b-1', 'o-1', 'o-2', 'o-6']) await upgraded.act(order, ['add', 'scarf', 3]);
  await upgraded.settle();
  checkHandled(life, release.number);
  await upgraded.end();
}

/** One topic, by the name that the aggregate had first; each order's records in their order, each record once. */
async function checkTopic(): Promise<void> {
  const wanted = life.facts.flatMap((fact) => recordsOf(fact).map((record) => ({ order: fact.order, record })));
  const found = await stream.records(wanted.length, `${stream.prefix}.purchase`);
  const values = found.map(({ value, headers }) => ({ headers, ...JSON.parse(String(value)) }));
  for (const order of life.orders) {
    const shown = values.filter(({ aggregateId }) => aggregateId === order).map(shapeOf);
    const records = wanted.filter((one) => one.order === order).map(({ record }) => record);
    expect(shown.map(line), `records of ${order}`).toEqual(records.map(line));
  }
  for (const { headers, type, schemaVersion } of values)
    expect(headers).toMatchObject({ 'event-type': type, 'schema-version': String(schemaVersion) });
  expect(new Set(values.map(({ id }) => id)).size).toBe(wanted.length);
}
