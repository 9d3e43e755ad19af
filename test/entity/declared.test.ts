// Entities whose events are declared: checked at every door by which they come in, and read in their newest version.
import pg from 'pg';
import { expect, test } from 'vitest';
import { z } from 'zod';
import {
  AggregateRoot,
  defineEntityEvents,
  event,
  eventReader,
  type NewEvent,
  openEventStore,
  postgres,
  type Runtime,
  type StoredEvent,
  versions,
} from '../../src/index.ts';
import { migratedDatabase } from '../postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { all, errorOf, scratchFolder, startRuntime } from '../runtime/scratch.ts';

const Before = defineEntityEvents('stock', {
  events: { Priced: event(z.object({ price: z.string() })), Halted: event<{ why: string }>() },
});
const Today = defineEntityEvents('stock', {
  events: {
    Repriced: versions(z.object({ price: z.string() }))
      .next(z.object({ cents: z.number().int() }), ({ price }) => ({ cents: Math.round(Number(price) * 100) }))
      .renamedFrom('Priced'),
  },
  retired: ['Halted'],
});

const stock = (type: string, data: unknown, more: Partial<NewEvent> = {}): NewEvent => ({
  ...{ aggregateType: 'stock', aggregateId: 'ACME', type, data },
  ...more,
});

const started = (entities: readonly (typeof Before | typeof Today)[], dataDir = scratchFolder()): Promise<Runtime> =>
  startRuntime({ dataDir, aggregates: [Counter], entities: [...entities], shards: 1 });

class Stock extends AggregateRoot {
  cents = 0;
  constructor(id: string) {
    super(Today, id);
  }
  reprice(cents: number): void {
    this.raise('Repriced', { cents });
  }
  halt(): void {
    this.raise('Halted', {});
  }
  protected override apply({ data }: Pick<StoredEvent, 'data'>): void {
    this.cents = (data as { cents: number }).cents;
  }
}

test('events of an older release are read in their newest version, everywhere', async () => {
  const dataDir = scratchFolder();
  {
    await using before = await started([Before], dataDir);
    await before.publisher.publish(stock('Priced', { price: '1.10' }), stock('Halted', { why: 'x' }));
  }
  const runtime = await started([Today], dataDir);
  const handled: unknown[] = [];
  const handler = runtime.subscribe({
    name: 'prices',
    events: ['Repriced'],
    aggregates: [Today],
    handle: ({ data, schemaVersion }: StoredEvent) => void handled.push([data, schemaVersion]),
  });
  const heard: unknown[] = [];
  runtime.bus.on(Today, 'Repriced', ({ data }) => heard.push(data.cents));
  const head = await runtime.store.head('stock', 'ACME');
  const entity = new Stock('ACME').rebuild(await runtime.store.getByAggregate(Today, 'ACME'), head?.version);
  expect(entity).toMatchObject({ cents: 110, version: 2, committedVersion: 2 });
  await runtime.publisher.publish(stock('Repriced', { cents: 120 }));
  await runtime.publisher.publish(stock('Repriced', { price: '1.30' }, { schemaVersion: 1 }));
  expect(heard).toEqual([120, 130]);
  await handler.caughtUpTo(4);
  expect(handled).toEqual([
    [{ cents: 110 }, 2],
    [{ cents: 120 }, 2],
    [{ cents: 130 }, 2],
  ]);
  expect((await all(runtime.events({ types: ['Priced'] }))).map(({ data }) => data)).toHaveLength(3);
  expect(await runtime.store.getByType('Repriced', { aggregate: Today }).then((page) => page.length)).toBe(3);
  const [stored] = await all(runtime.events({ aggregate: 'stock' }));
  expect((await eventReader([Today]))(stored!)[0]).toMatchObject({ type: 'Repriced', data: { cents: 110 } });
});

test('a root follows what is left of a history: retired in the middle and at the end, skipped, split', async () => {
  const dataDir = scratchFolder();
  const broken = '0190a1b2-0000-7000-8000-000000000000';
  const Old = defineEntityEvents('stock', {
    events: { Both: event<{ a: number; b: number }>(), Gone: event<object>() },
  });
  const New = defineEntityEvents('stock', {
    events: {
      A: event<{ a: number }>().splitFrom('Both', ({ a, b }: { a: number; b: number }) => [
        ['A', { a }],
        ['B', { b }],
      ]),
      B: event<{ b: number }>(),
    },
    retired: ['Gone'],
    skipped: [{ id: 'x', version: 4, eventId: broken }],
  });
  class Split extends AggregateRoot {
    seen: unknown[] = [];
    constructor() {
      super(New, 'x');
    }
    more(a: number): void {
      this.raise('A', { a });
    }
    protected override apply({ version, type }: Pick<StoredEvent, 'version' | 'type'>): void {
      this.seen.push([version, type]);
    }
  }
  const of = (type: string, data: unknown): NewEvent => ({ aggregateType: 'stock', aggregateId: 'x', type, data });
  const both = of('Both', { a: 1, b: 2 });
  {
    await using before = await startRuntime({ dataDir, aggregates: [Counter], entities: [Old], shards: 1 });
    await before.publisher.publish(both, of('Gone', {}), both, { ...both, id: broken }, of('Gone', {}));
  }
  const runtime = await startRuntime({ dataDir, aggregates: [Counter], entities: [New], shards: 1 });
  const root = new Split();
  root.rebuild(await runtime.store.getByAggregate(New, 'x'), (await runtime.store.head('stock', 'x'))!.version);
  expect(root.seen).toEqual(
    [1, 3].flatMap((version) => [
      [version, 'A'],
      [version, 'B'],
    ]),
  );
  expect(root.committedVersion).toBe(5);
  root.more(7);
  await runtime.store.save(root.uncommittedEvents, { expectedVersion: root.committedVersion });
  expect((await runtime.store.head('stock', 'x'))!.version).toBe(6);
  const later = await runtime.store.getByAggregate(New, 'x');
  expect(() => new Split().rebuild(later.toReversed())).toThrow(expect.objectContaining({ code: 'VersionGap' }));
});

test('a root raises what is declared, in its version', async () => {
  const runtime = await started([Today]);
  const entity = new Stock('ACME');
  entity.reprice(500);
  expect(entity.uncommittedEvents[0]).toMatchObject({ schemaVersion: 2 });
  expect(() => entity.reprice(0.5)).toThrow(expect.objectContaining({ code: 'SchemaViolation' }));
  expect(() => entity.halt()).toThrow(expect.objectContaining({ code: 'UnknownEventType' }));
  expect(entity).toMatchObject({ version: 1, cents: 500 });
  await runtime.publisher.publish(...entity.uncommittedEvents);
  const [stored] = await runtime.store.getByAggregate(Today, 'ACME');
  expect(stored).toMatchObject({ schemaVersion: 2, data: { cents: 500 } });
});

const refused = [
  ['a type that is not declared', stock('Sold', {}), 'UnknownEventType'],
  ['a former name', stock('Priced', { price: '1' }), 'UnknownEventType'],
  ['a retired type', stock('Halted', {}), 'UnknownEventType'],
  ['a payload that is not valid', stock('Repriced', { cents: '1' }), 'SchemaViolation'],
  ['a version newer than the newest', stock('Repriced', { cents: 1 }, { schemaVersion: 3 }), 'UnsupportedEventVersion'],
  ['an older version that makes no newer one', stock('Repriced', { price: 'x' }, { schemaVersion: 1 }), 'UpcastFailed'],
] as const;

test.each(refused)('%s is refused, by the publisher and by save', async (_, given, code) => {
  const runtime = await started([Today]);
  expect(await errorOf(runtime.publisher.publish(given))).toMatchObject({ code });
  expect(await errorOf(runtime.store.save([given]))).toMatchObject({ code });
  expect(await all(runtime.events())).toEqual([]);
});

test('in transactions: saveWithTx checks the same, and keeps the version', async () => {
  const connectionString = await migratedDatabase();
  const runtime = await startRuntime({
    ...{ dataDir: scratchFolder(), aggregates: [Counter], entities: [Today], shards: 1 },
    store: postgres({ connectionString }),
  });
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    await client.query('begin');
    for (const [, given, code] of refused) {
      expect(await errorOf(runtime.store.saveWithTx(client, [given]))).toMatchObject({ code });
    }
    await runtime.store.saveWithTx(client, [stock('Repriced', { cents: 7 })]);
    await runtime.store.saveWithTx(client, [stock('Repriced', { price: '0.08' }, { schemaVersion: 1 })]);
    await client.query('commit');
    const rows = await client.query('select schema_version as v from trunkline.domain_events order by version');
    expect(rows.rows).toEqual([{ v: 2 }, { v: 1 }]);
    const events = await runtime.store.getByAggregate(Today, 'ACME');
    expect(events.map(({ data }) => data)).toEqual([{ cents: 7 }, { cents: 8 }]);
  } finally {
    await client.end();
  }
}, 60_000);

test('what the options refuse', async () => {
  const dataDir = scratchFolder();
  const invalid = (options: object): Promise<void> =>
    expect(startRuntime({ dataDir, aggregates: [Counter], ...options })).rejects.toMatchObject({
      code: 'InvalidOptions',
    });
  await invalid({ entities: Today });
  await invalid({ entities: [Counter] });
  await invalid({ entities: [Today, Before] });
  await invalid({ entities: [defineEntityEvents('counter', { events: {} })] });
  await invalid({ aggregates: [Counter, Today] });
  for (const spec of [{}, { events: { A: {} } }, { events: {}, retired: 'A' }, { events: {}, commands: {} }]) {
    expect(() => defineEntityEvents('a', spec as never)).toThrow(
      expect.objectContaining({ code: 'InvalidDefinition' }),
    );
  }
});

test('raise_versioned_event gives the version: for a role that may raise the event, and a version that there can be', async () => {
  const connectionString = await migratedDatabase();
  const runtime = await startRuntime({
    ...{ dataDir: scratchFolder(), aggregates: [Counter], entities: [Today], shards: 1 },
    store: postgres({ connectionString }),
  });
  const heard: unknown[] = [];
  runtime.bus.on(Today, 'Repriced', ({ data }) => heard.push(data.cents));
  const client = new pg.Client({ connectionString });
  await client.connect();
  const [trader, stranger] = [`trader_${process.pid}`, `stranger_${process.pid}`];
  const raise = (more: string): string =>
    `select trunkline.raise_versioned_event('stock', 'ACME', 'Repriced', ${more}) as v`;
  const as = async (role: string, sql: string): Promise<unknown> => {
    await client.query(`set session authorization ${role}`);
    const code = await client.query(sql).then(
      ({ rows }) => rows[0].v,
      ({ code }: { code: string }) => code,
    );
    await client.query('reset session authorization');
    return code;
  };
  try {
    await client.query(
      `create role ${trader}; create role ${stranger}; grant usage on schema trunkline to ${trader}, ${stranger};
       grant execute on function trunkline.raise_event to ${trader};
       insert into trunkline.raise_rights values ('${trader}', 'stock', '*'), ('${stranger}', 'stock', '*')`,
    );
    expect(await as(stranger, raise(`2, '{"cents": 1}'`))).toBe('42501');
    expect(await as(trader, raise(`0, '{"cents": 1}'`))).toBe('22023');
    expect(await as(trader, raise(`65536, '{"cents": 1}'`))).toBe('22023');
    expect(await as(trader, raise(`2, '{"cents": 1}'`))).toBe(1);
    expect(await as(trader, raise(`1, '{"price": "0.02"}', expected_version => 1`))).toBe(2);
    expect(await as(trader, raise(`null, '{"price": "0.03"}'`))).toBe(3);
    await expect.poll(() => heard, { timeout: 20_000 }).toEqual([1, 2, 3]);
    const { rows } = await client.query(`select schema_version as v, metadata->>'databaseRole' as by
      from trunkline.domain_events order by version`);
    expect(rows).toEqual([2, 1, 1].map((v) => ({ v, by: trader })));
  } finally {
    await client.query(`drop owned by ${trader}, ${stranger} cascade; drop role ${trader}, ${stranger}`);
    await client.end();
  }
}, 60_000);

test('a validator that transforms runs once for one payload, whichever way it takes; an older version is checked as it will be read', async () => {
  const connectionString = await migratedDatabase();
  const Prices = defineEntityEvents('price', {
    events: {
      Set: versions<{ at: string }>().next(
        z.object({ amount: z.number().transform((amount) => amount * 100) }),
        ({ at }) => ({
          amount: (at as unknown as Date).getTime(),
        }),
      ),
    },
  });
  class Price extends AggregateRoot {
    constructor(id: string) {
      super(Prices, id);
    }
    set(amount: number): void {
      this.raise('Set', { amount });
    }
  }
  const runtime = await startRuntime({
    ...{ dataDir: scratchFolder(), aggregates: [Counter], entities: [Prices], shards: 1 },
    store: postgres({ connectionString }),
  });
  const raised = (id: string): readonly NewEvent[] => {
    const price = new Price(id);
    price.set(1);
    return price.uncommittedEvents;
  };
  const plain = (id: string): NewEvent => ({
    aggregateType: 'price',
    aggregateId: id,
    type: 'Set',
    data: { amount: 1 },
  });
  await runtime.publisher.publish(...raised('a'));
  await runtime.publisher.publish(...raised('b').map((one) => ({ ...one, metadata: { by: 'b' } })));
  await runtime.publisher.publish(plain('c'));
  await runtime.store.save(raised('d'));
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    await client.query('begin');
    await runtime.store.saveWithTx(client, raised('e'));
    await runtime.store.saveWithTx(client, [plain('f')]);
    await client.query('commit');
  } finally {
    await client.end();
  }
  for (const id of 'abcdef') expect((await runtime.store.getByAggregate(Prices, id))[0]!.data).toEqual({ amount: 100 });
  // Another payload, though an equal one, is new data.
  await runtime.publisher.publish(...raised('h').map((one) => ({ ...one, data: structuredClone(one.data) })));
  expect((await runtime.store.getByAggregate(Prices, 'h'))[0]!.data).toEqual({ amount: 10_000 });
  const data = { at: new Date(0) };
  const older = { aggregateType: 'price', aggregateId: 'g', type: 'Set', data, schemaVersion: 1 };
  expect(await errorOf(runtime.publisher.publish(older))).toMatchObject({ code: 'UpcastFailed' });
  expect(Object.isFrozen(data)).toBe(false);
}, 60_000);

test('entities have no reducers: who asks for a state is told so', async () => {
  const runtime = await started([Today]);
  await runtime.publisher.publish(stock('Repriced', { cents: 100 }));
  const told = { code: 'InvalidOptions', message: expect.stringContaining('no reducers') };
  expect(await errorOf(runtime.store.stateAt(Today, 'ACME', { version: 1 }))).toMatchObject(told);
  expect(await errorOf(runtime.state(Today, 'ACME'))).toMatchObject({ code: 'UnknownAggregateType' });
  expect(await errorOf(runtime.rehearse({ new: [Today] }))).toMatchObject({ code: 'InvalidOptions' });
  await using alone = await openEventStore(postgres({ connectionString: await migratedDatabase() }), {
    aggregates: [Today],
  });
  expect(await errorOf(alone.stateAt(Today, 'ACME', { version: 1 }))).toMatchObject(told);
  expect(await errorOf(alone.stateAt('stock' as never, 'ACME', { version: 1 }))).toMatchObject({
    code: 'InvalidOptions',
  });
});
