// Which tables a projection writes to: only those whose triggers belong to roles that are trusted with the service's rights.
// `evil` may create schemas and roles in the database; each case has a schema of its own.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RowTable } from '../../src/adapters/postgres/handlers/row-table.ts';
import { openClient } from '../../src/adapters/postgres/session/server-session.ts';
import { defineProjection, migrate, postgres } from '../../src/index.ts';
import { administer, freshDatabase } from '../postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, startSmall as startRuntime } from '../runtime/scratch.ts';

const named = (role: string): string => `tables_${role}_${process.pid}`;
const [migrator, service, evil, owner, group, made, friend] = [
  ...['migrator', 'service', 'evil', 'owner', 'group', 'made', 'friend'].map(named),
] as [string, string, string, string, string, string, string];
let url: string;

const as = (role: string): string => {
  const own = new URL(url);
  [own.username, own.password] = [role, 'p'];
  return own.href;
};
const run = (role: string | undefined, sql: string): Promise<unknown> =>
  administer(role === undefined ? url : as(role), sql);

beforeAll(async () => {
  url = await freshDatabase();
  const database = new URL(url).pathname.slice(1);
  await administer(
    url,
    `${[migrator, service, evil, owner, friend].map((role) => `create role ${role} login password 'p';`).join('')}
     create role ${group}; grant ${group} to ${service}; grant ${service} to ${friend}; alter role ${evil} createrole;
     alter database ${database} owner to ${owner}; grant create on database ${database} to ${migrator}, ${evil}`,
  );
  await migrate({ connection: as(migrator) });
  await run(
    migrator,
    `grant usage on schema trunkline to ${service};
     grant select, insert, update, delete on all tables in schema trunkline to ${service};
     grant usage, select, update on all sequences in schema trunkline to ${service}`,
  );
  // The service's own schema on its path: a stranger's.
  await run(
    evil,
    `create schema ${service}; grant usage, create on schema ${service} to public; create schema lair;
     grant usage on schema lair to public; create table lair.ran (who text); grant insert on lair.ran to public;
     create function lair.spying() returns trigger language plpgsql as $$ begin
       insert into lair.ran values (current_user); return new; end $$;
     create function lair.always(text) returns boolean language plpgsql as $$ begin
       insert into lair.ran values (current_user); return true; end $$;
     create role ${made}; grant ${made} to ${service}, ${evil}`,
  );
});
afterAll(async () => {
  const roles = [migrator, service, evil, owner, group, made, friend].join();
  await administer(url, `alter database ${new URL(url).pathname.slice(1)} owner to current_user`);
  await administer(
    url,
    `drop owned by ${roles} cascade; drop role ${made}; drop role ${roles.replace(`${made},`, '')}`,
  );
});

const rows = '(key text primary key, total int)';
type Steps = readonly [role: string | undefined, sql: string][];

const refused: Readonly<Record<string, [into: string, steps: Steps, reason: RegExp]>> = {
  'one on which a stranger may make triggers, by functions of the server and a condition': [
    'granted.sums',
    [
      [
        owner,
        `create schema granted; grant usage on schema granted to ${service}, ${evil}; grant create on schema granted to ${service}`,
      ],
      [service, `create table granted.sums ${rows}; grant all on granted.sums to ${evil}`],
      [
        evil,
        `create trigger spy before update on granted.sums for each row
           when (pg_catalog.query_to_xml('select lair.always('''')', true, false, '') is not null)
           execute function pg_catalog.suppress_redundant_updates_trigger()`,
      ],
    ],
    /role tables_evil_\d+ may make triggers on table granted\.sums, .* role tables_service_\d+: revoke trigger/,
  ],
  'one on which every role may': [
    'shared.sums',
    [
      [owner, `create schema shared; grant usage, create on schema shared to ${service}`],
      [service, `create table shared.sums ${rows}; grant trigger on shared.sums to public`],
    ],
    /role public may make triggers on table shared\.sums/,
  ],
  "a stranger's, which a name alone finds first": [
    'sums',
    [
      [undefined, `create table public.sums ${rows}; alter table public.sums owner to ${service}`],
      [evil, `create table ${service}.sums ${rows}; grant all on ${service}.sums to public`],
    ],
    /table \S+\.sums belongs to role tables_evil_\d+, whose triggers .* role tables_service_\d+/,
  ],
  "a stranger's, named with its schema": [
    'open.sums',
    [
      [owner, 'create schema open; grant usage, create on schema open to public'],
      [evil, `create table open.sums ${rows}; grant all on open.sums to public`],
    ],
    /table open\.sums belongs to role tables_evil/,
  ],
  "its own in a stranger's schema": [
    'theirs.sums',
    [
      [evil, 'create schema theirs; grant usage, create on schema theirs to public'],
      [service, `create table theirs.sums ${rows}`],
    ],
    /schema theirs belongs to role tables_evil/,
  ],
  "its own with a stranger's trigger": [
    'triggered.sums',
    [
      [undefined, `create schema triggered authorization ${service}`],
      [service, `create table triggered.sums ${rows}; grant trigger on triggered.sums to ${evil}`],
      [service, `grant usage on schema triggered to ${evil}`],
      [evil, 'create trigger t before insert on triggered.sums for each row execute function lair.spying()'],
    ],
    /trigger t on table triggered\.sums runs function lair\.spying\(\), which belongs to role tables_evil/,
  ],
  "its own with a check that a stranger's function makes": [
    'checked.sums',
    [
      [undefined, `create schema checked authorization ${service}`],
      [service, 'create table checked.sums (key text primary key, total int, check (lair.always(key)))'],
    ],
    /constraint .* runs function lair\.always/,
  ],
  'its own with a partition of a stranger': [
    'parted.sums',
    [
      [undefined, `create schema parted; grant usage, create on schema parted to ${service}, ${evil}`],
      [service, `create table parted.sums ${rows} partition by list (key)`],
      [evil, `create table parted.part ${rows.replace('key text', 'key text not null')}`],
      [undefined, `alter table parted.sums attach partition parted.part default`],
    ],
    /table parted\.part belongs to role tables_evil/,
  ],
  'of a role that a stranger has made, and made the service a member of': [
    'lent.sums',
    [[evil, `create schema lent authorization ${made}; set role ${made}; create table lent.sums ${rows}`]],
    /belongs to role tables_made/,
  ],
};

const taken: Readonly<Record<string, [into: string, steps: Steps]>> = {
  'its own': [
    'mine.sums',
    [
      [undefined, `create schema mine authorization ${service}`],
      [service, `create table mine.sums ${rows}`],
    ],
  ],
  "the database's owner's, and every superuser's": [
    'owners.sums',
    [
      [owner, 'create schema owners; grant usage, create on schema owners to public'],
      [undefined, `create table owners.sums ${rows}`],
    ],
  ],
  'its own in the schema public': [
    'public.rows',
    [[undefined, `create table public.rows ${rows}; alter table public.rows owner to ${service}`]],
  ],
  'of a group that an administrator has put it in': [
    'groups.sums',
    [
      [undefined, `create schema groups authorization ${group}; create table groups.sums ${rows}`],
      [undefined, `alter table groups.sums owner to ${group}`],
    ],
  ],
  'of a role that has its rights': [
    'friends.sums',
    [
      [undefined, `create schema friends authorization ${friend}`],
      [friend, `create table friends.sums ${rows}; grant usage on schema friends to ${service}`],
    ],
  ],
};

async function find(table: string): Promise<string> {
  const client = await openClient(
    { connectionString: as(service) },
    { name: 'test', timeoutMs: 20_000, isUsers: true },
  );
  try {
    return (await RowTable.find<object>(client, { table }, () => ({ total: 0 }), 'trunkline')).name;
  } finally {
    await client.end();
  }
}

async function make(steps: Steps): Promise<void> {
  for (const [role, sql] of steps) await run(role, sql);
}

test.each(Object.entries(refused))('no rows go into a table %s', async (_, [into, steps, reason]) => {
  await make(steps);
  expect(await errorOf(find(into))).toMatchObject({
    code: 'StoreSchemaUnsafe',
    message: expect.stringMatching(reason),
  });
});

test.each(Object.entries(taken))('a table is taken: %s', async (_, [into, steps]) => {
  await make(steps);
  const [schema, table] = into.split('.');
  expect(await find(into)).toBe(`"${schema}"."${table}"`);
});

test('a projection into what a name alone finds first says whose it is, and runs nothing there', async () => {
  await run(
    evil,
    `create table ${service}.totals ${rows}; grant all on ${service}.totals to public;
     create trigger t before insert on ${service}.totals for each row execute function lair.spying()`,
  );
  await run(
    undefined,
    `create table public.totals ${rows}; alter table public.totals owner to ${service}; grant create on schema public to ${service}`,
  );
  const store = postgres({ connectionString: as(service) });
  const runtime = await startRuntime({ store, shards: 1 });
  const sums = (name: string, table: string) =>
    runtime.project(
      defineProjection<{ total: number }>({
        ...{ name, aggregates: [Counter], events: ['Added'], into: { table }, init: () => ({ total: 0 }) },
        apply: (row, { data }) => ({ total: row.total + (data as { amount: number }).amount }),
      }),
    );
  const position = await runtime.ref(Counter, 'a').add(3);
  const stranger = sums('found', 'totals');
  expect(await errorOf(stranger.get('a'))).toMatchObject({ code: 'StoreSchemaUnsafe' });
  expect(stranger.status()).toMatchObject({ state: 'failed', lastError: expect.stringContaining(evil) });
  const own = sums('named', 'public.totals');
  await own.caughtUpTo(position);
  expect(await own.get('a')).toEqual({ total: 3 });
  expect(await administer(url, 'select * from lair.ran')).toEqual([]);
  await runtime.close();
});
