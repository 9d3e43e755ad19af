// Events of entities within transactions of the user's own, against a real server.
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { PostgresAppend } from '../../../src/adapters/postgres/outbox/append.ts';
import { migrate } from '../../../src/adapters/postgres/schema/migrate.ts';
import { isError } from '../../../src/base/errors.ts';
import { OutboxHints } from '../../../src/entity/outbox-door.ts';
import { Transactions } from '../../../src/entity/transactions.ts';
import type { NewEvent } from '../../../src/model/event.ts';
import { newId } from '../../../src/wire/ids.ts';
import { freshDatabase } from '../../postgres.ts';

const schema = 'events "of" ours';
const name = pg.escapeIdentifier(schema);
let url: string;
let client: pg.Client;
let other: pg.Client;
const transactions = new Transactions(new PostgresAppend(schema), new Map(), new OutboxHints());

const price = (id: string, amount: number, version?: number): NewEvent => ({
  aggregateType: 'stock',
  aggregateId: id,
  type: 'PriceUpdated',
  data: { amount },
  ...(version !== undefined && { version }),
});

async function connected(): Promise<pg.Client> {
  const made = new pg.Client({ connectionString: url });
  await made.connect();
  return made;
}

async function stored(id: string): Promise<any[]> {
  const { rows } = await other.query(
    `select version, event_type, data, metadata, d.position, d.log_id, o.sequence is not null as waits
    from ${name}.domain_events d left join ${name}.outbox o using (sequence) where aggregate_id = $1 order by d.sequence`,
    [id],
  );
  return rows;
}

async function code(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    return (error as { code: string }).code;
  }
  return undefined;
}

beforeAll(async () => {
  url = await freshDatabase();
  await migrate({ connection: url, schema });
  client = await connected();
  other = await connected();
});

afterAll(async () => {
  await client.end();
  await other.end();
});

beforeEach(() => client.query('rollback'));

/** In a transaction of its own. */
async function save(events: readonly NewEvent[]): Promise<number[]> {
  await client.query('begin');
  try {
    const versions = await transactions.append(client, events);
    await client.query('commit');
    return versions;
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
}

describe('saveWithTx', () => {
  test('nothing is visible before the commit; then event, head and outbox row are there together', async () => {
    const id = newId();
    await client.query('begin');
    expect(await transactions.append(client, [price(id, 1, 1)])).toEqual([1]);
    expect(await stored(id)).toEqual([]);
    await client.query('commit');
    const row = { version: 1, event_type: 'PriceUpdated', data: { amount: 1 }, metadata: null, position: null };
    expect(await stored(id)).toEqual([{ ...row, log_id: null, waits: true }]);
  });

  test('a rollback leaves nothing', async () => {
    const id = newId();
    await client.query('begin');
    await transactions.append(client, [price(id, 1, 1)]);
    await client.query('rollback');
    expect(await stored(id)).toEqual([]);
    expect((await other.query(`select from ${name}.aggregates where aggregate_id = $1`, [id])).rowCount).toBe(0);
  });

  test('has a named statement from the second event of a client on; one that resets its session goes without', async () => {
    const own = await connected();
    onTestFinished(() => own.end());
    const append = async (): Promise<unknown> => {
      await own.query('begin');
      const failed = await code(transactions.append(own, [price(newId(), 1, 1)]));
      await own.query(failed === undefined ? 'commit' : 'rollback');
      return failed;
    };
    const named = async (): Promise<number | null> =>
      (await own.query("select from pg_prepared_statements where name like 'trunkline%'")).rowCount;
    expect([await append(), await named()]).toEqual([undefined, 0]);
    expect([await append(), await named()]).toEqual([undefined, 1]);
    await own.query('discard all');
    expect(await append()).toBe('26000'); // pg believes that the server has it
    for (let i = 0; i < 3; i++) expect([await append(), await named()]).toEqual([undefined, 0]);
  });

  test.each([1, 5])('%i event(s) a call, many aggregates: versions run, in the order of the call', async (count) => {
    const [a, b] = [newId(), newId()];
    await client.query('begin');
    for (let round = 0; round < 3; round++) {
      for (const id of [b, a]) {
        const events = Array.from({ length: count }, (_, i) => price(id, i, round * count + i + 1));
        await transactions.append(client, events);
      }
    }
    await client.query('commit');
    for (const id of [a, b]) {
      expect((await stored(id)).map((row) => row.version)).toEqual(Array.from({ length: 3 * count }, (_, i) => i + 1));
    }
  });

  test('events without a version get the next', async () => {
    const [a, b] = [newId(), newId()];
    await save([price(a, 1), price(b, 1)]);
    expect(await save([price(a, 2), price(b, 2), price(a, 3)])).toEqual([2, 2, 3]);
    // A version that is given decides for those before it, too.
    expect(await save([price(a, 4), price(b, 3), price(a, 5, 5)])).toEqual([4, 3, 5]);
    expect(await code(save([price(b, 4), price(a, 6), price(a, 7, 9)]))).toBe('ConcurrencyConflict');
    expect((await stored(a)).map(({ version, data }) => [version, data.amount])).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
      [4, 4],
      [5, 5],
    ]);
  });

  test('several aggregates are locked in one order, in whichever order their events come: nobody waits in a circle', async () => {
    const [a, b] = ['circle-a', 'circle-b'];
    for (const existing of [false, true]) {
      for (const versions of [false, true]) {
        const [first, second] = [`${a}${versions}`, `${b}${versions}`];
        // Between its statements, if it had several, each gives way to the other.
        const slowly = (on: pg.Client): pg.Client =>
          ({
            query: async (...args: Parameters<pg.Client['query']>) => {
              const result = await on.query(...args);
              await on.query('select pg_sleep(0.01)');
              return result;
            },
          }) as unknown as pg.Client;
        const version = versions && !existing ? 1 : undefined;
        const saving = async (on: pg.Client, ids: string[]): Promise<unknown> => {
          await on.query('begin');
          const failed = await code(
            transactions.append(
              slowly(on),
              ids.map((id) => price(id, 1, version)),
            ),
          );
          await on.query(failed === undefined ? 'commit' : 'rollback');
          return failed;
        };
        const outcomes = await Promise.all([saving(client, [first, second]), saving(other, [second, first])]);
        expect(outcomes.filter((outcome) => outcome !== undefined)).toEqual(version ? ['ConcurrencyConflict'] : []);
      }
    }
  });

  test.each([
    ['one event', 1],
    ['several', 3],
  ])('%s behind another version: ConcurrencyConflict, and nothing is written', async (_, count) => {
    const [a, b] = [newId(), newId()];
    await save([price(a, 1, 1), price(a, 2, 2)]);
    for (const from of [1, 2, 4]) {
      const stale = Array.from({ length: count }, (_, i) => price(a, i, from + i));
      const others = count === 1 ? [] : [price(b, 1, 1)];
      await client.query('begin');
      const error = await transactions.append(client, [...others, ...stale]).catch((thrown: unknown) => thrown);
      await client.query('commit');
      expect(isError(error, 'ConcurrencyConflict') && error.details).toEqual({
        aggregateType: 'stock',
        aggregateId: a,
        expectedVersion: from - 1,
        actualVersion: 2,
      });
    }
    expect(await code(save([price(newId(), 1, 7)]))).toBe('ConcurrencyConflict');
    expect(await stored(a)).toHaveLength(2);
    expect(await stored(b)).toEqual([]);
  });

  test('of two transactions that write one aggregate at once, one wins', async () => {
    const id = newId();
    await client.query('begin');
    await other.query('begin');
    await transactions.append(client, [price(id, 1, 1)]);
    const second = code(transactions.append(other, [price(id, 2, 1)]));
    await client.query('commit');
    expect(await second).toBe('ConcurrencyConflict');
    await other.query('rollback');
    expect((await stored(id)).map(({ data }) => data.amount)).toEqual([1]);
  });

  test('types of actors are refused, by the runtime that has them and by the database for all others', async () => {
    const actors = new Transactions(new PostgresAppend(schema), new Map([['call', {} as never]]), new OutboxHints());
    const called = { ...price(newId(), 1, 1), aggregateType: 'call' };
    await client.query('begin');
    expect(await code(actors.append(client, [called]))).toBe('AggregateTypeOwnedElsewhere');
    await client.query('rollback');
    await other.query(`insert into ${name}.actor_types values ('call')`);
    for (const events of [[called], [called, { ...called, version: 2 }], [{ ...called, version: undefined }]]) {
      expect(await code(save(events as NewEvent[]))).toBe('AggregateTypeOwnedElsewhere');
    }
    const raise = `select ${name}.raise_event('call', 'c-1', 'CallRouted', '{}')`;
    expect(await code(client.query(raise))).toBe('TKWRD');
    expect(await stored(called.aggregateId)).toEqual([]);
  });

  test('an aggregate whose events come through a log is refused', async () => {
    const id = newId();
    await save([price(id, 1, 1)]);
    await other.query(`update ${name}.aggregates set log_id = 'l' where aggregate_id = $1`, [id]);
    expect(await code(save([price(id, 2, 2)]))).toBe('AggregateTypeOwnedElsewhere');
    expect(await code(client.query(`select ${name}.raise_event('stock', $1, 'X', '{}')`, [id]))).toBe('TKWRD');
  });

  test.each<[string, string, Partial<NewEvent>]>([
    ['InvalidId', 'an empty id', { aggregateId: '' }],
    ['InvalidId', 'an id beyond 255 bytes', { aggregateId: 'é'.repeat(128) }],
    ['InvalidId', 'an event id that is no UUID', { id: '1' }],
    ['UnserialisableValue', 'text with U+0000', { data: { a: '\0' } }],
    ['UnserialisableValue', 'NaN', { data: Number.NaN }],
    ['InvalidOptions', 'no date', { occurredAt: new Date(Number.NaN) }],
    ['InvalidOptions', 'version 0', { version: 0 }],
    ['CommandTooLarge', 'more than 1 MiB', { data: 'x'.repeat(1 << 20) }],
    ['CommandTooLarge', 'metadata beyond 64 KiB', { metadata: { source: 'x'.repeat(1 << 16) } }],
  ])('%s for %s, before the server is asked', async (expected, _, change) => {
    await client.query('begin');
    expect(await code(transactions.append(client, [{ ...price(newId(), 1), ...change }]))).toBe(expected);
    await client.query('select 1'); // the transaction goes on
    await client.query('rollback');
  });

  test('times of any year, ids with quotes, and 1 MiB less a little are taken as they are', async () => {
    const events = ['o\'brien"; drop table x; --', newId(), newId()].map((id, i) => ({
      ...price(id, i, 1),
      data: 'x'.repeat((1 << 20) - 2),
      occurredAt: new Date(Date.UTC([1970, 2100, -200][i]!, 0)),
      metadata: { correlationId: "it's" },
    }));
    await save(events);
    for (const { aggregateId, data } of events) {
      expect((await stored(aggregateId))[0]).toMatchObject({ data, metadata: { correlationId: "it's" } });
    }
  });

  test('without a transaction, or given a pool: InvalidOptions, and nothing is written', async () => {
    const id = newId();
    const pool = new pg.Pool({ connectionString: url });
    onTestFinished(() => pool.end());
    for (const one of [client, pool]) {
      const error = await transactions.append(one, [price(id, 1, 1)]).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'InvalidOptions', details: { option: 'client' } });
    }
    expect(await stored(id)).toEqual([]);
  });

  test('without a store that has transactions: InvalidOptions', async () => {
    const none = new Transactions(undefined, new Map(), new OutboxHints());
    expect(await code(none.append(client, [price('a', 1)]))).toBe('InvalidOptions');
  });
});

describe('raise_event', () => {
  const raise = (...values: unknown[]): Promise<pg.QueryResult> =>
    client.query(`select ${name}.raise_event(${values.map((_, i) => `$${i + 1}`).join(', ')}) as version`, values);

  test('gives the next version, holds an expected one, and mixes with saveWithTx', async () => {
    const id = newId();
    const version = async (...more: unknown[]): Promise<number> =>
      (await raise('stock', id, 'PriceUpdated', { amount: 1 }, ...more)).rows[0].version;
    expect(await version()).toBe(1);
    expect(await save([price(id, 2, 2)])).toEqual([2]);
    expect(await version({ source: 'sql' }, 2)).toBe(3);
    expect(await code(version({}, 2))).toBe('TKCON');
    expect(await code(raise('stock', newId(), 'X', {}, {}, 5))).toBe('TKCON');
    const rows = await stored(id);
    expect(rows.map((row) => [row.version, row.waits])).toEqual([1, 2, 3].map((each) => [each, true]));
    expect(rows[2].metadata).toEqual({ source: 'sql', databaseRole: 'postgres' });
  });

  test('makes UUIDs of version 7, in the order of their milliseconds', async () => {
    const { rows } = await client.query(`select ${name}.new_event_id() as id, clock_timestamp() as at`);
    expect(rows[0].id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-/);
    const ms = Number.parseInt(rows[0].id.replace('-', '').slice(0, 12), 16);
    expect(Math.abs(ms - rows[0].at.getTime())).toBeLessThan(1000);
  });

  test.each([
    ['an empty id', ['stock', '', 'X', {}]],
    ['no type', [null, 'a', 'X', {}]],
    ['a type of 101 bytes', ['s'.repeat(101), 'a', 'X', {}]],
    ['a number that JSON readers cannot take', ['stock', 'a', 'X', '{"a":[1e400]}']],
    ['such a number in metadata', ['stock', 'a', 'X', {}, '{"a":[1e400]}']],
    ['metadata that is no object', ['stock', 'a', 'X', {}, '[]']],
    ['more than 1 MiB', ['stock', 'a', 'X', JSON.stringify('x'.repeat(1 << 20))]],
    ['no data', ['stock', 'a', 'X', null]],
  ])('refuses %s', async (_, values) => {
    expect(await code(raise(...values))).toBe('22023');
  });

  test('needs the right to execute it and a row of raise_rights, and no right on tables', async () => {
    const role = `raiser_${newId().slice(-12)}`;
    await other.query(`create role ${role}; grant usage on schema ${name} to ${role}`);
    try {
      await client.query(`set role ${role}`);
      expect(await code(raise('stock', 'granted', 'X', {}))).toBe('42501');
      await other.query(`grant execute on function ${name}.raise_event to ${role}`);
      expect(await code(raise('stock', 'granted', 'X', {}))).toBe('42501');
      await other.query(`insert into ${name}.raise_rights values ('${role}', '*')`);
      // A table of the caller's own in front of ours changes nothing.
      await client.query('create temporary table outbox (sequence bigint, id uuid, occurred_at timestamptz)');
      await raise('stock', 'granted', 'X', {});
      expect(await code(client.query(`insert into ${name}.outbox values (1, gen_random_uuid(), now())`))).toBe('42501');
    } finally {
      await client.query('reset role; drop table if exists pg_temp.outbox');
      await other.query(`delete from ${name}.raise_rights; drop owned by ${role}; drop role ${role}`);
    }
    expect(await stored('granted')).toHaveLength(1);
  });
});
