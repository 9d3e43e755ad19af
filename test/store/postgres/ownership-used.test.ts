// What our tables use belongs to roles that are trusted with the schema, however far it is from the table. Each case is made by roles
// that are no superusers, in a transaction that is undone: `migrator` owns the schema, `evil` another one of the same database.
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkOwnership } from '../../../src/adapters/postgres/schema/ownership.ts';
import { usedBy } from '../../../src/adapters/postgres/schema/used-objects-sql.ts';
import { migrate } from '../../../src/index.ts';
import { administer, freshDatabase } from '../../postgres.ts';

const named = (role: string): string => `used_${role}_${process.pid}`;
const [migrator, evil, both] = ['migrator', 'evil', 'both'].map(named) as [string, string, string];
let url: string;
let client: pg.Client;

beforeAll(async () => {
  url = await freshDatabase();
  const database = new URL(url).pathname.slice(1);
  await administer(
    url,
    `create role ${migrator} login password 'p'; create role ${evil}; create role ${both} in role ${migrator}, ${evil};
     grant create on database ${database} to ${migrator}, ${evil};
     create schema lair authorization ${evil}; grant usage, create on schema lair to public;
     create foreign data wrapper wrapper; grant usage on foreign data wrapper wrapper to ${evil}`,
  );
  const own = new URL(url);
  [own.username, own.password] = [migrator, 'p'];
  await migrate({ connection: own.href });
  client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(
    `grant usage on schema trunkline to ${evil}; grant select on all tables in schema trunkline to ${evil};
     set session authorization ${evil};
     create function lair.always(text) returns boolean language sql immutable as 'select true';
     create function lair.same(text) returns text language sql immutable as 'select $1';
     create function lair.than(text, text) returns boolean language sql immutable as 'select $1 = $2';
     create function lair.apart(float8, float8) returns float8 language sql immutable as 'select $1 - $2';
     create function lair.acting() returns trigger language plpgsql as $$ begin return new; end $$;
     create operator lair.=== (leftarg = text, rightarg = text, function = lair.than);
     create domain lair.word as text; create type lair.mood as enum ('good');
     create collation lair.sorted (locale = 'C'); create sequence lair.numbers;
     grant all on sequence lair.numbers to public;
     create table lair.others (k text primary key); grant all on lair.others to public;
     create view lair.shown as select k from lair.others; grant select on lair.shown to public;
     create text search configuration lair.words (copy = pg_catalog.simple);
     create server away foreign data wrapper wrapper; grant usage on foreign server away to public;
     reset session authorization`,
  );
});
afterAll(async () => {
  await client.query(`drop owned by ${migrator}, ${evil} cascade; drop role ${both}; drop role ${migrator}, ${evil}`);
  await client.end();
});

const findingAfter = async (steps: readonly [role: string, sql: string][]): Promise<unknown> => {
  await client.query('begin');
  try {
    for (const [role, sql] of steps) await client.query(`set local session authorization ${role}; ${sql}`);
    await client.query('reset session authorization');
    return await checkOwnership(client, 'trunkline', 'session').then(
      () => undefined,
      (error: unknown) => error,
    );
  } finally {
    await client.query('rollback; reset session authorization');
  }
};

/** What the schema's owner, or who has been given a right, makes of an object of evil's; and how the error names both. */
const uses: Readonly<Record<string, [steps: readonly [role: string, sql: string][], found: RegExp]>> = {
  'a domain': [[[migrator, 'alter table aggregates add x lair.word']], /table aggregates uses type lair\.word, /],
  'an array of a domain': [
    [[migrator, 'alter table aggregates add x lair.word[]']],
    /table aggregates uses type lair\.word, /,
  ],
  'a type of its own with a column of a domain': [
    [[migrator, 'create type pair as (a int, b lair.word); alter table aggregates add x pair']],
    /table aggregates uses type lair\.word, /,
  ],
  'a domain of its own whose check runs a function': [
    [[migrator, 'create domain word as text check (lair.always(value)); alter table aggregates add x word']],
    /table aggregates runs function lair\.always\(text\), /,
  ],
  'a domain of its own whose default runs a function': [
    [[migrator, `create domain word as text default lair.same(''); alter table aggregates add x word[]`]],
    /table aggregates runs function lair\.same\(text\), /,
  ],
  'an enumeration': [[[migrator, 'alter table outbox add x lair.mood']], /table outbox uses type lair\.mood, /],
  'a range of its own with a function': [
    [
      [
        migrator,
        'create type span as range (subtype = float8, subtype_diff = lair.apart); alter table outbox add x span',
      ],
    ],
    /table outbox runs function lair\.apart\(/,
  ],
  'a collation': [
    [[migrator, 'alter table actor_types alter aggregate_type type text collate lair.sorted']],
    /actor_types\S* uses collation lair\.sorted, /,
  ],
  'a sequence': [
    [[migrator, `alter table outbox alter batch set default nextval('lair.numbers')`]],
    /default value for column batch of table outbox uses sequence lair\.numbers, /,
  ],
  'a function in a default': [
    [[migrator, `alter table outbox alter refused set default lair.same('')`]],
    /default value for column refused of table outbox runs function lair\.same/,
  ],
  'an operator in a default': [
    [[migrator, `alter table actor_types alter is_settled set default '' operator(lair.===) ''`]],
    /default value .* uses operator lair\.===\(text,text\), /,
  ],
  'an operator of its own that runs a function': [
    [
      [
        migrator,
        `create operator trunkline.=== (leftarg = text, rightarg = text, function = lair.than);
         alter table actor_types add check (aggregate_type operator(trunkline.===) '')`,
      ],
    ],
    /constraint actor_types_aggregate_type_check on table actor_types runs function lair\.than/,
  ],
  'a function of its own whose parsed body runs one': [
    [
      [
        migrator,
        `create function through(text) returns boolean begin atomic select lair.always($1); end;
         alter table actor_types add check (through(aggregate_type))`,
      ],
    ],
    /constraint .* on table actor_types runs function lair\.always/,
  ],
  'a function in a stored column': [
    [[migrator, 'alter table outbox add x text generated always as (lair.same(refused)) stored']],
    /default value for column x of table outbox runs function lair\.same/,
  ],
  'a function in an index': [
    [[migrator, 'create index curious on aggregates (lair.same(aggregate_id))']],
    /index curious runs function lair\.same/,
  ],
  'a function in the condition of an index': [
    [[migrator, 'create index curious on aggregates (version) where lair.always(aggregate_id)']],
    /index curious runs function lair\.always/,
  ],
  'a collation in an index': [
    [[migrator, 'create index curious on aggregates (aggregate_id collate lair.sorted)']],
    /index curious uses collation lair\.sorted/,
  ],
  'a text search configuration in an index': [
    [[migrator, `create index curious on outbox using gin (to_tsvector('lair.words', refused))`]],
    /index curious uses text search configuration lair\.words/,
  ],
  'a function in statistics': [
    [[migrator, 'create statistics curious on lair.same(aggregate_id), version from aggregates']],
    /statistics object curious runs function lair\.same/,
  ],
  'a function in a rule': [
    [[migrator, `create rule curious as on insert to snapshots do also select lair.same('')`]],
    /rule curious on table snapshots runs function lair\.same/,
  ],
  'a table in a rule': [
    [[migrator, `create rule curious as on insert to snapshots do also insert into lair.others values ('')`]],
    /rule curious on table snapshots uses table lair\.others/,
  ],
  'a table of its own in a rule, which runs a function': [
    [
      [
        migrator,
        `create table kept (k text default lair.same(''));
         create rule curious as on insert to snapshots do also insert into kept default values`,
      ],
    ],
    /rule curious on table snapshots runs function lair\.same/,
  ],
  'a function in a policy': [
    [[migrator, 'create policy curious on actor_types using (lair.always(aggregate_type))']],
    /policy curious on table actor_types runs function lair\.always/,
  ],
  'a view in a policy': [
    [[migrator, 'create policy curious on actor_types using (exists (select from lair.shown))']],
    /policy curious on table actor_types uses view lair\.shown/,
  ],
  'a view in a view of ours': [
    [[migrator, 'drop view dead_letters; create view dead_letters as select k from lair.shown']],
    /rule _RETURN on view dead_letters uses view lair\.shown/,
  ],
  'the function of a trigger': [
    [
      [migrator, `grant trigger on aggregates to ${evil}`],
      [evil, 'create trigger spying before insert on trunkline.aggregates for each row execute function lair.acting()'],
    ],
    /trigger spying on table aggregates runs function lair\.acting/,
  ],
  'the function of a trigger of a view': [
    [
      [migrator, `grant trigger on raise_intake to ${evil}`],
      [
        evil,
        'create or replace trigger step_1 instead of insert on trunkline.raise_intake for each row execute function lair.acting()',
      ],
    ],
    /trigger step_1 on view raise_intake runs function lair\.acting/,
  ],
  'the condition of a trigger': [
    [
      [
        migrator,
        `create trigger spying before insert on aggregates for each row when (lair.always(new.aggregate_id))
           execute function suppress_redundant_updates_trigger()`,
      ],
    ],
    /trigger spying on table aggregates runs function lair\.always/,
  ],
  'a partition': [
    [
      [evil, 'create table lair.part (like trunkline.domain_events including all)'],
      [
        both,
        `alter table trunkline.domain_events attach partition lair.part for values from ('2031-01-01') to ('2031-02-01')`,
      ],
    ],
    /table lair\.part belongs to role/,
  ],
  'a part of a partition of its own': [
    [
      [evil, 'create table lair.part (like trunkline.domain_events including all)'],
      [
        both,
        `create table trunkline.within partition of trunkline.domain_events for values from ('2031-01-01') to ('2031-02-01')
           partition by hash (id);
         alter table trunkline.within attach partition lair.part for values with (modulus 1, remainder 0)`,
      ],
    ],
    /table lair\.part belongs to role/,
  ],
  'a table that inherits from one of ours': [
    [
      [evil, 'create table lair.heir (like trunkline.snapshots including all)'],
      [both, 'alter table lair.heir inherit trunkline.snapshots'],
    ],
    /table lair\.heir belongs to role/,
  ],
  'a table that one of ours inherits from': [
    [
      [evil, 'create table lair.parent (version integer not null)'],
      [both, 'alter table trunkline.snapshots inherit lair.parent'],
    ],
    /table snapshots uses table lair\.parent/,
  ],
  'the server of a foreign table that inherits from one of ours': [
    [[migrator, 'create foreign table far () inherits (snapshots) server away']],
    /foreign table far uses server away/,
  ],
  'a table with a key into one of ours': [
    [
      [migrator, `grant references on aggregates to ${evil}`],
      [
        evil,
        'create table lair.holds (a text, b text, foreign key (a, b) references trunkline.aggregates on delete cascade)',
      ],
    ],
    /constraint holds_a_b_fkey on table lair\.holds belongs to role/,
  ],
};

test.each(Object.entries(uses))('refused by name: %s', async (_, [steps, found]) => {
  const path = 'set local search_path = trunkline, pg_catalog';
  const error = await findingAfter(steps.map(([role, sql]) => [role, role === migrator ? `${path}; ${sql}` : sql]));
  expect(error).toMatchObject({ code: 'StoreSchemaUnsafe' });
  expect(String(error).replaceAll('trunkline.', '')).toMatch(found);
  expect(String(error)).toContain(evil);
});

test('refused by name: a role that may make triggers or keys, but for that of the session itself', async () => {
  const remedy = new RegExp(`revoke trigger, references on all tables in schema "trunkline" from "${evil}"`);
  for (const [given, found] of [
    [`grant all on aggregates to ${evil}`, /may have triggers of its own/],
    [`grant trigger on raise_intake to ${evil}`, /may have triggers of its own/],
    [`grant references on domain_events_default to ${evil}`, /may have foreign keys of its own/],
  ] as const) {
    const error = await findingAfter([[migrator, `set local search_path = trunkline; ${given}`]]);
    expect(error).toMatchObject({ code: 'StoreSchemaUnsafe', message: expect.stringMatching(found) });
    expect(String(error)).toMatch(remedy);
  }
  const everyRole = await findingAfter([[migrator, 'grant trigger on trunkline.outbox to public']]);
  expect(String(everyRole)).toMatch(/every role may have triggers .* from public/);
  await client.query(`begin; grant all on trunkline.outbox to ${evil}; set local role ${evil}`);
  await checkOwnership(client, 'trunkline', 'session');
  await client.query('rollback');
});

/** By the owner of a table, or of all that it is made from. */
const impossible: Readonly<Record<string, [sql: string, code: string]>> = {
  'an operator class': [
    'create operator class lair.c for type text using btree as operator 3 lair.===(text, text)',
    '42501',
  ],
  'an operator family': ['create operator family lair.f using btree', '42501'],
  'a base type': ['create type lair.base', '42501'],
  'an event trigger': ['create event trigger e on ddl_command_end execute function lair.acting()', '42501'],
  'a wrapper of foreign data': ['create foreign data wrapper own', '42501'],
  'an access method': ['create access method own type index handler pg_catalog.bthandler', '42501'],
  'a language': ['create language own handler pg_catalog.plpgsql_call_handler', '42501'],
  'a publication of a table of another': ['create publication p for table trunkline.aggregates', '42501'],
};

test.each(Object.entries(impossible))(
  'needs no look, since only a superuser can make it: %s',
  async (_, [sql, code]) => {
    await expect(findingAfter([[evil, sql]])).rejects.toMatchObject({ code });
  },
);

test('the condition of a publication runs no function or operator of a user', async () => {
  for (const condition of ['lair.always(aggregate_id)', `aggregate_id operator(lair.===) ''`]) {
    const sql = `create publication p for table trunkline.aggregates where (${condition})`;
    await expect(findingAfter([[migrator, sql]])).rejects.toMatchObject({ code: '0A000' });
  }
});

/** Catalogues of what has an owner and no table runs. */
const unused: Readonly<Record<string, string>> = {
  pg_database: 'its owner is trusted',
  pg_namespace: 'holds objects; the owner of ours is who is trusted',
  pg_extension: 'holds objects, which have owners of their own',
  pg_tablespace: 'a folder',
  pg_largeobject_metadata: 'data',
  pg_conversion: 'between client and server, by functions that only a superuser can make',
  pg_event_trigger: 'looked at for the whole database',
  pg_statistic_ext: 'looked at where it is of a table of ours',
  pg_publication: 'runs functions of the server alone',
  pg_subscription: 'writes with the rights of its owner',
};

test('whatever has an owner is followed, or cannot run', async () => {
  const { rows } = await client.query(
    `select distinct c.relname as name from pg_class c join pg_attribute a on a.attrelid = c.oid
     where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind = 'r' and (a.attname ~ 'owner$' or a.attname = 'datdba')`,
  );
  const followed = rows
    .map(({ name }) => name)
    .filter((name) => usedBy('tables').includes(`owner from pg_catalog.${name} x`));
  expect(followed.length).toBeGreaterThan(10);
  expect([...followed, ...Object.keys(unused)].sort()).toEqual(rows.map(({ name }) => name).sort());
});
