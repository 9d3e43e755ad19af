// What an administrator, or the owner, may add to our schema: nothing is said of it. In transactions that are undone.
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkOwnership } from '../../../src/adapters/postgres/schema/ownership.ts';
import { migrate } from '../../../src/index.ts';
import { administer, freshDatabase } from '../../postgres.ts';

const migrator = `allowed_migrator_${process.pid}`;
let url: string;
let own: URL;
let client: pg.Client;

beforeAll(async () => {
  url = await freshDatabase();
  await administer(
    url,
    `create role ${migrator} login password 'p'; grant create on database ${new URL(url).pathname.slice(1)} to ${migrator}`,
  );
  own = new URL(url);
  [own.username, own.password] = [migrator, 'p'];
  await migrate({ connection: own.href });
  client = new pg.Client({ connectionString: url });
  await client.connect();
});
afterAll(async () => {
  await client.query(`drop owned by ${migrator} cascade; drop role ${migrator}`);
  await client.end();
});

const allowed: Readonly<Record<string, string>> = {
  'nothing at all': 'select',
  'indexes and statistics': `create index extra on trunkline.domain_events (created_at desc);
    create index low on trunkline.aggregates (lower(aggregate_id)) where version > 5;
    create statistics trunkline.together on aggregate_type, aggregate_id, (version + 1) from trunkline.aggregates`,
  'columns, defaults and checks of the server and of its own': `create domain trunkline.short as text check (length(value) < 9);
    create sequence trunkline.own; create type trunkline.span as range (subtype = float8);
    alter table trunkline.outbox add a trunkline.short, add b bigint default nextval('trunkline.own'), add c trunkline.span,
      add d text generated always as (upper(refused)) stored, add check (batch % 2 < 2);
    create policy all_rows on trunkline.outbox using (pg_has_role(current_user, 'pg_monitor', 'member') or true)`,
  'a table beside ours with a key into them': `create table trunkline.beside (a text, b text,
    foreign key (a, b) references trunkline.aggregates on delete cascade)`,
  'months in partitions of their own': `create table trunkline.within partition of trunkline.domain_events
      for values from ('2031-01-01') to ('2031-02-01') partition by hash (id);
    create table trunkline.rest partition of trunkline.within for values with (modulus 1, remainder 0)`,
};

test.each(Object.entries(allowed))('%s', async (_, sql) => {
  for (const role of [migrator, client.user!]) {
    await client.query(`begin; set local session authorization ${role}; ${sql}`);
    await client.query('reset session authorization');
    await checkOwnership(client, 'trunkline', 'session');
    await client.query('rollback');
  }
});

test('a schema that a superuser has migrated and then given away, of any name, is as good', async () => {
  const schema = `Given "$1' away`;
  await migrate({ connection: url, schema });
  const name = pg.escapeIdentifier(schema);
  const objects = await client.query(
    `select format('alter %s %s owner to %I', kind, object, $2::text) as sql from (
       select 'table' as kind, oid::regclass::text as object from pg_class
         where relnamespace = $1::regnamespace and relkind in ('r', 'p', 'v')
       union all select 'sequence', oid::regclass::text from pg_class where relnamespace = $1::regnamespace and relkind = 'S'
         and not exists (select from pg_depend d where d.objid = pg_class.oid and d.deptype = 'a')
       union all select 'function', oid::regprocedure::text from pg_proc where pronamespace = $1::regnamespace) owned`,
    [name, migrator],
  );
  await client.query(objects.rows.map(({ sql }) => sql).join(';'));
  await client.query(`alter schema ${name} owner to ${migrator}`);
  await checkOwnership(client, schema, 'session');
  expect(await migrate({ connection: own.href, schema })).toMatchObject({ migrations: [] });
});
