// The functions of the schema and those who may call them: none looks a name up where its caller can put another, and none with
// the owner's rights can be called; so the right to execute `raise_event` is the right to raise events, and never one of the owner.
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { migrate } from '../../../src/index.ts';
import { administer, freshDatabase } from '../../postgres.ts';

// A name that must be quoted everywhere.
const schema = `Call's "$$events"`;
const name = pg.escapeIdentifier(schema);
const [keeper, caller] = [`keeper_${process.pid}`, `caller_${process.pid}`];
let url: string;
const clients: pg.Client[] = [];

async function connected(role: string): Promise<pg.Client> {
  const own = new URL(url);
  [own.username, own.password] = [role, 'p'];
  const client = new pg.Client({ connectionString: own.href });
  client.on('error', () => {});
  await client.connect();
  clients.push(client);
  return client;
}

beforeAll(async () => {
  url = await freshDatabase();
  const database = new URL(url).pathname.slice(1);
  await administer(
    url,
    `create role ${keeper} login password 'p'; create role ${caller} login password 'p';
     grant create on database ${database} to ${keeper}`,
  );
  const own = new URL(url);
  [own.username, own.password] = [keeper, 'p'];
  await migrate({ connection: own.href, schema });
  await administer(
    url,
    `grant usage on schema ${name} to ${caller}; grant execute on function ${name}.raise_event, ${name}.save_event, ${name}.save_events to ${caller};
     insert into ${name}.raise_rights values ('${caller}', '*'); insert into ${name}.actor_types values ('actor')`,
  );
});

afterAll(async () => {
  for (const client of clients) await client.end();
  await administer(url, `drop owned by ${caller} cascade; drop owned by ${keeper} cascade`);
  await administer(url, `drop role ${caller}, ${keeper}`);
});

test('every function of the schema is pinned to the names of the server, temporary ones last', async () => {
  const rows = await administer(
    url,
    `select p.proname as name, p.prosecdef as is_owners, p.proconfig as config, p.prorettype = 'trigger'::regtype as is_trigger,
       p.prosrc ~ 'session_user' as names_login,
       exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0
         and a.privilege_type = 'EXECUTE') as is_public
     from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = $1 order by p.proname`,
    [schema],
  );
  expect(rows.length).toBeGreaterThan(4);
  for (const { name, config, is_owners, is_public } of rows) {
    const paths = (config ?? []).filter((setting: string) => setting.startsWith('search_path='));
    expect(paths, name).toEqual(['search_path=pg_catalog, pg_temp']);
    if (is_owners) expect(is_public, `${name} runs with its owner's rights, and anybody may call it`).toBe(false);
  }
  // In a function that is called with the owner's rights nothing says which role has called it: session_user is only the session's.
  // So none can be called: they are triggers, behind one that says which role is in effect.
  const owners = rows.filter(({ is_owners }) => is_owners);
  expect(owners.map(({ name }) => name)).toEqual(['make_partition_for_caller', 'raise_for_caller', 'save_for_caller']);
  expect(owners.filter(({ is_trigger }) => !is_trigger)).toEqual([]);
  expect(rows.filter(({ names_login }) => names_login).map(({ name }) => name)).toEqual(['raise_for_caller']); // a note
});

/** What a caller may raise, and what is refused: between them they go through every statement of every function. */
const calls: readonly [unknown[], string][] = [
  [['order', 'o', 'Placed', '{"n": [1, "two"]}', '{"source": "s"}'], '1'],
  [['order', 'o', 'Placed', '{}', '{}', 1], '2'],
  [['order', 'o', 'Placed', '{}', '{}', 77], 'TKCON'],
  [['order', 'none', 'Placed', '{}', '{}', 5], 'TKCON'],
  [['actor', 'a', 'Acted', '{}'], 'TKWRD'],
  [['order', '', 'Placed', '{}'], '22023'],
  [['order', 'o', 'Placed', '{}', '[]'], '22023'],
  [['order', 'o', 'Placed', '{}', '{"source": 1}'], '22023'],
  [['order', 'o', 'Placed', '[1e400]'], '22023'],
  [['order', 'o', 'Placed', `${'['.repeat(300)}${']'.repeat(300)}`], '22023'],
];

/** Tells who runs it. */
const spy = `
  create function spy() returns text language plpgsql as $spy$
    begin
      raise warning 'spy as %', current_user;
      return 'spied';
    end $spy$;`;

/** Whatever a name or an operator in a function of ours would be resolved to if the caller's objects were looked at. */
const shadows = `${spy}
  create function spy(text) returns boolean language sql as $spy$select SPY() is null$spy$;
  create function spy(text, text) returns boolean language sql as $spy$select SPY() is null$spy$;
  create function spy(bigint, integer) returns boolean language sql as $spy$select SPY() is null$spy$;
  create operator <> (leftarg = text, rightarg = text, function = spy);
  create operator = (leftarg = text, rightarg = text, function = spy);
  create operator = (leftarg = bigint, rightarg = integer, function = spy);
  create function octet_length(text) returns integer language sql as $spy$select length(SPY())$spy$;
  create function octet_length(varchar) returns integer language sql as $spy$select length(SPY())$spy$;
  create function jsonb_typeof(jsonb) returns text language sql as $spy$select SPY()$spy$;
  create function nextval(text) returns bigint language sql as $spy$select length(SPY())$spy$;
  create function format(text, text) returns text language sql as $spy$select SPY()$spy$;
  create function format(text, text, text) returns text language sql as $spy$select SPY()$spy$;
  create function format(text, text, text, integer, integer) returns text language sql as $spy$select SPY()$spy$;
  create function json_build_array(text, text, integer, integer) returns json language sql as $spy$select to_json(SPY())$spy$;
  create function cardinality(text[]) returns integer language sql as $spy$select length(SPY())$spy$;
  create function date_trunc(text, timestamptz) returns timestamptz language sql as $spy$select SPY()::timestamptz$spy$;
  create function clock_timestamp() returns timestamptz language sql as $spy$select SPY()::timestamptz$spy$;
  create function gen_random_uuid() returns uuid language sql as $spy$select SPY()::uuid$spy$;
  create function uuid_send(uuid) returns bytea language sql as $spy$select SPY()::bytea$spy$;
  create function encode(bytea, text) returns text language sql as $spy$select SPY()$spy$;`;

/** The functions of ours themselves. */
const ofOurs = `
  create function new_event_id() returns uuid language sql as $spy$select SPY()::uuid$spy$;
  create function check_event(text, text, text, jsonb, jsonb) returns void language sql as $spy$select SPY()$spy$;
  create function refuse_append(text[], text[], integer[]) returns integer language sql as $spy$select length(SPY())$spy$;`;

const types = `
  create domain uuid as text; create domain timestamptz as text; create domain integer as text;
  create domain bigint as text; create domain text as pg_catalog.text; create domain record as pg_catalog.text;`;

/** What `sql` makes, in this schema. */
const inSchema = (where: string, sql: string): string => {
  const spied = sql.replaceAll('SPY()', () => `${where}.spy()`);
  return spied
    .replace(/create (function|operator|domain) /g, (_, kind: string) => `create ${kind} ${where}.`)
    .replaceAll('= spy)', () => `= ${where}.spy)`);
};

const views = ['actor_types', 'aggregates', 'outbox', 'domain_events', 'domain_events_default', 'outbox_relay'];

const attacks: Readonly<Record<string, string>> = {
  'temporary views in the place of every table': `${inSchema('pg_temp', spy)}
    ${views
      .map(
        (
          view,
        ) => `create temporary view ${view} as select pg_temp.spy() as aggregate_type, pg_temp.spy() as aggregate_id,
          1 as version, null::text as log_id, 1::bigint as sequence; grant all on ${view} to public;`,
      )
      .join('')}`,
  'temporary tables with triggers and defaults': `${inSchema('pg_temp', spy)}
    create temporary table outbox (sequence bigint, id uuid, occurred_at timestamptz, t text default pg_temp.spy());
    create temporary table domain_events (id uuid, t text default pg_temp.spy());
    create temporary sequence domain_events_sequence; grant all on outbox, domain_events to public;`,
  'temporary functions and operators': inSchema('pg_temp', shadows + ofOurs),
  'temporary types and casts': `${inSchema('pg_temp', types)}
    create type pg_temp.kind as enum ('order', 'actor');
    create function pg_temp.kind_text(pg_temp.kind) returns text language plpgsql as $$
      begin raise warning 'spy as %', current_user; return 'order'; end $$;
    create cast (pg_temp.kind as text) with function pg_temp.kind_text(pg_temp.kind) as implicit;`,
  'functions, operators and types in a schema of its own, first on the path': `create schema trap;
    ${inSchema('trap', shadows + ofOurs)} grant all on schema trap to public; set search_path to trap, pg_temp, pg_catalog`,
};

/** The same for save_event and save_events, by both ways to each. */
const given = (type: string, expected: string): string[] =>
  [
    ...[
      `'${randomUUID()}'::UUID`,
      `'${type}'::TEXT`,
      "'s'::TEXT",
      "'Placed'::TEXT",
      '1::INT4',
      "'2024-07-05Z'::TIMESTAMPTZ",
    ],
    ...[`'{"a": [1]}'::JSONB`, `'{"source": "s"}'::JSONB`, `${expected}::INT4`],
  ].map((value) => value.replace(/::(\w+)/, (_, kind: string) => `::pg_catalog.${kind.toLowerCase()}`));
const saved: readonly [string, string, string?][] = [
  ['order', 'null'],
  ['order', '77', 'TKCON'],
  ['actor', 'null', 'TKWRD'],
];

async function saveBy(client: pg.Client): Promise<void> {
  for (const door of ['append', 'save']) {
    for (const [type, expected, code] of saved) {
      const lists = given(type, expected).map((value) => `array[${value}]`);
      for (const call of [`${door}_event(${given(type, expected)})`, `${door}_events(${lists})`]) {
        await client.query('begin');
        const found = await client.query(`select ${name}.${call}`).then(
          () => undefined,
          (error: { code: string }) => error.code,
        );
        await client.query('commit');
        expect.soft(found, call).toBe(code);
      }
    }
  }
}

async function spiesOf(client: pg.Client): Promise<string[]> {
  const spied: string[] = [];
  client.on('notice', ({ message }) => spied.push(message ?? ''));
  for (const [values, expected] of calls) {
    const sql = `select ${name}.raise_event(${values.map((_, i) => `$${i + 1}`).join()}) as version`;
    await client.query('begin');
    const found = await client.query(sql, values).then(
      ({ rows }) => String(rows[0].version),
      ({ code }) => code as string,
    );
    await client.query('commit');
    expect.soft(found, String(values)).toBe(expected);
  }
  await saveBy(client);
  return spied.filter((message) => message === `spy as ${keeper}`);
}

test.each(Object.entries(attacks))('%s: nothing that the caller made runs as the owner', async (attack, sql) => {
  const client = await connected(caller);
  const trap = attack.includes('first on the path');
  if (trap) await administer(url, `grant create on database ${new URL(url).pathname.slice(1)} to ${caller}`);
  await client.query(sql);
  expect(await spiesOf(client)).toEqual([]);
  await administer(
    url,
    `delete from ${name}.outbox; delete from ${name}.aggregates; delete from ${name}.domain_events`,
  );
});

test('who may also create in the schema gets no further', async () => {
  await administer(url, `grant create on schema ${name} to ${caller}`);
  const client = await connected(caller);
  await client.query(`${inSchema(name, shadows)} set search_path to ${name}`);
  expect(await spiesOf(client)).toEqual([]);
});

test('months are made in a schema of any name', async () => {
  const make = `select ${name}.make_partition('2024-05-05') as made`;
  expect(await administer(url, make)).toEqual([{ made: 'domain_events_2024_05' }]);
  expect(await administer(url, make)).toEqual([{ made: null }]);
});
