// Which events a role may save that has `execute` on save_event and save_events: those of a row of raise_rights. What it may not save it
// does not touch, by whatever statement, and whoever's code a session runs.
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { PostgresAppend } from '../../../src/adapters/postgres/outbox/append.ts';
import type { AppendedEvent } from '../../../src/store/store.ts';
import { newId } from '../../../src/wire/ids.ts';
import { migratedDatabase } from '../../postgres.ts';
import { errorOf } from '../../runtime/scratch.ts';
import { earlierSaverGrants, saverGrants } from './saver.ts';

const names = ['saver', 'member', 'stranger', 'earlier', 'service', 'admin'] as const;
const [saver, member, stranger, earlier, service, admin] = names.map((role) => `may_${role}_${process.pid}`) as [
  string,
  string,
  string,
  string,
  string,
  string,
];
const append = new PostgresAppend('trunkline');
let client: pg.Client;
let other: pg.Client;

beforeAll(async () => {
  const connectionString = await migratedDatabase();
  [client, other] = [new pg.Client({ connectionString }), new pg.Client({ connectionString })];
  await Promise.all([client.connect(), other.connect()]);
  const execute = 'grant execute on function trunkline.save_event, trunkline.save_events to';
  await client.query(
    `create role ${saver}; create role ${member} in role ${saver}; create role ${stranger}; create role ${earlier}; create role ${service};
     create role ${admin} superuser; create schema ${stranger} authorization ${stranger};
     create schema ${saver} authorization ${saver}; grant usage on schema ${saver}, ${stranger} to public;
     ${saverGrants(saver, 'trunkline', 'invoice')} grant usage on schema trunkline to public;
     ${execute} ${stranger}; ${execute} ${service}; grant update (position) on trunkline.flush_checkpoints to ${service};
     ${earlierSaverGrants(earlier)}; delete from trunkline.raise_rights where role_name = '${earlier}';
     insert into trunkline.raise_rights values ('${saver}', 'order', 'Placed')`,
  );
});
beforeEach(() => client.query('rollback; reset session authorization'));
afterAll(async () => {
  const roles = [member, saver, stranger, earlier, service, admin].join();
  await client.query(`rollback; reset session authorization; drop owned by ${roles} cascade; drop role ${roles}`);
  await Promise.all([client.end(), other.end()]);
});

const event = (aggregateType: string, type = 'Made', aggregateId = 'one'): AppendedEvent => ({
  ...{ id: newId(), aggregateType, aggregateId, type, schemaVersion: 1, occurredAt: new Date() },
  ...{ dataJson: '{}', metadataJson: '', expectedVersion: undefined },
});

/** In a transaction of the role's: the versions, or the code of the error and what it says. Undone. */
async function saves(role: string, ...events: AppendedEvent[]): Promise<unknown> {
  await client.query(`begin; set local session authorization ${role}`);
  try {
    return await append.append(client, events);
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return { code, message };
  } finally {
    await client.query('rollback');
  }
}
const refused = (role: string, type: string, name = 'Made'): object => ({
  code: '42501',
  message: `role ${role} may not save ${type}.${name}: raise_rights needs a row ('${role}', '${type}', '*')`,
});

test('those of its rows, alone and with others, and those of a group’s; the error says which row is missing', async () => {
  for (const role of [saver, member]) {
    expect(await saves(role, event('invoice'))).toEqual([1]);
    expect(await saves(role, event('invoice'), event('order', 'Placed'), event('invoice', 'Paid'))).toEqual([1, 1, 2]);
    expect(await saves(role, event('payment'))).toEqual(refused(role, 'payment'));
    expect(await saves(role, event('order'))).toEqual(refused(role, 'order'));
    expect(await saves(role, event('invoice'), event('order'))).toEqual(refused(role, 'order'));
    expect(await saves(role, event('invoice'), event('payment'), event('payment'))).toEqual(refused(role, 'payment'));
  }
  for (const type of ['invoice', '*', `x'); drop`])
    expect(await saves(stranger, event(type))).toMatchObject({ code: '42501' });
  await client.query(`begin; insert into trunkline.raise_rights values ('*', 'ping', '*'), ('${member}', '*', 'Said')`);
  await client.query(`set local session authorization ${stranger}`);
  expect(await append.append(client, [event('ping')])).toEqual([1]);
  await client.query(`reset session authorization; set local session authorization ${member}`);
  expect(await append.append(client, [event('anything', 'Said')])).toEqual([1]);
});

test('a service, the owner and a superuser need no row; a role with rights on the tables needs one, and to read it', async () => {
  const any = [event('payment'), event('order')] as const;
  for (const role of [service, admin, client.user!]) {
    expect(await saves(role, any[0])).toEqual([1]);
    expect(await saves(role, ...any)).toEqual([1, 1]);
  }
  expect(await saves(earlier, any[0])).toEqual(refused(earlier, 'payment', '*'));
  expect(await saves(earlier, ...any)).toMatchObject({ code: '42501' });
  const row = `insert into trunkline.domain_events (id, aggregate_type, aggregate_id, event_type, schema_version, occurred_at, data, metadata,
    version) values (gen_random_uuid(), 'payment', 'one', 'Made', 1, '2026-11-27', '{}', null, 1)`;
  await client.query(`begin; set local session authorization ${earlier}`);
  expect(await errorOf(client.query(row))).toMatchObject(refused(earlier, 'payment'));
  await client.query(`rollback; insert into trunkline.raise_rights values ('${earlier}', 'payment', 'Made')`);
  expect(await saves(earlier, any[0])).toEqual([1]);
  expect(await saves(earlier, ...any)).toEqual(refused(earlier, 'order', '*'));
  await client.query(`revoke select on trunkline.raise_rights from ${earlier}`);
  const message = expect.stringContaining('let it save by save_event');
  expect(await saves(earlier, any[0])).toEqual({ code: '42501', message });
});

test('what it may not save it leaves free, in a transaction that stays open', async () => {
  for (const events of [
    [event('payment')],
    [event('payment'), event('payment')],
    [event('invoice'), event('payment')],
  ]) {
    await client.query(`begin; set local session authorization ${saver}; savepoint s`);
    expect((await errorOf(append.append(client, events))).code).toBe('42501');
    await other.query(
      `begin; set local lock_timeout = '5s';
       insert into trunkline.aggregates (aggregate_type, aggregate_id, version, previous_version, first_occurred_at, last_occurred_at)
         values ('payment', 'one', 1, 0, now(), now()), ('invoice', 'one', 1, 0, now(), now()); rollback`,
    );
    await client.query('rollback');
  }
});

const columns = '(ids, aggregate_types, aggregate_ids, event_types, schema_versions, times, data)';
const row = (id: string): string =>
  `(array[gen_random_uuid()], array['invoice'], array['${id}'], array['Made'], array[1], array[now()], array['{}'::jsonb])`;
/** Statements by which a role would save without the functions, in transactions that are undone. */
const statements: readonly string[] = [
  `insert into trunkline.save_intake ${columns} values ${row('a')} returning versions`,
  `insert into trunkline.save_intake ${columns} values ${row('a')} on conflict do nothing returning versions`,
  `with made as (insert into trunkline.save_intake ${columns} values ${row('a')} returning versions) table made`,
  `prepare made as insert into trunkline.save_intake ${columns} values ${row('a')}; execute made`,
  `create temporary table mine (k int); create function pg_temp.saving() returns trigger language plpgsql as $$
     begin insert into trunkline.save_intake ${columns} values ${row('a')}; return new; end $$;
   create trigger t before insert on mine for each row execute function pg_temp.saving(); insert into mine values (1)`,
];

test.each(statements)('%s asks for the rights of the role in effect', async (sql) => {
  const as = async (role: string): Promise<unknown> => {
    await other.query(`begin; set local session authorization ${role}`);
    const outcome = await other.query(sql).then(
      () => 'saved',
      ({ code }) => code,
    );
    await other.query('rollback');
    await other.query('discard all');
    return outcome;
  };
  expect([await as(stranger), await as(earlier), await as(saver)]).toEqual(['42501', '42501', 'saved']);
});

test('a statement that another role has prepared saves for the role that executes it', async () => {
  const both = `begin; prepare made as insert into trunkline.save_intake ${columns} values ${row('a')};
    set local session authorization ${stranger}; execute made`;
  expect(await errorOf(client.query(both))).toMatchObject(refused(stranger, 'invoice'));
});

test('the right is that of the role in effect: code of a role without a row gets none from the session that runs it', async () => {
  const values = (id: string): string =>
    `gen_random_uuid(), 'invoice', '${id}', 'Made', 1, now(), '{}'::jsonb, null::jsonb, null::int`;
  await client.query(
    `set session authorization ${stranger};
     create function ${stranger}.saves() returns int language plpgsql immutable as $$ begin
         return (select trunkline.save_event(${values('stolen')}));
       exception when insufficient_privilege then return -1;
       end $$;
     create function ${stranger}.definer() returns int language sql security definer as 'select ${stranger}.saves()';
     create table ${stranger}.rows as select 1 as k;
     create index on ${stranger}.rows (${stranger}.saves()) where k > 0;
     create materialized view ${stranger}.view as select ${stranger}.saves() as made;
     set session authorization ${saver};
     create function ${saver}.definer() returns int language sql security definer as $$ select trunkline.save_event(${values('lent')}) $$;
     reset session authorization;
     reindex table ${stranger}.rows; analyze ${stranger}.rows; refresh materialized view ${stranger}.view`,
  );
  expect((await client.query(`select made from ${stranger}.view`)).rows).toEqual([{ made: -1 }]);
  for (const role of [client.user!, saver, service]) {
    await client.query(`set session authorization ${role}`);
    expect((await client.query(`select ${stranger}.definer() as made`)).rows).toEqual([{ made: -1 }]);
    await client.query('reset session authorization');
  }
  const stolen = await client.query(`select from trunkline.domain_events where aggregate_id = 'stolen'`);
  expect(stolen.rowCount).toBe(0);
  // What a role with a row lets others call is that role's.
  await client.query(`begin; set local session authorization ${stranger}`);
  expect((await client.query(`select ${saver}.definer() as made`)).rows).toEqual([{ made: 1 }]);
});
