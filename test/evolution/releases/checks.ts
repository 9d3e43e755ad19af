// What holds in every release, asked at each door and compared with the model.
import { expect } from 'vitest';
import { eventReader, openEventStore, postgres, type StoredEvent } from '../../../src/index.ts';
import { rehearse } from '../../../src/testing.ts';
import { administer } from '../../postgres.ts';
import { all } from '../../runtime/scratch.ts';
import { accepted, errors } from '../../schemas/define.ts';
import { type Life, type Machine, shapeOf } from './life.ts';
import { eventsOf, nameIn, type Shape, stateOf, versionOf } from './model.ts';
import type { Release } from './service.ts';

/** In whatever order they come, and their keys: jsonb has an order of keys of its own. */
const sorted = (shapes: readonly unknown[]): string[] => shapes.map(line).sort();
export const line = (shape: unknown): string => JSON.stringify(shape, inOrder);
const inOrder = (_: string, value: any): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value;

const shapes = (events: readonly StoredEvent[]): string[] => events.map((event) => line(shapeOf(event)));

export async function checkStates({ runtime, release }: Machine, life: Life): Promise<void> {
  const { number, Order } = release;
  for (const order of life.orders) {
    const facts = life.of(order);
    const now = { version: versionOf(facts), state: stateOf(number, facts) };
    expect(await runtime.state(Order, order), `${order} in release ${number}`).toMatchObject(now);
  }
  const facts = life.of('o-1');
  for (let count = 1; count <= facts.length; count++) {
    const version = versionOf(facts.slice(0, count));
    const then = { version, state: stateOf(number, facts.slice(0, count)) };
    const found = await runtime.store.stateAt(Order, 'o-1', { version });
    expect(found, `o-1 at version ${version} in release ${number}`).toMatchObject(then);
  }
}

/** Each name that a type of today has or had, by the release that has given it. */
const names: [since: number, name: string, today: (release: number) => string][] = [
  [1, 'PurchaseOpened', (release) => (release < 5 ? 'PurchaseOpened' : 'OrderPlaced')],
  [5, 'OrderPlaced', () => 'OrderPlaced'],
  [1, 'LineAdded', (release) => (release < 4 ? 'LineAdded' : 'ItemAdded')],
  [4, 'ItemAdded', () => 'ItemAdded'],
  [6, 'AddressGiven', () => 'AddressGiven'],
  [6, 'PhoneGiven', () => 'PhoneGiven'],
  [7, 'Paid', () => 'Paid'],
];

export async function checkQueries({ runtime: { store }, release }: Machine, life: Life): Promise<void> {
  const { number } = release;
  const read = life.readBy(number);
  for (const [since, name, today] of names.filter(([since]) => since <= number)) {
    const wanted = read.filter(([type]) => type === today(number));
    expect(shapes(await store.getByType(name)).sort(), `${name} (since ${since}) in ${number}`).toEqual(sorted(wanted));
  }
  const ofFirst = life.readBy(number, life.of('o-1')).map(line);
  for (const type of new Set(Array.from({ length: number }, (_, i) => nameIn(i + 1)))) {
    const found = await store.getByAggregate(type, 'o-1');
    expect(shapes(found), `o-1 as ${type} in ${number}`).toEqual(ofFirst);
    expect(new Set(found.map(({ aggregateType }) => aggregateType))).toEqual(new Set([nameIn(number)]));
  }
}

/** What the handler was given up to now: each event once, in the shape of the release that has handled it. */
export function checkHandled(life: Life, release: number): void {
  const wanted = life.facts
    .filter(({ handledBy }) => handledBy <= release)
    .flatMap(({ order, action, handledBy }) => eventsOf(handledBy, action).map((shape) => [order, shape]));
  expect(sorted(life.handled.map(({ order, shape }) => [order, shape])), `handled up to ${release}`).toEqual(
    sorted(wanted),
  );
  expect(new Set(life.handled.map(({ id }) => id)).size).toBe(life.handled.length);
}

/** A handler that begins in this release is given all of this machine's history as it is today. */
export async function checkNewHandler(
  { runtime, release: { number } }: Machine,
  life: Life,
  at: string,
): Promise<void> {
  const seen: unknown[] = [];
  await using audit = runtime.subscribe({
    name: `audit of ${number}`,
    handle: (event) => void seen.push([event.aggregateType, event.aggregateId, shapeOf(event)]),
  });
  await audit.caughtUpTo(runtime.status().written);
  const own = life.facts.filter((fact) => fact.at === at);
  const wanted = own.flatMap(({ order, action }) =>
    eventsOf(number, action).map((shape) => [nameIn(number), order, shape]),
  );
  expect(sorted(seen)).toEqual(sorted(wanted));
}

/** The table counts the items of this machine's log. */
export async function checkTable(connectionString: string, life: Life, dataDir: string): Promise<void> {
  const counts: Record<string, number> = {};
  for (const fact of life.facts) {
    if (fact.action[0] === 'add' && fact.at === dataDir) counts[fact.order] = (counts[fact.order] ?? 0) + 1;
  }
  const rows = await administer(connectionString, 'select id, items from carts');
  expect(Object.fromEntries(rows.map(({ id, items }) => [id, items]))).toEqual(counts);
}

/** What a reader of stored events makes of them by the definitions of today, and without them what was raised. */
export async function checkStored(connectionString: string, { number, Order }: Release, life: Life): Promise<void> {
  await using store = await openEventStore(postgres({ connectionString }));
  const stored = await all(store.query());
  const today = await eventReader([Order]);
  expect(new Set(stored.map(({ aggregateType }) => aggregateType))).toEqual(new Set([nameIn(1)]));
  const raised = life.facts.flatMap(({ by, action }): Shape[] => eventsOf(by, action));
  expect(shapes(stored).sort()).toEqual(sorted(raised));
  expect(shapes(stored.flatMap(today)).sort()).toEqual(sorted(life.readBy(number)));
}

type Lock = ReturnType<typeof accepted>['lock'];

/** In the pull request: nothing that was published is broken. Returns what is accepted from now on. */
export function checkSchemas({ number, Order }: Release, lock: Lock): Lock {
  const next = accepted([Order], lock);
  expect(next.broken, `published by ${number}`).toEqual([]);
  expect(errors([Order], next.lock)).toEqual([]);
  // A reader of release 2 takes what release 1 has written; from release 3 on readers need the upcasters.
  const backward = errors([Order], next.lock, 'BACKWARD');
  if (number < 3) expect(backward).toEqual([]);
  else expect(backward).toEqual(expect.arrayContaining([expect.stringMatching(/currency/)]));
  return next.lock;
}

/** On the history that there is: states are as before, but for coupons, which release 8 has retired. */
export async function checkRehearsal(
  connectionString: string,
  before: Release,
  release: Release,
  life: Life,
): Promise<void> {
  const store = postgres({ connectionString });
  const found = await rehearse({ store, old: [before.Order], new: [release.Order] });
  const withCoupons = life.orders.filter((order) => life.of(order).some(({ action }) => action[0] === 'redeem'));
  const different = release.number === 8 ? withCoupons : [];
  expect(found).toMatchObject({ aggregates: life.orders.length, incomplete: 0, failedAlike: 0 });
  expect(found.differences.map(({ aggregateId }) => aggregateId)).toEqual(different);
  expect(found.differences.flatMap(({ changes }) => changes.map(({ path }) => path))).toEqual(
    different.map(() => 'coupons'),
  );
}
