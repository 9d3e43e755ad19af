// Which schemas are refused, before anything in them is run or read: those where a role that is not trusted with it can
// create something, or has. Each case has a schema of its own; `evil` is another service of the same database.
import '../../leap.ts';

import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LogReaders } from '../../../src/adapters/postgres/handlers/log-readers.ts';
import { PostgresTables } from '../../../src/adapters/postgres/handlers/tables.ts';
import { PostgresTraces } from '../../../src/adapters/postgres/handlers/traces.ts';
import { PostgresOutbox } from '../../../src/adapters/postgres/outbox/relay-outbox.ts';
import { PartitionUpkeep } from '../../../src/adapters/postgres/partitions/upkeep.ts';
import { checkOwnership } from '../../../src/adapters/postgres/schema/ownership.ts';
import { checkOwnershipOfSession } from '../../../src/adapters/postgres/schema/recent-ownership.ts';
import { relations } from '../../../src/adapters/postgres/schema/tables.ts';
import type { HandlerStateStore } from '../../../src/handler-state/handler-state-store.ts';
import { migrate, openEventStore, postgres } from '../../../src/index.ts';
import { tailEvents } from '../../../src/postgres.ts';
import { pass } from '../../leap.ts';
import { administer, freshDatabase } from '../../postgres.ts';
import { errorOf, startRuntime } from '../../runtime/scratch.ts';

const named = (role: string): string => `owns_${role}_${process.pid}`;
const [migrator, service, evil, team, owner, made, inner] = [
  ...['migrator', 'service', 'evil', 'team', 'owner', 'made', 'inner'].map(named),
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
    `create role ${team}; create role ${migrator} login password 'p' in role ${team};
     ${[service, evil, owner].map((role) => `create role ${role} login password 'p';`).join('')}
     alter database ${database} owner to ${owner}; grant create on database ${database} to ${migrator}, ${evil};
     create schema lair authorization ${evil}; grant usage on schema lair to public;
     create table lair.ran (who text); grant insert on lair.ran to public; alter role ${evil} createrole`,
  );
  await run(
    evil,
    `create function lair.spy() returns text language plpgsql as $$ begin insert into lair.ran values (current_user); return 'x'; end $$;
     create function lair.spying() returns trigger language plpgsql as $$ begin perform lair.spy(); return new; end $$;
     create function lair.spying_tables() returns event_trigger language plpgsql as $$ begin perform lair.spy(); end $$;
     create function lair.always(text) returns boolean language sql as $$ select lair.spy() = 'x' $$;
     create role ${made}; grant ${made} to ${evil}, ${migrator}; create role ${inner}; grant ${inner} to ${evil}, ${team}`,
  );
});
afterAll(async () => {
  const roles = `${migrator}, ${service}, ${evil}, ${team}, ${owner}`;
  await administer(url, `alter database ${new URL(url).pathname.slice(1)} owner to current_user`);
  await administer(
    url,
    `drop owned by ${roles}, ${made}, ${inner} cascade; drop role ${made}, ${inner}; drop role ${roles}`,
  );
});

/** What a function in the schema would be taken for while the first migrations run. */
const format = (schema: string): string =>
  `create function ${schema}.format(a text, b name) returns text language sql as $$ select lair.spy() || pg_catalog.format(a, b) $$`;

/** The schema as it is before the first migration: who has made what, as `role: sql`, and what the refusal says. */
const before: Readonly<Record<string, [steps: (schema: string) => [string | undefined, string][], RegExp]>> = {
  'made by another role': [
    (schema) => [
      [evil, `create schema ${schema}; grant usage, create on schema ${schema} to public; ${format(schema)}`],
    ],
    /belongs to role owns_evil_\d+, and role .* migrates.*every role may create.*revoke create on schema "\w+" from public/,
  ],
  'of a role that another has made, and made the migrator a member of': [
    (schema) => [[evil, `create schema ${schema} authorization ${made}`]],
    /belongs to role owns_made_\d+, and role .* migrates/,
  ],
  "of a role that another has made, and made the migrator's group a member of": [
    (schema) => [[evil, `create schema ${schema} authorization ${inner}`]],
    /belongs to role owns_inner_\d+, and role .* migrates/,
  ],
  'where every role may create': [
    (schema) => [[migrator, `create schema ${schema}; grant usage, create on schema ${schema} to public`]],
    /every role may create functions/,
  ],
  'where another role may create': [
    (schema) => [[migrator, `create schema ${schema}; grant create on schema ${schema} to ${evil}`]],
    /role owns_evil_\d+ may create functions in it: revoke create on schema "\w+" from "owns_evil_\d+"/,
  ],
  'where all who share a group with the migrator may create': [
    (schema) => [[migrator, `create schema ${schema}; grant create on schema ${schema} to ${team}`]],
    /role owns_team_\d+ may create/,
  ],
  'with a function that another role has left': [
    (schema) => left(schema, format(schema)),
    /function \S+format\(.* drop it/,
  ],
  'with an operator that another role has left': [
    (schema) =>
      left(
        schema,
        `create function lair.${schema}(text, text) returns boolean language sql as 'select lair.always($1)';
        create operator ${schema}.= (leftarg = text, rightarg = text, function = lair.${schema})`,
      ),
    /operator .* belongs to role/,
  ],
  'with a type that another role has left': [
    (schema) => left(schema, `create domain ${schema}.xid8 as text default lair.spy()`),
    /type .* belongs to role/,
  ],
  'with a table in the place of one of ours': [
    (schema) => left(schema, `create table ${schema}.aggregates (version int default length(lair.spy()))`),
    /table \S*aggregates belongs to role/,
  ],
  'with a view in the place of the list of migrations': [
    (schema) =>
      left(
        schema,
        `create view ${schema}.trunkline_migrations as select 1 as number, lair.spy() as name, '' as checksum`,
      ),
    /view \S*trunkline_migrations belongs to role/,
  ],
  'with a table whose policy runs a function, in the place of the list of migrations': [
    (schema) =>
      left(
        schema,
        `create table ${schema}.trunkline_migrations (number int, name text, checksum text);
        insert into ${schema}.trunkline_migrations values (1, 'x', 'y'); grant select on ${schema}.trunkline_migrations to public;
        create policy p on ${schema}.trunkline_migrations using (lair.always(name));
        alter table ${schema}.trunkline_migrations enable row level security`,
      ),
    /table \S*trunkline_migrations belongs to role/,
  ],
};

/** Made while evil could, and left there. */
function left(schema: string, sql: string): [string, string][] {
  return [
    [migrator, `create schema ${schema}; grant usage, create on schema ${schema} to ${evil}`],
    [evil, sql],
    [migrator, `revoke create on schema ${schema} from ${evil}`],
  ];
}

/** Of a schema that is whole. */
const afterwards: Readonly<Record<string, [steps: (schema: string) => [string | undefined, string][], RegExp]>> = {
  'every role may create in it': [
    (schema) => [[migrator, `grant create on schema ${schema} to public`]],
    /every role may create/,
  ],
  'another role has a trigger on a table': [
    (schema) => [
      [migrator, `grant usage on schema ${schema} to ${evil}; grant trigger on ${schema}.aggregates to ${evil}`],
      [evil, `create trigger spying before insert on ${schema}.aggregates for each row execute function lair.spying()`],
    ],
    /trigger spying on table .* runs function lair.spying\(\), which belongs to role/,
  ],
  'another role has a trigger on the partition of a month': [
    (schema) => [
      [
        migrator,
        `select ${schema}.make_partition('2024-01-01'); grant usage on schema ${schema} to ${evil};
         grant trigger on ${schema}.domain_events_2024_01 to ${evil}`,
      ],
      [
        evil,
        `create trigger spying before insert on ${schema}.domain_events_2024_01 for each row execute function lair.spying()`,
      ],
    ],
    /trigger spying on table .*domain_events_2024_01 runs/,
  ],
  'what the owner has added runs functions of another role': [
    (schema) => [
      [
        migrator,
        `alter table ${schema}.outbox alter refused set default lair.spy();
         alter table ${schema}.aggregates add check (lair.always(aggregate_id)) not valid;
         create rule spying as on insert to ${schema}.snapshots do also select lair.spy();
         create policy spying on ${schema}.actor_types using (lair.always(aggregate_type))`,
      ],
    ],
    /constraint .*; default value .*; policy .*; and 1 more|runs function lair/,
  ],
};

/** What administrators do. */
const good: Readonly<Record<string, (schema: string) => [string | undefined, string][]>> = {
  'made by the migration': () => [],
  'made by the migrator': (schema) => [[migrator, `create schema ${schema}`]],
  "made by an administrator for the migrator's group": (schema) => [
    [undefined, `create schema ${schema} authorization ${team}`],
  ],
  "an administrator's, where the migrator may create": (schema) => [
    [undefined, `create schema ${schema}; grant usage, create on schema ${schema} to ${migrator}`],
  ],
  "the database's owner's, where the migrator may create": (schema) => [
    [
      undefined,
      `create schema ${schema} authorization ${owner}; grant usage, create on schema ${schema} to ${migrator}`,
    ],
  ],
};

let schemas = 0;
async function schemaAfter(
  steps: (schema: string) => [string | undefined, string][],
  isMigrated = false,
): Promise<string> {
  const schema = `case_${++schemas}`;
  if (isMigrated) await migrate({ connection: as(migrator), schema });
  for (const [role, sql] of steps(schema)) await run(role, sql);
  return schema;
}

const sessionOn = async (schema: string): Promise<unknown> => {
  const client = new pg.Client({ connectionString: as(service) });
  await client.connect();
  try {
    return await checkOwnership(client, schema, 'session').then(
      () => undefined,
      (error: unknown) => error,
    );
  } finally {
    await client.end();
  }
};

test('a thread looks once a minute at a target that it has found good, and at every other one', async () => {
  const [good, other] = [await schemaAfter(() => [], true), await schemaAfter(() => [], true)];
  const client = new pg.Client({ connectionString: as(service) });
  await client.connect();
  const look = (schema: string): Promise<unknown> =>
    checkOwnershipOfSession(client, schema).then(
      () => 'good',
      ({ code }) => code,
    );
  expect(await look(good)).toBe('good');
  for (const schema of [good, other]) await run(migrator, `grant create on schema ${schema} to public`);
  pass(59_000);
  expect([await look(good), await look(other), await look(other)]).toEqual([
    ...['good', 'StoreSchemaUnsafe', 'StoreSchemaUnsafe'],
  ]);
  pass(2_000);
  expect(await look(good)).toBe('StoreSchemaUnsafe');
  for (const schema of [good, other]) await run(migrator, `revoke create on schema ${schema} from public`);
  expect([await look(good), await look(other)]).toEqual(['good', 'good']);
  await client.end();
});

const ran = async (): Promise<string[]> => (await administer(url, 'select who from lair.ran')).map(({ who }) => who);
const unsafe = (message: RegExp): object => ({ code: 'StoreSchemaUnsafe', message: expect.stringMatching(message) });

test.each(Object.entries(before))('a schema %s is not migrated, nor looked into', async (_, [steps, message]) => {
  const schema = await schemaAfter(steps);
  for (const dryRun of [true, false]) {
    const error = await errorOf(migrate({ connection: as(migrator), schema, dryRun }));
    expect(error).toMatchObject(unsafe(message));
  }
  // A superuser has the rights of every role, and trusts none for that.
  expect(await errorOf(migrate({ connection: url, schema }))).toMatchObject({ code: 'StoreSchemaUnsafe' });
  expect(await ran()).toEqual([]);
});

test.each(Object.entries(afterwards))(
  'where %s, neither sessions nor migrations begin',
  async (_, [steps, message]) => {
    const schema = await schemaAfter(steps, true);
    expect(await sessionOn(schema)).toMatchObject(unsafe(message));
    expect(await errorOf(migrate({ connection: as(migrator), schema }))).toMatchObject(unsafe(message));
    expect(await ran()).toEqual([]);
  },
);

test.each(Object.entries(good))('a schema %s is migrated, and sessions begin there', async (_, steps) => {
  const schema = await schemaAfter(steps);
  expect((await migrate({ connection: as(migrator), schema })).migrations.length).toBeGreaterThan(8);
  expect(await migrate({ connection: as(migrator), schema })).toMatchObject({ migrations: [] });
  expect(await sessionOn(schema)).toBeUndefined();
});

test('every door says it: a runtime, readers, the tail; and an event trigger that runs a function of another role', async () => {
  const schema = await schemaAfter(() => [], true);
  await run(
    migrator,
    `grant usage on schema ${schema} to ${service}; grant select on all tables in schema ${schema} to ${service}`,
  );
  const database = `create event trigger spying on ddl_command_end execute function lair.spying_tables()`;
  await run(undefined, `${database}; alter event trigger spying disable`);
  expect(await sessionOn(schema)).toBeUndefined();
  await run(undefined, 'alter event trigger spying enable');
  const store = postgres({ connectionString: as(service), schema });
  const doors = [
    () => startRuntime({ store, shards: 1 }),
    () => openEventStore(store),
    () => tailEvents({ connection: as(service), schema }).next(),
    () => migrate({ connection: as(migrator), schema }),
    // Those that a runtime opens later, each by itself.
    () =>
      new PostgresOutbox({ connection: { connectionString: as(service) }, schema, logId: 'l', actorTypes: [] }).open(),
    () => new PostgresTraces(store.settings, 'l').readers(),
    () => new PostgresTables(store.settings, 'l', 1).get('table', 'key'),
    () => new PostgresTables(store.settings, 'l', 1).begin(undefined, 0, false),
    async () => {
      const upkeep = new PartitionUpkeep(store.settings, () => {});
      await upkeep.keepOnce();
      throw upkeep.status.lastError;
    },
    () =>
      new Promise((_, reject) => {
        const kept = { range: async () => [{ key: 'k', json: '{"low":1}' }] } as unknown as HandlerStateStore;
        void new LogReaders(store.settings, 'l', reject).follow(kept);
      }),
  ];
  for (const door of doors) {
    expect(await errorOf(door())).toMatchObject(unsafe(/event trigger spying runs function lair.spying_tables\(\)/));
  }
  await run(undefined, 'drop event trigger spying');
  expect(await ran()).toEqual([]);
});

test('all that the migrations make is looked after', async () => {
  const schema = await schemaAfter(() => [], true);
  const rows = await administer(
    url,
    `select relname as name from pg_class where relnamespace = $1::regnamespace and relkind not in ('i', 'I')`,
    [schema],
  );
  expect(rows.map(({ name }) => name).sort()).toEqual([...relations].sort());
});
