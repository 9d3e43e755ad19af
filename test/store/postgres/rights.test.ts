// Which roles a row of raise_rights lets raise events, and what make_partition does for a role that does not own the tables. Both ask
// the role in effect: code of one role that another role's session runs gets no right of that session.
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { migratedDatabase } from '../../postgres.ts';
import { errorOf } from '../../runtime/scratch.ts';

const [group, member, stranger, admin] = ['group', 'member', 'stranger', 'admin'].map(
  (role) => `rights_${role}_${process.pid}`,
) as [string, string, string, string];
let client: pg.Client;

beforeAll(async () => {
  const connectionString = await migratedDatabase();
  client = new pg.Client({ connectionString });
  await client.connect();
  await client.query(
    `create role ${group}; create role ${member} in role ${group}; create role ${stranger};
     create role ${admin} superuser in role ${group};
     create schema ${member} authorization ${member}; create schema ${stranger} authorization ${stranger};
     grant usage on schema trunkline to ${group}, ${stranger};
     grant execute on function trunkline.raise_event, trunkline.make_partition to ${member}, ${stranger};
     grant update on trunkline.flush_checkpoints to ${member}, ${stranger};
     insert into trunkline.raise_rights values ('${group}', 'invoice', 'Made'), ('*', 'ping', '*')`,
  );
});
afterAll(async () => {
  const roles = [group, member, stranger, admin].join();
  await client.query(`drop owned by ${roles} cascade; drop role ${roles}`);
  await client.end();
});

/** What one statement gives a role: its value, or the code of its error. */
async function as(role: string, sql: string): Promise<unknown> {
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
  const raise = (role: string, aggregate: string, event: string): Promise<unknown> =>
    as(role, `trunkline.raise_event('${aggregate}', 'of ${role} ${event}', '${event}', '{}')`);
  expect([await raise(member, 'invoice', 'Made'), await raise(stranger, 'invoice', 'Made')]).toEqual([1, '42501']);
  expect([await raise(member, 'invoice', 'Paid'), await raise(member, 'order', 'Made')]).toEqual(['42501', '42501']);
  expect([await raise(stranger, 'ping', 'Made'), await raise(stranger, 'ping', 'Paid')]).toEqual([1, 1]);
  const { rows } = await client.query(
    `select distinct metadata ->> 'databaseRole' as role from trunkline.domain_events order by 1`,
  );
  expect(rows.map(({ role }) => role)).toEqual([member, stranger]);
});

test('make_partition makes months within one bound, for others and for its owner', async () => {
  const make = (role: string, when: string): Promise<unknown> => as(role, `trunkline.make_partition(${when})`);
  const named = expect.stringMatching(/^domain_events_\d{4}_\d\d$/);
  for (const far of [`now() + interval '26 months'`, `now() - interval '21 years'`, 'null']) {
    expect([far, await make(member, far), await make('default', far)]).toEqual([far, null, null]);
  }
  expect([
    await make(member, `now() + interval '2 months'`),
    await make('default', `now() + interval '20 months'`),
  ]).toEqual([named, named]);
});

/** How the session of a superuser comes to run what a role has made: as that role, or with its rights. */
const ways: Readonly<Record<string, { readonly made: string; readonly run: string }>> = {
  'the function of an index, by analyze': {
    made: 'create table HOME.t (k int); create index on HOME.t (HOME.act(k)); insert into HOME.t values (1), (2)',
    run: 'analyze HOME.t',
  },
  'the same, by vacuum': {
    made: 'create table HOME.t (k int); create index on HOME.t (HOME.act(k)); insert into HOME.t values (1), (2)',
    run: 'vacuum analyze HOME.t',
  },
  'the query of a materialized view': {
    made: 'create materialized view HOME.m as select HOME.act(1)',
    run: 'refresh materialized view HOME.m',
  },
  'a function with its owner’s rights': {
    made: 'alter function HOME.act security definer',
    run: 'select HOME.act(1)',
  },
  'a trigger with its owner’s rights': {
    made: `create table HOME.t (k int); create function HOME.acting() returns trigger language plpgsql security definer
             as $$ begin perform HOME.act(1); return new; end $$;
           create trigger acting before insert on HOME.t for each row execute function HOME.acting()`,
    run: 'insert into HOME.t values (1)',
  },
};

/** What the call gives where a superuser's session runs it in this way: nothing, or the code of its error. */
async function onBehalf(way: string, role: string, call: string): Promise<string | undefined> {
  const { made, run } = ways[way]!;
  await client.query(
    `set session authorization ${role};
     create function ${role}.act(k int) returns int language plpgsql immutable as $act$
       begin if session_user <> '${role}' then perform ${call}; end if; return k; end $act$;
     ${made.replaceAll('HOME', role)}`,
  );
  await client.query('reset session authorization');
  try {
    await client.query(run.replaceAll('HOME', role));
    return undefined;
  } catch (error) {
    return (error as { code: string }).code;
  } finally {
    await client.query(
      `drop table if exists ${role}.t; drop materialized view if exists ${role}.m; drop function ${role}.act cascade;
       drop function if exists ${role}.acting`,
    );
  }
}

test.each(Object.keys(ways))(
  '%s raises what its owner may, in the owner’s name, in a session of another role',
  async (way) => {
    const raise = (event: string): string => `trunkline.raise_event('invoice', '${way}', '${event}', '{}')`;
    const all = `select event_type, metadata from trunkline.domain_events where aggregate_id = '${way}'`;
    const metadata = { databaseRole: member, databaseLogin: client.user };
    expect(await onBehalf(way, stranger, raise('Made'))).toBe('42501');
    expect(await onBehalf(way, member, raise('Paid'))).toBe('42501');
    expect((await client.query(all)).rows).toEqual([]);
    expect(await onBehalf(way, member, raise('Made'))).toBe(undefined);
    const { rows } = await client.query(all);
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows) expect(row).toEqual({ event_type: 'Made', metadata });
  },
);

test('make_partition asks the role in effect, too', async () => {
  const count = async (): Promise<number> =>
    (await client.query(`select from pg_inherits where inhparent = 'trunkline.domain_events'::regclass`)).rowCount!;
  const before = await count();
  const right = `on function trunkline.make_partition`;
  await client.query(`revoke execute ${right} from ${stranger}`);
  for (const way of Object.keys(ways)) {
    expect(await onBehalf(way, stranger, `trunkline.make_partition(now() + interval '3 months')`)).toBe('42501');
  }
  await client.query(`grant execute ${right} to ${stranger}`);
  expect(await count()).toBe(before);
});

test('`set role` takes on the rights of that role and leaves one’s own; the session’s role is noted, by the server alone', async () => {
  const forged = `'{"databaseLogin": "x", "databaseRole": "y", "source": "s"}'`;
  const raise = `trunkline.raise_event('invoice', 'roles', 'Made', '{}', ${forged})`;
  await client.query(`grant execute on function trunkline.raise_event to ${group}`);
  await client.query(`set session authorization ${member}; select ${raise}; set role ${group}; select ${raise}`);
  await client.query('reset role; reset session authorization');
  await client.query(`set role ${stranger}`);
  expect((await errorOf(client.query(`select ${raise}`))).code).toBe('42501');
  await client.query('reset role');
  const { rows } = await client.query(
    `select metadata from trunkline.domain_events where aggregate_id = 'roles' order by version`,
  );
  expect(rows.map(({ metadata }) => metadata)).toEqual([
    { databaseRole: member, source: 's' },
    { databaseRole: group, databaseLogin: member, source: 's' },
  ]);
});

test('a superuser counts by its own name: no row of a group, nor the owner’s exemption, is its', async () => {
  const raise = `trunkline.raise_event('invoice', 'by admin', 'Made', '{}')`;
  expect(await as(admin, raise)).toBe('42501');
  await client.query(`insert into trunkline.raise_rights values ('${admin}', 'invoice', 'Made')`);
  expect(await as(admin, raise)).toBe(1);
});

test('what stands behind the functions takes no other role’s name, and asks for the right to execute them', async () => {
  const columns = "'ping', 'a', 'Made', '{}'";
  const into = (rest: string, values: string): string =>
    `insert into trunkline.raise_intake (aggregate_type, aggregate_id, event_type, data${rest}) values (${columns}${values})`;
  const code = async (role: string, sql: string): Promise<string> => {
    await client.query(`set session authorization ${role}`);
    const { code } = await errorOf(client.query(sql).then(() => Promise.reject({ code: 'done' })));
    await client.query('reset session authorization');
    return code;
  };
  expect(await code(stranger, into(', caller', `, '${member}'`))).toBe('42501');
  // Where every right that can be granted by mistake has been, the role is still the one in effect.
  await client.query(
    `grant all on all tables in schema trunkline to ${group}; grant all on all functions in schema trunkline to ${stranger};
     revoke execute on function trunkline.raise_event from ${group}`,
  );
  expect(await code(group, into(', caller', `, '${member}'`))).toBe('42501');
  await client.query(
    `grant select, insert on trunkline.raise_intake, trunkline.save_intake, trunkline.month_intake to ${stranger}`,
  );
  expect(await code(stranger, into(', caller', `, '${member}'`))).toBe('done');
  const { rows } = await client.query(
    `select distinct metadata from trunkline.domain_events where aggregate_type = 'ping' and aggregate_id = 'a'`,
  );
  expect(rows).toEqual([{ metadata: { databaseRole: stranger } }]);
  // The triggers' functions, on a table whose rows say who has called.
  for (const [call, intake] of [
    ['raise_for_caller', 'raise_intake'],
    ['save_for_caller', 'save_intake'],
    ['make_partition_for_caller', 'month_intake'],
  ]) {
    const own = `${stranger}.${intake}`;
    await client.query(
      `set session authorization ${stranger}; create table ${own} as table trunkline.${intake};
       create trigger t before insert on ${own} for each row execute function trunkline.${call}()`,
    );
    expect(await code(stranger, `insert into ${own} (caller) values ('${client.user}')`)).toBe('42501');
  }
});
