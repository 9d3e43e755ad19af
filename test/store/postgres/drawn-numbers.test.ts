// A role with the rights of saveWithTx writes no number of the outbox that the sequence has yet to give, and so keeps no other from raising.
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PostgresAppend } from '../../../src/adapters/postgres/outbox/append.ts';
import { newId } from '../../../src/wire/ids.ts';
import { migratedDatabase } from '../../postgres.ts';
import { errorOf } from '../../runtime/scratch.ts';
import { earlierSaverGrants } from './saver.ts';

const saver = `numbers_${process.pid}`;
let client: pg.Client;

beforeAll(async () => {
  client = new pg.Client({ connectionString: await migratedDatabase() });
  await client.connect();
  await client.query(`create role ${saver}; ${earlierSaverGrants(saver)}`);
});
afterAll(async () => {
  await client.query(`drop owned by ${saver}; drop role ${saver}`);
  await client.end();
});

const row = (number: string): string =>
  `insert into trunkline.outbox (sequence, id, occurred_at) values (${number}, gen_random_uuid(), now())`;

async function asSaver<T>(work: () => Promise<T>): Promise<T> {
  await client.query(`set session authorization ${saver}`);
  try {
    return await work();
  } finally {
    await client.query('reset session authorization');
  }
}

test('numbers ahead of the sequence are refused by name, from before its first one on, and others raise', async () => {
  const raise = "select trunkline.raise_event('invoice', 'i', 'Made', '{}') as version";
  for (let round = 1; round <= 3; round++) {
    for (const ahead of [0, 1, 1_000_000]) {
      const number = `(select ${round} + ${ahead})`;
      expect(await errorOf(asSaver(() => client.query(row(number))))).toMatchObject({
        code: '42501',
        message: `role ${saver} may not write number ${round + ahead} of the outbox: domain_events_sequence has not given it yet`,
      });
    }
    expect((await client.query(raise)).rows).toEqual([{ version: round }]);
  }
});

test('what it saves has numbers that the sequence has given; the owner writes any', async () => {
  const append = new PostgresAppend('trunkline');
  const event = (aggregateId: string): Parameters<typeof append.append>[1][number] => ({
    ...{ id: newId(), aggregateType: 'invoice', aggregateId, type: 'Made', schemaVersion: 1, occurredAt: new Date() },
    ...{ dataJson: '{}', metadataJson: '', expectedVersion: undefined },
  });
  expect(await asSaver(() => append.append(client, [event('one')]))).toEqual([1]);
  expect(await asSaver(() => append.append(client, [event('two'), event('two'), event('one')]))).toEqual([1, 2, 2]);
  await client.query(row('5000'));
  const own = "(select nextval('trunkline.domain_events_sequence'))";
  expect((await asSaver(() => client.query(row(own)))).rowCount).toBe(1);
});

test('of rows of its own none is a log’s, and each has a number that every reader can carry', async () => {
  const own = 'gen_random_uuid(), now()';
  for (const [columns, values, code] of [
    ['sequence, id, occurred_at, batch', `1000, ${own}, 1`, '42501'],
    ['sequence, id, occurred_at, log_id', `1000, ${own}, 'x'`, '42501'],
    ['sequence, id, occurred_at', `9223372036854775807, ${own}`, '23514'],
    ['sequence, id, occurred_at', `9007199254740993, ${own}`, '23514'],
    ['sequence, id, occurred_at', `0, ${own}`, '23514'],
  ]) {
    const sql = `insert into trunkline.outbox (${columns}) values (${values})`;
    expect((await errorOf(asSaver(() => client.query(sql)))).code).toBe(code);
  }
});
