// A role that may execute save_event and save_events, and has no right on a table: it saves events of entities by saveWithTx, and all that
// the triggers of the tables refuse to a role with rights of its own is refused to it, before it has locked what is a log's.
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { PostgresAppend } from '../../../src/adapters/postgres/outbox/append.ts';
import { migrate } from '../../../src/index.ts';
import type { AppendedEvent } from '../../../src/store/store.ts';
import { newId } from '../../../src/wire/ids.ts';
import { freshDatabase, migratedDatabase } from '../../postgres.ts';
import { errorOf, until } from '../../runtime/scratch.ts';
import { earlierSaverGrants, saverGrants } from './saver.ts';

const [saver, earlier, stranger] = ['saver', 'earlier', 'stranger'].map((role) => `save_${role}_${process.pid}`) as [
  string,
  string,
  string,
];
const append = new PostgresAppend('trunkline');
let owner: pg.Client;
let saving: pg.Client;
let other: pg.Client;

beforeAll(async () => {
  const url = await migratedDatabase();
  const connected = async (role?: string): Promise<pg.Client> => {
    const own = new URL(url);
    if (role !== undefined) [own.username, own.password] = [role, 'p'];
    const client = new pg.Client({ connectionString: own.href });
    await client.connect();
    return client;
  };
  owner = await connected();
  await owner.query(
    `create role ${saver} login password 'p'; create role ${earlier} login password 'p'; create role ${stranger};
     create schema ${stranger} authorization ${stranger}; grant usage on schema trunkline, ${stranger} to ${stranger}, public;
     ${saverGrants(saver)}; ${earlierSaverGrants(earlier)}; insert into trunkline.actor_types values ('actor');
     insert into trunkline.aggregates (aggregate_type, aggregate_id, version, previous_version, log_id, position, first_occurred_at,
       last_occurred_at)
     values ('actor', 'one', 3, 2, 'a log', 7, now(), now()), ('actor', 'stray', 1, 0, null, 0, now(), now()),
       ('order', 'of a log', 1, 0, 'a log', 8, now(), now())`,
  );
  other = await connected();
  saving = await connected(saver);
});
beforeEach(() => Promise.all([owner, saving, other].map((client) => client.query('rollback'))));
afterAll(async () => {
  await saving.end();
  const roles = [saver, earlier, stranger].join();
  await owner.query(`rollback; drop owned by ${roles} cascade; drop role ${roles}`);
  await Promise.all([owner.end(), other.end()]);
});

const event = (aggregateType: string, aggregateId: string, change: Partial<AppendedEvent> = {}): AppendedEvent => ({
  ...{ id: newId(), aggregateType, aggregateId, type: 'Made', schemaVersion: 1, occurredAt: new Date() },
  ...{ dataJson: '{}', metadataJson: '', expectedVersion: undefined },
  ...change,
});
/** Alone, and behind another one: the two functions. */
const ways: readonly ((one: AppendedEvent) => readonly AppendedEvent[])[] = [
  (one) => [one],
  (one) => [event('invoice', 'beside'), one],
];

test('it saves, one event and several, with numbers that the sequence gives; a conflict is one', async () => {
  await saving.query('begin');
  expect(await append.append(saving, [event('invoice', 'one')])).toEqual([1]);
  expect(await append.append(saving, [event('invoice', 'one', { expectedVersion: 1 })])).toEqual([2]);
  expect(
    await append.append(saving, [event('invoice', 'two'), event('invoice', 'one'), event('invoice', 'two')]),
  ).toEqual([1, 3, 2]);
  await saving.query('commit');
  const { rows } = await owner.query(
    `select count(*)::int as events, bool_and(o.sequence <= pg_sequence_last_value('trunkline.domain_events_sequence')) as drawn
     from trunkline.domain_events d join trunkline.outbox o using (sequence, id, occurred_at)`,
  );
  expect(rows).toEqual([{ events: 5, drawn: true }]);
  for (const way of ways) {
    await saving.query('begin');
    const behind = await errorOf(append.append(saving, way(event('invoice', 'one', { expectedVersion: 1 }))));
    expect(behind).toMatchObject({ code: 'ConcurrencyConflict', details: { expectedVersion: 1, actualVersion: 3 } });
    await saving.query('rollback');
  }
});

test('it reads, writes and locks no table, draws no number, and writes none by the functions with the caller’s rights', async () => {
  const { rows } = await owner.query(
    `select c.relname as name from pg_class c where c.relnamespace = 'trunkline'::regnamespace and c.relkind in ('r', 'p', 'v', 'S')
       and (has_any_column_privilege('${saver}', c.oid, 'select, insert, update, references') or has_table_privilege('${saver}', c.oid,
         'delete, truncate, trigger'))`,
  );
  expect(rows.map(({ name }) => name).sort()).toEqual(['month_intake', 'raise_intake', 'save_intake']); // everybody's
  const arguments_ = `gen_random_uuid(), 'invoice', 'x', 'Made', 1, now(), '{}'::jsonb, null::jsonb, null::int`;
  for (const sql of [
    'select from trunkline.aggregates for update',
    'select from trunkline.aggregates for key share',
    'lock table trunkline.aggregates in row share mode',
    'insert into trunkline.domain_events (id) values (gen_random_uuid())',
    "select nextval('trunkline.domain_events_sequence')",
    `select trunkline.write_event(${arguments_})`,
  ]) {
    expect((await errorOf(saving.query(`rollback; begin; ${sql}`))).code, sql).toBe('42501');
  }
});

const taken = [event('actor', 'one'), event('actor', 'stray'), event('actor', 'none'), event('order', 'of a log')];

test.each(taken)('$aggregateType/$aggregateId is refused at once, while a flush has locked it', async (one) => {
  const all = `select from trunkline.aggregates where aggregate_type in ('actor', 'order')`;
  for (const way of ways) {
    for (const expectedVersion of [undefined, 0, 1, 3]) {
      await owner.query(
        `begin; update trunkline.aggregates set version = version + 1 where log_id = 'a log' or aggregate_id = 'stray'`,
      );
      await saving.query(`begin; set local lock_timeout = '5s'; savepoint s`); // an end, should it wait
      const refused = await errorOf(append.append(saving, way({ ...one, expectedVersion })));
      expect(refused).toMatchObject({ code: 'AggregateTypeOwnedElsewhere' });
      await saving.query('rollback to s');
      await owner.query('rollback');
      expect((await other.query(`${all} for update nowait`)).rowCount).toBe(3);
      await saving.query('rollback');
    }
  }
});

test('a head that a log takes over between the look and the lock stays free: the refusal ends the lock', async () => {
  await owner.query(
    `insert into trunkline.aggregates (aggregate_type, aggregate_id, version, previous_version, first_occurred_at, last_occurred_at)
     values ('order', 'taken', 1, 0, now(), now())`,
  );
  const own = `aggregate_type = 'order' and aggregate_id = 'taken'`;
  const [{ pid }] = (await saving.query('select pg_backend_pid() as pid')).rows;
  for (const way of ways) {
    await owner.query(`begin; update trunkline.aggregates set log_id = 'a log' where ${own}`);
    await saving.query('begin; savepoint s');
    const refused = errorOf(append.append(saving, way(event('order', 'taken'))));
    await until(
      () => other.query('select cardinality(pg_blocking_pids($1)) > 0 as waits', [pid]),
      ({ rows }) => rows[0].waits === true,
    );
    await owner.query('commit');
    expect(await refused).toMatchObject({ code: 'AggregateTypeOwnedElsewhere' });
    await saving.query('rollback to s');
    await other.query(`select from trunkline.aggregates where ${own} for update nowait`);
    await saving.query('rollback');
    await owner.query(`update trunkline.aggregates set log_id = null where ${own}`);
  }
});

test('it writes no role’s name, whoever calls: not even the owner by it', async () => {
  const message = expect.stringContaining('written by raise_event alone');
  for (const name of ['databaseRole', 'databaseLogin']) {
    for (const way of ways) {
      await saving.query('begin');
      const forged = event('invoice', 'signed', { metadataJson: `{"${name}": "postgres"}` });
      expect(await errorOf(append.append(saving, way(forged)))).toMatchObject({ code: '42501', message });
      await saving.query('rollback');
    }
    const one = plain('signed').replace('null', `'{"${name}": "postgres"}'`).split(', ');
    for (const call of [`save_event(${one})`, `save_events(${one.map((value) => `array[${value}]`)})`]) {
      expect(await errorOf(owner.query(`select trunkline.${call}`)), call).toMatchObject({ code: '42501', message });
    }
  }
});

const plain = (id: string): string =>
  `gen_random_uuid(), 'invoice', '${id}', 'Made', 1, now(), '{}'::jsonb, null::jsonb, null::int`;

test('the right is that of the role in effect: code of a role without it gets none from the session that runs it', async () => {
  await owner.query(
    `set session authorization ${stranger};
     create function ${stranger}.saves(door text) returns int language plpgsql immutable as $$
       declare version int;
       begin
         execute 'select trunkline.' || door || '(${plain('stolen').replaceAll("'", "''")})' into version;
         return version;
       exception when insufficient_privilege then return -1;
       end $$;
     create function ${stranger}.definer(door text) returns int language sql security definer as 'select ${stranger}.saves(door)';
     create table ${stranger}.rows as select 'append_event' as door union all select 'save_event';
     create index on ${stranger}.rows (${stranger}.saves(door)) where door <> '';
     create materialized view ${stranger}.view as select ${stranger}.saves(door) as made from ${stranger}.rows;
     reset session authorization;
     reindex table ${stranger}.rows; analyze ${stranger}.rows; refresh materialized view ${stranger}.view`,
  );
  expect((await owner.query(`select distinct made from ${stranger}.view`)).rows).toEqual([{ made: -1 }]);
  for (const client of [owner, saving]) {
    const { rows } = await client.query(
      `select ${stranger}.definer('append_event') as a, ${stranger}.definer('save_event') as b`,
    );
    expect(rows).toEqual([{ a: -1, b: -1 }]);
  }
  const stolen = await owner.query(`select from trunkline.domain_events where aggregate_id = 'stolen'`);
  expect(stolen.rowCount).toBe(0);
  // And after `set role` it is that role's.
  await owner.query(
    `begin; set local role ${saver}; select trunkline.append_event(${plain('as saver')}); set local role ${stranger}`,
  );
  expect((await errorOf(owner.query(`select trunkline.append_event(${plain('as stranger')})`))).code).toBe('42501');
});

// PL/pgSQL keeps a simple expression for the transaction, with the server's look at its rights, as long as
// the path stays (one with "$user" changes with the role).
test('nor by a helper function that has saved for a role with the right in the same transaction', async () => {
  const several = `array[gen_random_uuid()], array['invoice'], array[id], array['Made'], array[1], array[now()],
    array['{}'::jsonb], null::jsonb[], null::int[]`;
  const calls = {
    one: `trunkline.save_event(${plain('x').replace("'x'", 'id')})`,
    several: `(trunkline.save_events(${several}))[1]`,
    appending: `trunkline.append_event(${plain('x').replace("'x'", 'id')})`,
  };
  const bodies = Object.entries(calls).flatMap(([name, call]) => [
    [`${name}_returned`, `begin return ${call}; end`],
    [`${name}_assigned`, `declare v int; begin v := ${call}; return v; end`],
    [`${name}_asked`, `begin if ${call} > 0 then return 1; end if; return 0; end`],
  ]);
  const names = bodies.map(([name]) => name!);
  await owner.query(
    `create schema helpers; grant usage on schema helpers to public;
     ${bodies.map(([name, body]) => `create function helpers.${name}(id text) returns int language plpgsql as $$ ${body} $$;`).join('\n')}
     set session authorization ${stranger};
     ${names.map((name) => `create function ${stranger}.${name}(id text) returns int language plpgsql security definer as 'begin return helpers.${name}(id); end';`).join('\n')}
     reset session authorization`,
  );
  for (const name of names) {
    await saving.query('begin; set local search_path = public');
    for (let i = 0; i < 7; i++) expect((await saving.query(`select helpers.${name}('mine')`)).rowCount).toBe(1);
    expect(await errorOf(saving.query(`select ${stranger}.${name}('theirs')`)), name).toMatchObject({ code: '42501' });
    await saving.query('rollback');
  }
  await owner.query('drop schema helpers cascade');
});

test('arrays without an event, or of other lengths, are refused by what is wrong with them', async () => {
  const arrays = (ids: string, types: string, expected: string): string =>
    `(${ids}, ${types}, array['x'], array['Made'], array[1], array[now()], array['{}'::jsonb], null, ${expected})`;
  const none = `('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')`;
  const [ids, types] = ['array[gen_random_uuid()]', "array['invoice']"];
  for (const given of [
    none,
    arrays('null', types, 'null'),
    arrays(ids, "array['invoice', 'invoice']", 'null'),
    arrays(ids, types, 'array[1, 2]'),
  ]) {
    for (const name of ['save_events', 'append_events', 'write_events']) {
      const client = name === 'write_events' ? owner : saving;
      const error = await errorOf(client.query(`rollback; begin; select trunkline.${name}${given}`));
      const message = expect.stringContaining('one event at least, with a place in each array for each');
      expect(error, given).toMatchObject({ code: '22023', message });
    }
  }
  await saving.query(`rollback; begin; select trunkline.save_events${arrays(ids, types, 'null')}`);
});

test('the rights of before go on, alone and beside execute; what is a log’s stays refused', async () => {
  for (const both of [false, true]) {
    if (both) await owner.query(`grant execute on function trunkline.save_event, trunkline.save_events to ${earlier}`);
    await owner.query(`begin; set local session authorization ${earlier}`);
    expect(await append.append(owner, [event('invoice', 'earlier')])).toEqual([1]);
    expect(await append.append(owner, [event('invoice', 'earlier'), event('invoice', 'more')])).toEqual([2, 1]);
    for (const one of taken) {
      for (const way of ways) {
        await owner.query('savepoint s');
        expect((await errorOf(append.append(owner, way(one)))).code).toBe('AggregateTypeOwnedElsewhere');
        await owner.query('rollback to s');
      }
    }
    await owner.query('rollback');
  }
});

test('rights on the functions stay where a migration makes them again', async () => {
  const connection = await freshDatabase();
  await migratedBefore('000025', connection);
  const client = new pg.Client({ connectionString: connection });
  await client.connect();
  const rights = async (): Promise<unknown> => {
    const { rows } = await client.query(
      `select p.proname, a.grantee::regrole::text, a.is_grantable from pg_proc p cross join aclexplode(p.proacl) a
       where p.proname in ('save_event', 'save_events') and p.pronamespace = 'trunkline'::regnamespace order by 1, 2`,
    );
    return rows;
  };
  await client.query(
    `${saverGrants(saver)}; grant usage on schema trunkline to ${earlier};
     grant execute on function trunkline.save_event to ${earlier} with grant option;
     set role ${earlier}; grant execute on function trunkline.save_event to ${stranger}; reset role`,
  );
  const before = await rights();
  expect(before).toHaveLength(6); // the owner's own among them
  await migrate({ connection });
  expect(await rights()).toEqual(before);
  await client.query(`drop owned by ${saver}, ${earlier}, ${stranger}`);
  await client.end();
});

/** Migrations from that one on are left out. */
async function migratedBefore(first: string, connection: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'trunkline-migrations-'));
  cpSync(fileURLToPath(new URL('../../../migrations', import.meta.url)), folder, { recursive: true });
  for (const file of readdirSync(folder)) if (!(file < first)) rmSync(join(folder, file));
  await migrate({ connection, folder });
  rmSync(folder, { recursive: true });
}

test('a session that is open while the schema is migrated goes on, by execute in place of the rights that it had', async () => {
  const connection = await freshDatabase();
  await migratedBefore('000024', connection);
  const client = new pg.Client({ connectionString: connection });
  await client.connect();
  const save = async (): Promise<number> => {
    const { rows } = await client.query({
      name: 'kept',
      text: `select trunkline.append_event(${plain('kept')}) as version`,
    });
    return rows[0].version;
  };
  await client.query(`${earlierSaverGrants(earlier)}; set role ${earlier}`);
  expect([await save(), await save()]).toEqual([1, 2]);
  await migrate({ connection });
  expect([await save(), await save()]).toEqual([3, 4]);
  await client.query(`reset role; drop owned by ${earlier}`);
  await client.end();
});

test('the rights of before, by which a role locks heads, end; those of services and on whole tables stay, and who reads reads on', async () => {
  const connection = await freshDatabase();
  await migratedBefore('000028', connection);
  const client = new pg.Client({ connectionString: connection });
  await client.connect();
  const rightsOf = async (role: string): Promise<string[]> => {
    const { rows } = await client.query(
      `select c.relname || ' ' || p.name as right from pg_class c cross join unnest(array['select', 'insert', 'update', 'usage']) as p (name)
       where c.relnamespace = 'trunkline'::regnamespace and c.relname in ('aggregates', 'domain_events', 'outbox', 'domain_events_sequence')
         and case when c.relkind = 'S' then p.name = 'usage' and has_sequence_privilege($1, c.oid, 'usage')
           else p.name <> 'usage' and has_any_column_privilege($1, c.oid, nullif(p.name, 'usage')) end order by 1`,
      [role],
    );
    return rows.map((row) => row.right);
  };
  await client.query(
    `${earlierSaverGrants(earlier)}; ${earlierSaverGrants(saver)}; grant update on trunkline.flush_checkpoints to ${saver};
     grant usage on schema trunkline to ${stranger}; grant update on trunkline.aggregates to ${stranger};
     grant update (version) on trunkline.aggregates to public`,
  );
  const [ofService, ofStranger] = [await rightsOf(saver), await rightsOf(stranger)];
  await migrate({ connection });
  expect(await rightsOf(earlier)).toEqual(['aggregates select', 'domain_events select']);
  expect(await rightsOf(saver)).toEqual(ofService);
  expect(await rightsOf(stranger)).toEqual(ofStranger);
  await client.query(`set role ${earlier}`);
  expect((await errorOf(client.query('select from trunkline.aggregates for update'))).code).toBe('42501');
  expect(await append.append(client, [event('invoice', 'one')])).toEqual([1]);
  expect(await append.append(client, [event('invoice', 'one'), event('invoice', 'two')])).toEqual([2, 1]);
  await client.query(`reset role; drop owned by ${saver}, ${earlier}, ${stranger}`);
  await client.end();
});
