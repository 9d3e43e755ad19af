// The triggers of our tables are those that the migrations make, and do what these say: whoever has changed them, a schema with others
// is refused by name. Changes are made in transactions that are undone; `triggerer` once had the right `trigger` on every table.
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ownTriggers } from '../../../src/adapters/postgres/schema/own-triggers-sql.ts';
import { checkOwnership } from '../../../src/adapters/postgres/schema/ownership.ts';
import { checkTables } from '../../../src/adapters/postgres/schema/tables.ts';
import { migrate } from '../../../src/index.ts';
import { migratedDatabase } from '../../postgres.ts';
import { errorOf } from '../../runtime/scratch.ts';

const triggerer = `triggerer_${process.pid}`;
let url: string;
let client: pg.Client;

beforeAll(async () => {
  url = await migratedDatabase();
  client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(
    `create role ${triggerer}; create table trunkline.domain_events_2031_01
       partition of trunkline.domain_events for values from ('2031-01-01') to ('2031-02-01');
     grant usage on schema trunkline to ${triggerer}`,
  );
});
afterAll(async () => {
  await client.query(`drop owned by ${triggerer}; drop role ${triggerer}`);
  await client.end();
});

async function foundAfter(sql: string, role?: string, schema = 'trunkline'): Promise<unknown> {
  await client.query('begin');
  try {
    const all = 'trigger on all tables in schema trunkline';
    if (role !== undefined) await client.query(`grant ${all} to ${role}; set local session authorization ${role}`);
    await client.query(sql);
    await client.query('reset session authorization');
    if (role !== undefined) await client.query(`revoke ${all} from ${role}`);
    await checkOwnership(client, schema, 'migration');
    await checkOwnership(client, schema, 'session');
    await checkTables(client, schema);
    return undefined;
  } catch (error) {
    return error;
  } finally {
    await client.query('rollback');
  }
}

test('the list holds every trigger that the migrations make, and no other', async () => {
  const { rows } = await client.query(
    `select c.relname || '.' || t.tgname as name from pg_trigger t join pg_class c on c.oid = t.tgrelid
     where c.relnamespace = 'trunkline'::regnamespace and not t.tgisinternal and t.tgparentid = 0`,
  );
  expect(rows.map(({ name }) => name).sort()).toEqual(ownTriggers.toSorted());
});

test('they are known by what the server prints, in a schema of any name, however the session prints', async () => {
  for (const schema of ['trunkline', `Of "$1" and '@home'`, `\\ '@quoted' @home`]) {
    if (schema !== 'trunkline') await migrate({ connection: url, schema });
    const settings = `set local timezone = 'Asia/Tokyo'; set local datestyle = 'SQL, DMY'; set local quote_all_identifiers = on;
      set local search_path = ${pg.escapeIdentifier(schema)}; set local standard_conforming_strings = off`;
    expect(await foundAfter(settings, undefined, schema)).toBe(undefined);
  }
});

test('they are known when they come out of a dump, which has the zone and the style of its session', async () => {
  const again = `do $$ declare made record; begin
      for made in select t.tgname, t.tgrelid::regclass as place, pg_get_triggerdef(t.oid) as text from pg_trigger t
        join pg_class c on c.oid = t.tgrelid where c.relnamespace = 'trunkline'::regnamespace and t.tgparentid = 0 and not t.tgisinternal
      loop
        execute format('drop trigger %I on %s', made.tgname, made.place);
        execute made.text;
      end loop; end $$`;
  expect(await foundAfter(`set local timezone = 'Asia/Tokyo'; set local search_path = ''; ${again}`)).toBe(undefined);
});

const servers = 'execute function suppress_redundant_updates_trigger()';
const ours = 'execute function trunkline.check_event_row()';

/** What the role with the right `trigger` can make without a function of its own. */
const added: Readonly<Record<string, [sql: string, found: string]>> = {
  "a trigger with the server's function": [
    `create trigger more before update on trunkline.aggregates for each row ${servers}`,
    'trigger more on table trunkline.aggregates is none of ours',
  ],
  'a trigger with a function of ours': [
    `create trigger more before insert on trunkline.outbox for each row ${ours}`,
    'trigger more on table trunkline.outbox is none of ours',
  ],
  'a trigger between the steps of a view': [
    'create trigger step_1a instead of insert on trunkline.raise_intake for each row execute function trunkline.name_caller()',
    'trigger step_1a on view trunkline.raise_intake is none of ours',
  ],
  'a trigger of a month alone': [
    `create trigger more before update on trunkline.domain_events_2031_01 for each row ${servers}`,
    'trigger more on table trunkline.domain_events_2031_01 is none of ours',
  ],
  'one of the name of ours on another table': [
    `create trigger event_gate before insert on trunkline.snapshots for each row ${ours}`,
    'trigger event_gate on table trunkline.snapshots is none of ours',
  ],
  'another function under the name of ours': [
    `create or replace trigger event_gate after insert on trunkline.domain_events for each row ${servers}`,
    'trigger event_gate on table trunkline.domain_events does something else',
  ],
  'another condition under the name of ours': [
    `create or replace trigger event_gate after insert on trunkline.domain_events for each row when (false) ${ours}`,
    'trigger event_gate on table trunkline.domain_events does something else',
  ],
  'fewer columns under the name of ours': [
    `create or replace trigger event_change_gate after update of data on trunkline.domain_events for each row ${ours}`,
    'trigger event_change_gate on table trunkline.domain_events does something else',
  ],
  'another step under the name of ours': [
    `create or replace trigger step_1 instead of insert on trunkline.month_intake for each row ${ours}`,
    'trigger step_1 on view trunkline.month_intake does something else',
  ],
};

test.each(Object.entries(added))(
  'refused by name, from a role with the right `trigger`: %s',
  async (_, [sql, found]) => {
    const error = await foundAfter(sql, triggerer);
    expect(error).toMatchObject({ code: 'StoreSchemaMismatch', message: expect.stringContaining(found) });
  },
);

/** By the owner. */
const altered: Readonly<Record<string, [sql: string, found: string]>> = {
  'a trigger of ours that is switched off': [
    'alter table trunkline.domain_events disable trigger event_gate',
    'trigger event_gate on table trunkline.domain_events is switched off',
  ],
  'all of them': [
    'alter table trunkline.domain_events disable trigger user',
    'trigger event_change_gate on table trunkline.domain_events is switched off',
  ],
  'that of a month alone': [
    'alter table trunkline.domain_events_2031_01 disable trigger event_gate',
    'trigger event_gate on table trunkline.domain_events_2031_01 is switched off',
  ],
  'one for replicas alone': [
    'alter table only trunkline.domain_events enable replica trigger event_gate',
    'trigger event_gate on table trunkline.domain_events is switched off',
  ],
  'one that is gone': [
    'drop trigger event_change_gate on trunkline.domain_events',
    'it lacks trigger domain_events.event_change_gate',
  ],
  'a step that is gone': ['drop trigger step_1 on trunkline.raise_intake', 'it lacks trigger raise_intake.step_1'],
  'one under another name': [
    'alter trigger event_gate on trunkline.domain_events rename to gate',
    'trigger gate on table trunkline.domain_events is none of ours',
  ],
  'a rule': [
    'create rule quiet as on delete to trunkline.outbox do instead nothing',
    'rule quiet on table trunkline.outbox is none of ours',
  ],
  'a rule of a month': [
    'create rule quiet as on insert to trunkline.domain_events_2031_01 do instead nothing',
    'rule quiet on table trunkline.domain_events_2031_01 is none of ours',
  ],
};

test.each(Object.entries(altered))('refused by name: %s', async (_, [sql, found]) => {
  const error = await foundAfter(sql);
  expect(error).toMatchObject({ code: 'StoreSchemaMismatch', message: expect.stringContaining(found) });
});

test('a trigger that runs on replicas, too, and the triggers of keys into our tables are no change', async () => {
  expect(await foundAfter('alter table trunkline.domain_events enable always trigger event_gate')).toBe(undefined);
  expect(
    await foundAfter(
      'create table trunkline.beside (a text, b text, foreign key (a, b) references trunkline.aggregates)',
    ),
  ).toBe(undefined);
});

test('neither a session nor a migration begins where one has been added', async () => {
  const schema = 'with_one_more';
  await migrate({ connection: url, schema });
  await client.query(`create trigger more before update on ${schema}.aggregates for each row ${servers}`);
  const refused = { code: 'StoreSchemaMismatch', message: expect.stringContaining('none of ours: drop it') };
  expect(await errorOf(migrate({ connection: url, schema }))).toMatchObject(refused);
  expect(await errorOf(migrate({ connection: url, schema, dryRun: true }))).toMatchObject(refused);
});
