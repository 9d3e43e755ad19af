// A stranger's operators are run by no statement of ours: each operator of the server has a namesake in a schema that comes before
// pg_catalog on the search_path of the service's role, and some fit better. Behind a pooler, where nothing can be set for a
// session, and on a pool of the user's. (Sessions that are ours alone: session.test.ts.)
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { migrate, openEventStore, postgres } from '../../../src/index.ts';
import { PgBouncer } from '../../pgbouncer.ts';
import { administer, freshDatabase } from '../../postgres.ts';
import { pgbouncer } from '../../services.ts';
import { operatorsIn, runEveryFamily } from './families.ts';

const role = `trapped_${process.pid}`;
let owner: string;
let url: string;

beforeAll(async () => {
  owner = await freshDatabase();
  const database = new URL(owner).pathname.slice(1);
  await administer(
    owner,
    `create role ${role} login password 'trunkline'; grant create on database ${database} to ${role};
     create schema ${role}; grant usage on schema ${role} to ${role}; create schema reports authorization ${role};
     ${operatorsIn(role)}
     alter role ${role} in database ${database} set search_path to "$user", pg_catalog`,
  );
  const asRole = new URL(owner);
  [asRole.username, asRole.password] = [role, 'trunkline'];
  url = asRole.href;
});

afterAll(async () => {
  await administer(owner, `drop owned by ${role} cascade; drop role ${role}`);
});

test('they would run: a statement without a schema meets them', async () => {
  await expect(administer(url, 'select 1 = 1')).rejects.toThrow(
    'the operator of a stranger has run: = integer, integer',
  );
  await expect(administer(url, `select 1::oid = 'pg_class'::regclass`)).rejects.toThrow('= oid, regclass');
});

test.skipIf(!pgbouncer.isPresent())(
  'behind a pooler no family of statements runs one',
  async () => {
    await using bouncer = await PgBouncer.before(url);
    await runEveryFamily(bouncer.url, owner, role);
  },
  90_000,
);

test("reads on a pool of the user's run none, and leave its path as it was", async () => {
  await migrate({ connection: url, schema: 'pooled' });
  await administer(
    owner,
    `insert into pooled.raise_rights values (current_user, 'order');
     select pooled.raise_event('order', 'o''$1', 'Placed', '{"n": 1}', '{"correlationId": "c"}'),
       pooled.raise_event('order', 'o''$1', 'Paid', '{"n": 2}', '{}')`,
  );
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  const store = await openEventStore(postgres({ pool, schema: 'pooled' }));
  const types = (events: readonly { type: string }[]): string[] => events.map(({ type }) => type);
  expect(types(await store.getByAggregate('order', "o'$1"))).toEqual(['Placed', 'Paid']);
  const queried: string[] = [];
  for await (const { type } of store.query({ correlationId: 'c', types: ['Placed', 'Paid'] })) queried.push(type);
  expect(queried).toEqual(['Placed']);
  expect(await store.getByAggregate('order', 'none')).toEqual([]);
  const { rows } = await pool.query(`select pg_catalog.current_setting('search_path') as path`);
  expect(rows).toEqual([{ path: '"$user", pg_catalog' }]);
  await store.close();
  await pool.end();
});
