// A runtime whose store is PostgreSQL: what it was told is there, once, in order, and read back as it was.
import { beforeEach, expect, test } from 'vitest';
import { postgres, type StoredEvent } from '../../../src/index.ts';
import { administer, migratedDatabase } from '../../postgres.ts';
import { Counter } from '../../runtime/aggregates.ts';
import { errorOf, scratchFolder, startRuntime, until } from '../../runtime/scratch.ts';

let connectionString: string;

beforeEach(async () => {
  connectionString = await migratedDatabase();
});

const collect = async (events: AsyncIterable<StoredEvent>): Promise<StoredEvent[]> => {
  const all: StoredEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
};

const json = (events: readonly StoredEvent[]): unknown[] => events.map((event) => JSON.parse(JSON.stringify(event)));

test('events arrive whole, heads and checkpoint with them', async () => {
  const runtime = await startRuntime({ store: postgres({ connectionString }) });
  const id = `it's "quoted" \\ \u{1f4de}`;
  const counter = runtime.ref(Counter, id);
  const live: StoredEvent[] = [];
  runtime.bus.on('*', (event) => void live.push(event as StoredEvent));
  await counter.with({ metadata: { correlationId: 'c-1', note: 'a\nb\\' } }).add(2);
  await counter.label('Zürich\t"x"');
  const receipt = await counter.with({ ack: 'stored' }).add(3);
  expect(receipt.version).toBe(3);
  const rows = await administer(connectionString, 'select * from trunkline.domain_events order by version');
  expect(rows).toHaveLength(3);
  expect(rows[0]).toMatchObject({ aggregate_type: 'counter', event_type: 'Added', version: 1, data: { amount: 2 } });
  expect(rows[0].metadata).toEqual({ correlationId: 'c-1', note: 'a\nb\\' });
  expect(rows[1].metadata).toBe(null);
  const [head] = await administer(connectionString, 'select * from trunkline.aggregates');
  expect(head).toMatchObject({ version: 3, epoch: '1', position: String(receipt.position) });
  const stored = await runtime.store.getByAggregate(Counter, id);
  expect(json(stored)).toEqual(json(live));
  expect(stored.map((event) => event.position)).toEqual(live.map((event) => event.position));
});

test('every way to read agrees with what was raised', async () => {
  const runtime = await startRuntime({ store: postgres({ connectionString }) });
  const ids = ['a', 'b', "o'hara"];
  for (let i = 0; i < 30; i++) {
    await runtime
      .ref(Counter, ids[i % 3]!)
      .with({ metadata: { correlationId: `c-${i % 5}` } })
      .add(i);
  }
  await runtime.ref(Counter, 'a').label('x');
  const all = await collect(runtime.events());
  expect(all).toHaveLength(31);
  expect(json(await collect(runtime.store.query()))).toEqual(json(all));
  expect(json(await runtime.store.getByType('Labelled'))).toEqual(json(all.slice(-1)));
  expect(await runtime.store.getByType('Added', { limit: 7 })).toHaveLength(7);
  expect(await collect(runtime.store.query({ correlationId: 'c-2' }))).toHaveLength(6);
  expect(await collect(runtime.events({ correlationId: 'c-2', aggregate: Counter, aggregateId: 'b' }))).toHaveLength(2);
  const from = await runtime.store.getFromVersion(Counter, "o'hara", 4, 3);
  expect(from.map(({ version }) => version)).toEqual([4, 5, 6]);
  expect(await runtime.store.stateAt(Counter, 'a', { version: 2 })).toMatchObject({ state: { total: 3 }, version: 2 });
  expect(await runtime.store.head(Counter, 'a')).toMatchObject({ version: 11 });
  expect(await runtime.store.head(Counter, 'nobody')).toBe(undefined);
  const heads: string[] = [];
  for await (const { id } of runtime.store.heads(Counter)) heads.push(id);
  expect(heads).toEqual(ids);
  const [first, last] = [all[0]!.occurredAt, all.at(-1)!.occurredAt];
  expect(await collect(runtime.store.query({ since: first, until: new Date(last.getTime() + 1) }))).toHaveLength(31);
  expect(await collect(runtime.store.query({ until: first }))).toHaveLength(0);
  const abort = new AbortController();
  abort.abort(new Error('enough'));
  expect((await errorOf(collect(runtime.store.query({ signal: abort.signal })))).message).toBe('enough');
});

test('a restart goes on where it was; a runtime with another folder sees what the first one wrote', async () => {
  const dataDir = scratchFolder();
  const store = postgres({ connectionString });
  const first = await startRuntime({ dataDir, store });
  for (let i = 1; i <= 25; i++) await first.ref(Counter, 'x').add(1);
  await first.close();
  const second = await startRuntime({ dataDir, store });
  expect((await second.ref(Counter, 'x').add(1)).value).toBe(26);
  await second.reached('stored');
  await second.close();
  const [{ count }] = await administer(connectionString, 'select count(*)::int as count from trunkline.domain_events');
  expect(count).toBe(26);
});

test('events of entities: any time, many at once', async () => {
  const runtime = await startRuntime({ store: postgres({ connectionString }) });
  const times = ['1970-01-01T00:00:00Z', '2100-06-01T00:00:00Z', '2019-03-31T23:59:59.999Z', '0001-01-01T00:00:00Z'];
  await runtime.store.save(
    times.map((time) => ({
      aggregateType: 'stock',
      aggregateId: 's',
      type: 'StockMoved',
      data: { time },
      occurredAt: new Date(time),
    })),
  );
  const events = await runtime.store.getByAggregate('stock', 's');
  expect(events.map((event) => event.occurredAt.toISOString())).toEqual(
    times.map((time) => new Date(time).toISOString()),
  );
  const rows = await administer(
    connectionString,
    'select tableoid::regclass::text as name from trunkline.domain_events order by version',
  );
  expect(rows.map(({ name }) => name.replace('trunkline.', ''))).toEqual([
    'domain_events_default',
    'domain_events_default',
    'domain_events_2019_03',
    'domain_events_default',
  ]);
  expect(
    await collect(runtime.store.query({ since: new Date('2018-01-01'), until: new Date('2020-01-01') })),
  ).toHaveLength(1);
  expect(await collect(runtime.store.query({ until: new Date(-1) }))).toHaveLength(1);
});

test('64 KiB of metadata, and text at the edges of what JSON can hold', async () => {
  const runtime = await startRuntime({ store: postgres({ connectionString }) });
  const note = '\u{10ffff}\\"\u0001é'.repeat(6_000).slice(0, 30_000);
  const metadata = { correlationId: 'x'.repeat(20_000), note };
  await runtime.ref(Counter, 'big').with({ metadata, ack: 'stored' }).label(note);
  const [event] = await runtime.store.getByAggregate(Counter, 'big');
  expect(event!.metadata).toEqual(metadata);
  expect(event!.data).toEqual({ label: note });
  expect(await collect(runtime.store.query({ correlationId: metadata.correlationId }))).toHaveLength(1);
  expect(runtime.status().quarantined).toBe(0);
});

test('what jsonb refuses never gets into the log: in payloads, ids and metadata', async () => {
  const runtime = await startRuntime({ store: postgres({ connectionString }) });
  const counter = runtime.ref(Counter, 'x');
  for (const bad of ['a\0b', '\ud800']) {
    expect((await errorOf(counter.label(bad))).code).toBe('UnserialisableValue');
    expect((await errorOf(counter.with({ metadata: { note: bad } }).add(1))).code).toBe('UnserialisableValue');
    expect((await errorOf(counter.with({ metadata: { [bad]: 1 } }).add(1))).code).toBe('UnserialisableValue');
    expect(() => runtime.ref(Counter, bad)).toThrow();
    const event = { aggregateType: 'stock', aggregateId: bad, type: 'Moved', data: {} };
    await expect(runtime.store.save([event])).rejects.toThrow();
    await expect(runtime.store.save([{ ...event, aggregateId: 'ok', type: bad }])).rejects.toThrow();
    await expect(runtime.store.save([{ ...event, aggregateType: bad, aggregateId: 'ok' }])).rejects.toThrow();
  }
  await runtime.reached('stored');
  expect(runtime.status()).toMatchObject({ quarantined: 0 });
});

test('what the server refuses is quarantined, and the rest goes on', async () => {
  // Its words are long, and cut anywhere they end within a character.
  await administer(
    connectionString,
    `create function public.poison(data jsonb) returns boolean language plpgsql as $$ begin
       if data ->> 'amount' = '13' then
         raise exception using errcode = '23514', message = 'poison' || repeat(U&'\\+01F600', 100000);
       end if;
       return true;
     end $$`,
  );
  await administer(
    connectionString,
    'alter table trunkline.domain_events add constraint poison check (public.poison(data))',
  );
  const runtime = await startRuntime({ store: postgres({ connectionString }) });
  const commands: Promise<unknown>[] = [];
  for (let i = 0; i < 200; i++) commands.push(runtime.ref(Counter, `c-${i % 7}`).add(i === 77 || i === 140 ? 13 : 1));
  await Promise.all(commands);
  await runtime.reached('stored');
  await until(
    () => runtime.status().quarantined,
    (count) => count === 2,
  );
  const [{ count }] = await administer(connectionString, 'select count(*)::int as count from trunkline.domain_events');
  expect(count).toBe(198);
  const refused = [];
  for await (const one of runtime.store.quarantined()) refused.push(one);
  expect(refused.map(({ code, event }) => [code, event.data])).toEqual([
    ['RefusedByServer', { amount: 13 }],
    ['RefusedByServer', { amount: 13 }],
  ]);
  expect(refused[0]!.reason).toContain('poison');
  expect(refused.every(({ reason }) => reason.length <= 500 && !reason.slice(0, -1).includes('\ufffd'))).toBe(true);
});
