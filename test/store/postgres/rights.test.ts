// Whom a row of raise_rights lets raise events, and what make_partition does for a role that does not own the tables. Roles
// are taken on by `set session authorization`: the functions go by session_user.
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { migrate } from '../../../src/adapters/postgres/schema/migrate.ts';
import { freshDatabase } from '../../postgres.ts';

const [group, member, stranger] = ['group', 'member', 'stranger'].map((role) => `rights_${role}_${process.pid}`);
let client: pg.Client;

beforeAll(async () => {
  const connectionString = await freshDatabase();
  await migrate({ connection: connectionString });
  client = new pg.Client({ connectionString });
  await client.connect();
  await client.query(
    `create role ${group}; create role ${member} in role ${group}; create role ${stranger};
     grant usage on schema trunkline to ${member}, ${stranger};
     grant execute on function trunkline.raise_event, trunkline.make_partition to ${member}, ${stranger};
     insert into trunkline.raise_rights values ('${group}', 'invoice', 'Made'), ('*', 'ping', '*')`,
  );
});
afterAll(async () => {
  await client.query(`drop owned by ${group}, ${member}, ${stranger}; drop role ${group}, ${member}, ${stranger}`);
  await client.end();
});

/** What one statement gives a role: its value, or the code of its error. */
async function as(role: string | undefined, sql: string): Promise<unknown> {
  await client.query(`set session authorization ${role}`);
  try {
    return (await client.query(`select ${sql} as value`)).rows[0].value;
  } catch (error) {
    return (error as { code: string }).code;
  } finally {
    await client.query('reset session authorization');
  }
}

test('a right is its role’s and that of the role’s members, for its types; one of `*` is everybody’s', async () => {
  const raise = (role: string | undefined, aggregate: string, event: string): Promise<unknown> =>
    as(role, `trunkline.raise_event('${aggregate}', 'of ${role} ${event}', '${event}', '{}')`);
  expect([await raise(member, 'invoice', 'Made'), await raise(stranger, 'invoice', 'Made')]).toEqual([1, '42501']);
  expect([await raise(member, 'invoice', 'Paid'), await raise(member, 'order', 'Made')]).toEqual(['42501', '42501']);
  expect([await raise(stranger, 'ping', 'Made'), await raise(stranger, 'ping', 'Paid')]).toEqual([1, 1]);
  const { rows } = await client.query(
    `select distinct metadata ->> 'databaseRole' as role from trunkline.domain_events order by 1`,
  );
  expect(rows.map(({ role }) => role)).toEqual([member, stranger]);
});

test('make_partition makes no more months for others than a service may need; for its owner any', async () => {
  const make = (role: string | undefined, when: string): Promise<unknown> =>
    as(role, `trunkline.make_partition(${when})`);
  const named = expect.stringMatching(/^domain_events_\d{4}_\d\d$/);
  for (const far of [`now() + interval '26 years'`, `now() - interval '26 years'`, 'null']) {
    expect([far, await make(member, far)]).toEqual([far, null]);
  }
  expect([
    await make(member, `now() + interval '2 months'`),
    await make('default', `now() + interval '26 years'`),
  ]).toEqual([named, named]);
});
