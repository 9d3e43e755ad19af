// From a transaction of the user's own into the log, once, and from there to listeners, the history and the store: through
// the whole runtime, against a real server.
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AggregateRoot, createRuntime, migrate, postgres, type Runtime, type StoredEvent } from '../../src/index.ts';
import { elsewhere, migratedDatabase } from '../postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, scratchFolder, startRuntime, until } from '../runtime/scratch.ts';

class Stock extends AggregateRoot {
  price = '0';

  constructor(id: string) {
    super('stock', id);
  }

  reprice(price: string): this {
    this.raise('StockPriceUpdated', { oldPrice: this.price, newPrice: price });
    return this;
  }

  protected override apply(event: { type: string; data: any }): void {
    if (event.type === 'StockPriceUpdated') this.price = event.data.newPrice;
  }
}

let url: string;
let schema: string;
let client: pg.Client;
const clients: pg.Client[] = [];

async function connected(): Promise<pg.Client> {
  const made = new pg.Client({ connectionString: url });
  made.on('error', () => {});
  await made.connect();
  clients.push(made);
  return made;
}

const started = (dataDir = scratchFolder()): Promise<Runtime> =>
  startRuntime({ dataDir, store: postgres({ connectionString: url, schema }) });

const rowCount = async (): Promise<number> =>
  (await client.query(`select count(*)::int as count from ${schema}.outbox`)).rows[0].count;

async function history(runtime: Runtime): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  for await (const event of runtime.events()) events.push(event);
  return events;
}

const told = ({ aggregateId, version }: StoredEvent): string => `${aggregateId}${version}`;

beforeEach(async () => {
  schema = elsewhere;
  url = await migratedDatabase(elsewhere);
  client = await connected();
  await client.query('create table if not exists stocks (id text primary key, price text not null)');
});
afterEach(async () => {
  for (const each of clients.splice(0)) await each.end().catch(() => {});
});

describe("the seed's ProcessOperation", () => {
  // begin; business logic; the entity into its table; its events; commit; publish without waiting
  async function processOperation(runtime: Runtime, stock: Stock, price: string): Promise<void> {
    await client.query('begin');
    try {
      stock.reprice(price);
      await client.query('insert into stocks values ($1, $2) on conflict (id) do update set price = excluded.price', [
        stock.id,
        price,
      ]);
      await runtime.store.saveWithTx(client, stock.uncommittedEvents);
      await client.query('commit');
    } catch (error) {
      await client.query('rollback');
      throw error;
    }
    runtime.publisher.publishAsync(...stock.uncommittedEvents);
    stock.markEventsAsCommitted();
  }

  test('entity and events are one transaction; then listeners, history and store have the events, once', async () => {
    const runtime = await started();
    const heard: StoredEvent[] = [];
    runtime.bus.on('*', (event) => heard.push(event));
    const stock = new Stock('AAPL');
    await processOperation(runtime, stock, '1.10');
    await processOperation(runtime, stock, '1.20');
    await until(
      () => heard.length,
      (count) => count === 2,
    );
    expect(heard.map(told)).toEqual(['AAPL1', 'AAPL2']);
    expect(heard.every(({ position }) => position > 0)).toBe(true);
    const stored = await runtime.store.getByAggregate('stock', 'AAPL');
    expect(stored.map(({ id, position, data }) => ({ id, position, data }))).toEqual(
      heard.map(({ id, position, data }) => ({ id, position, data })),
    );
    expect((await history(runtime)).map(told)).toEqual(['AAPL1', 'AAPL2']);
    expect(new Stock('AAPL').rebuild(stored)).toMatchObject({ price: '1.20', version: 2 });
    await until(rowCount, (count) => count === 0);
    expect((await client.query("select price from stocks where id = 'AAPL'")).rows).toEqual([{ price: '1.20' }]);
  });

  test('a conflict undoes the entity too', async () => {
    const runtime = await started();
    await processOperation(runtime, new Stock('MSFT'), '1');
    const error = await errorOf(processOperation(runtime, new Stock('MSFT'), '2'));
    expect(error).toMatchObject({ code: 'ConcurrencyConflict', details: { expectedVersion: 0, actualVersion: 1 } });
    expect((await client.query("select price from stocks where id = 'MSFT'")).rows).toEqual([{ price: '1' }]);
  });

  test('an event that a transaction has taken is not published by hand, also if the transaction was rolled back', async () => {
    const runtime = await started();
    const stock = new Stock('GOOG').reprice('1');
    await client.query('begin');
    await runtime.store.saveWithTx(client, stock.uncommittedEvents);
    await client.query('rollback');
    expect(await errorOf(runtime.publisher.publish(...stock.uncommittedEvents))).toMatchObject({
      code: 'AggregateTypeOwnedElsewhere',
    });
    runtime.publisher.publishAsync(...stock.uncommittedEvents);
    runtime.publisher.publishAsync(...new Stock('AMZN').reprice('1').uncommittedEvents);
    await until(
      async () => (await history(runtime)).map(told),
      (all) => all.length > 0,
    );
    expect((await history(runtime)).map(told)).toEqual(['AMZN1']);
  });
});

describe('units of work', () => {
  test('your tables, events, and what handlers before commit write are one transaction', async () => {
    const runtime = await started();
    const heard: string[] = [];
    const after: StoredEvent[] = [];
    runtime.bus.on('*', (event) => heard.push(told(event)));
    const work = runtime.unitOfWork({ client });
    work.before('StockPriceUpdated', async (event) => {
      await client.query('insert into stocks values ($1, $2)', [`before-${event.aggregateId}-${event.version}`, 'x']);
    });
    work.after('*', (event) => {
      after.push(event);
    });
    await work.run(async (unit) => {
      unit.register(new Stock('UW')).reprice('1').reprice('2');
      expect((await (await connected()).query(`select from ${schema}.domain_events`)).rowCount).toBe(0);
    });
    await until(
      () => heard.length,
      (count) => count === 2,
    );
    expect(heard).toEqual(['UW1', 'UW2']);
    expect(after.map(told)).toEqual(['UW1', 'UW2']);
    expect((await client.query("select from stocks where id like 'before-UW-%'")).rowCount).toBe(2);
  });

  test('a handler before commit that fails rolls everything back (row H9)', async () => {
    const runtime = await started();
    const work = runtime.unitOfWork({ client }).before('*', () => {
      throw new Error('not compliant');
    });
    const run = work.run(async (unit) => {
      await client.query("insert into stocks values ('H9', '1')");
      unit.register(new Stock('H9')).reprice('1');
    });
    await expect(run).rejects.toThrow('not compliant');
    expect((await client.query("select from stocks where id = 'H9'")).rowCount).toBe(0);
    expect(await runtime.store.getByAggregate('stock', 'H9')).toEqual([]);
  });

  test('a COMMIT that the server answers with ROLLBACK is an error', async () => {
    const runtime = await started();
    const run = runtime.unitOfWork({ client }).run(async (unit) => {
      unit.register(new Stock('RB')).reprice('1');
      unit.before('*', async () => {
        await client.query('select 1 / 0').catch(() => {});
      });
    });
    expect(await errorOf(run)).toMatchObject({ code: '25P02' });
    const empty = runtime.unitOfWork({ client }).run(() =>
      client.query('select 1 / 0').then(
        () => {},
        () => {},
      ),
    );
    expect(await errorOf(empty)).toMatchObject({ code: 'TransactionRolledBack' });
  });

  test('a connection that is cut before COMMIT has saved nothing; one cut at COMMIT says that it does not know', async () => {
    const runtime = await started();
    for (const [when, id] of [
      ['before', 'CUT'],
      ['at', 'CUT2'],
    ] as const) {
      const cut = await connected();
      const { rows } = await cut.query('select pg_backend_pid() as pid');
      const run = runtime.unitOfWork({ client: cut }).run(async (unit) => {
        unit.register(new Stock(id)).reprice('1');
        if (when === 'before') await client.query('select pg_terminate_backend($1)', [rows[0].pid]);
        else {
          const { stream } = (cut as unknown as { connection: { stream: { write: unknown; destroy(): void } } })
            .connection;
          const write = (stream.write as (...words: unknown[]) => boolean).bind(stream);
          stream.write = (bytes: Buffer, ...more: unknown[]) => {
            const sent = write(bytes, ...more);
            if (bytes.includes('commit')) stream.destroy(); // the server may or may not have read it
            return sent;
          };
        }
      });
      const error = await errorOf(run);
      if (when === 'at') expect(error.code).toBe('OutcomeUnknown');
      expect(await runtime.store.getByAggregate('stock', 'CUT')).toEqual([]);
    }
  });

  test('without a store that has transactions: a typed error, and the transaction is rolled back', async () => {
    const runtime = await startRuntime();
    const run = runtime.unitOfWork({ client }).run((unit) => void unit.register(new Stock('none')).reprice('1'));
    expect(await errorOf(run)).toMatchObject({ code: 'InvalidOptions' });
  });
});

describe('events that other processes raise in SQL', () => {
  test('come into the log, among those of the actors, and start nothing twice', async () => {
    const runtime = await started();
    const heard: StoredEvent[] = [];
    runtime.bus.on('*', (event) => heard.push(event));
    await runtime.ref(Counter, 'c-1').add(1);
    await client.query(
      `select ${schema}.raise_event('invoice', 'i-1', 'InvoiceGenerated', $1, '{"source": "batch"}')`,
      [{ amount: '1.20', tiny: 1e-300 }],
    );
    await until(
      () => heard.length,
      (count) => count === 2,
    );
    expect(heard[1]).toMatchObject({
      aggregateType: 'invoice',
      aggregateId: 'i-1',
      version: 1,
      type: 'InvoiceGenerated',
      data: { amount: '1.20', tiny: 1e-300 },
      metadata: { source: 'batch', databaseRole: 'postgres' },
    });
    expect((await runtime.store.getByType('InvoiceGenerated')).map(({ position }) => position)).toEqual([
      heard[1]!.position,
    ]);
  });

  test("an actor's type is closed to them, once a runtime has it; and a type of theirs to actors", async () => {
    await started();
    const raise = client.query(`select ${schema}.raise_event('counter', 'c-1', 'Added', '{}')`);
    expect(await errorOf(raise)).toMatchObject({ code: 'TKWRD' });
    schema = 'another';
    await migrate({ connection: url, schema });
    await client.query(`select ${schema}.raise_event('counter', 'c-1', 'Added', '{}')`);
    const starting = createRuntime({
      logger: false,
      dataDir: scratchFolder(),
      aggregates: [Counter],
      store: postgres({ connectionString: url, schema }),
    });
    expect(await errorOf(starting)).toMatchObject({ code: 'AggregateTypeOwnedElsewhere' });
  });

  test('while nobody relays they wait; the next start brings them, in order', async () => {
    for (let i = 0; i < 1500; i++) {
      await client.query(`select ${schema}.raise_event('invoice', $1, 'InvoiceGenerated', '{}')`, [`i-${i % 7}-`]);
    }
    const runtime = await started();
    await until(rowCount, (count) => count === 0);
    const versions = new Map<string, number>();
    for (const { aggregateId, version } of await history(runtime)) {
      expect(version).toBe((versions.get(aggregateId) ?? 0) + 1);
      versions.set(aggregateId, version);
    }
    expect([...versions.values()].reduce((sum, each) => sum + each, 0)).toBe(1500);
  });
});

describe('order', () => {
  test('an event whose transaction has seen the commit of another comes behind that one, whoever began first', async () => {
    const runtime = await started();
    const heard: string[] = [];
    runtime.bus.on('*', (event) => heard.push(told(event)));
    const [early, between, late] = [await connected(), await connected(), await connected()];
    const raise = (on: pg.Client, id: string): Promise<unknown> =>
      on.query(`select ${schema}.raise_event('invoice', $1, 'InvoiceGenerated', '{}')`, [id]);
    for (const each of [early, between, late]) await each.query('begin; select pg_current_xact_id()');
    await raise(late, 'a');
    await late.query('commit');
    await raise(early, 'a');
    await early.query('commit');
    await until(
      () => heard.length,
      (count) => count === 2,
    ); // while a transaction between them is still open
    await raise(between, 'b');
    await between.query('commit');
    await until(
      () => heard.length,
      (count) => count === 3,
    );
    expect(heard).toEqual(['a1', 'a2', 'b1']);
  });
});

describe('two runtimes on one database', () => {
  test('one relays, the other takes over when it has gone; each event is in one log', async () => {
    const first = await started();
    const second = await started();
    await until(
      () => second.status().relay?.state,
      (state) => state === 'standby',
    );
    const raise = (i: number): Promise<unknown> =>
      client.query(`select ${schema}.raise_event('invoice', $1, 'InvoiceGenerated', '{}')`, [`i-${i}`]);
    for (let i = 0; i < 50; i++) await raise(i);
    await until(rowCount, (count) => count === 0);
    const inFirst = (await history(first)).map(told);
    await first.close();
    for (let i = 50; i < 100; i++) await raise(i);
    await until(rowCount, (count) => count === 0);
    const inSecond = (await history(second)).map(told);
    expect(inFirst).toHaveLength(50);
    expect(inSecond).toHaveLength(50);
    expect(new Set([...inFirst, ...inSecond]).size).toBe(100);
    const { rows } = await client.query(`select count(distinct log_id)::int as logs, count(position)::int as relayed
      from ${schema}.domain_events`);
    expect(rows).toEqual([{ logs: 2, relayed: 100 }]);
  });
});

describe('faults', () => {
  test("the relay's connection is cut again and again: each event once", async () => {
    const runtime = await started();
    const heard: string[] = [];
    runtime.bus.on('*', (event) => heard.push(told(event)));
    for (let i = 1; i <= 200; i++) {
      await client.query(`select ${schema}.raise_event('invoice', 'a', 'InvoiceGenerated', '{}')`);
      if (i % 20 === 0) {
        await client.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
          where application_name = 'trunkline relay' and datname = current_database()`,
        );
      }
    }
    await until(
      () => heard.length,
      (count) => count >= 200,
    );
    await until(rowCount, (count) => count === 0);
    expect(heard).toEqual(Array.from({ length: 200 }, (_, i) => `a${i + 1}`));
    expect((await history(runtime)).map(told)).toEqual(heard);
  });
});
