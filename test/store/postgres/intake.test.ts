// What stands behind raise_event, save_event and make_partition: views that every role may insert into. By whatever statement a role does, it
// does so in its own name, and as far as its own rights go; nothing can be read there, and no trigger of others gives another name.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { migratedDatabase } from '../../postgres.ts';

const [member, stranger] = ['member', 'stranger'].map((role) => `intake_${role}_${process.pid}`) as [string, string];
let client: pg.Client;

beforeAll(async () => {
  client = new pg.Client({ connectionString: await migratedDatabase() });
  await client.connect();
  await client.query(
    `create role ${member}; create role ${stranger}; create schema ${stranger} authorization ${stranger};
     grant usage on schema trunkline to ${member}, ${stranger};
     grant execute on function trunkline.raise_event, trunkline.save_event to ${member}, ${stranger};
     grant execute on function trunkline.make_partition to ${member};
     grant update on trunkline.flush_checkpoints to ${member}, ${stranger};
     insert into trunkline.raise_rights values ('${member}', 'invoice', 'Made')`,
  );
});
afterAll(async () => {
  await client.query(`drop owned by ${member}, ${stranger} cascade; drop role ${member}, ${stranger}`);
  await client.end();
});

/** The code of the error that the role gets in a transaction of its own; undefined: none, and what it did stays. */
async function as(role: string, sql: string | (() => Promise<unknown>), given = 'select'): Promise<string | undefined> {
  await client.query(`begin; ${given}; set local session authorization ${role}`);
  const code = await (typeof sql === 'string' ? client.query(sql) : sql()).then(
    () => undefined,
    (error: { code: string }) => error.code,
  );
  await client.query(code === undefined ? 'commit' : 'rollback');
  await client.query('reset session authorization');
  await client.query('discard all');
  return code;
}

const raised = async (id: string): Promise<unknown[]> =>
  (await client.query('select metadata from trunkline.domain_events where aggregate_id = $1', [id])).rows;

/** Statements by which a role would raise without the function, and how many events each makes for a role that may. */
const columns = '(aggregate_type, aggregate_id, event_type, data)';
const row = (id: string): string => `('invoice', '${id}', 'Made', '{}'::jsonb)`;
const doors: Readonly<Record<string, [sql: (id: string) => string, events: number]>> = {
  insert: [(id) => `insert into trunkline.raise_intake ${columns} values ${row(id)} returning version`, 1],
  'insert … on conflict': [
    (id) => `insert into trunkline.raise_intake ${columns} values ${row(id)} on conflict do nothing returning version`,
    1,
  ],
  'insert … select': [
    (id) =>
      `insert into trunkline.raise_intake ${columns} select 'invoice', '${id}', 'Made', '{}' from generate_series(1, 3)`,
    3,
  ],
  'insert in a common table expression': [
    (id) =>
      `with made as (insert into trunkline.raise_intake ${columns} values ${row(id)} returning version) table made`,
    1,
  ],
  'a prepared statement': [
    (id) => `prepare made as insert into trunkline.raise_intake ${columns} values ${row(id)}; execute made`,
    1,
  ],
  'a view on the view': [
    (id) =>
      `create temporary view mine as select aggregate_type, aggregate_id, event_type, data from trunkline.raise_intake;
       insert into mine values ${row(id)}; drop view mine`,
    1,
  ],
  'a rule of a view of its own': [
    (id) =>
      `create temporary view mine as select 1 as k; create rule r as on insert to mine do instead
         insert into trunkline.raise_intake ${columns} values ${row(id)};
       insert into mine values (1); drop view mine`,
    1,
  ],
  'a trigger of a table of its own': [
    (id) =>
      `create temporary table mine (k int); create function pg_temp.raising() returns trigger language plpgsql as $$
         begin insert into trunkline.raise_intake ${columns} values ${row(id)}; return new; end $$;
       create trigger t before insert on mine for each row execute function pg_temp.raising();
       insert into mine values (1); drop table mine; drop function pg_temp.raising`,
    1,
  ],
};

test.each(Object.entries(doors))('%s asks for the right of the role in effect', async (door, [sql, events]) => {
  const given = `grant select (aggregate_type, aggregate_id, event_type, data) on trunkline.raise_intake to ${member}, ${stranger}`;
  expect([await as(stranger, sql(door), given), await raised(door)]).toEqual(['42501', []]);
  expect(await as(member, sql(door), given)).toBe(undefined);
  expect(await raised(door)).toEqual(Array(events).fill({ metadata: { databaseRole: member } }));
});

test('COPY does, too', async () => {
  const copy = (): Promise<void> =>
    pipeline(
      Readable.from(['invoice\tcopied\tMade\t{}\n']),
      client.query(copyFrom(`copy trunkline.raise_intake ${columns} from stdin`)),
    );
  expect([await as(stranger, copy), await raised('copied')]).toEqual(['42501', []]);
  expect([await as(member, copy), await raised('copied')]).toEqual([
    undefined,
    [{ metadata: { databaseRole: member } }],
  ]);
});

test('and MERGE, where the server has that for views', async () => {
  const { rows } = await client.query(`select current_setting('server_version_num')::int >= 170000 as has`);
  const merge = `merge into trunkline.raise_intake using (values (1)) v (k) on false
    when not matched then insert ${columns} values ${row('merged')}`;
  expect([await as(stranger, merge), await as(member, merge)]).toEqual(
    rows[0].has ? ['42501', undefined] : ['0A000', '0A000'],
  );
});

test('a statement that one role has prepared asks for the right of the role that executes it', async () => {
  const both = `prepare made as insert into trunkline.raise_intake ${columns} values ${row('prepared')};
    set local session authorization ${stranger}; execute made`;
  expect([await as(client.user!, both), await raised('prepared')]).toEqual(['42501', []]);
});

test('the view gives nothing to read, and lets nothing be changed or locked', async () => {
  const refused = [
    'select caller from trunkline.raise_intake',
    'update trunkline.raise_intake set version = 1',
    'delete from trunkline.raise_intake',
    'truncate trunkline.raise_intake',
    'lock table trunkline.raise_intake in row exclusive mode',
    'select version from trunkline.raise_intake for update',
    'create rule r as on insert to trunkline.raise_intake do instead nothing',
    'create trigger t instead of insert on trunkline.raise_intake for each row execute function trunkline.name_caller()',
    `insert into trunkline.raise_intake ${columns} values ${row('read')} returning caller`,
    `insert into trunkline.raise_intake as i ${columns} values ${row('read')} returning i`,
    'set session_replication_role = replica',
  ];
  for (const sql of refused) {
    expect([sql, await as(member, sql)]).toEqual([sql, expect.stringMatching(/^(42501|42809|55000)$/)]);
  }
  expect((await client.query('select version from trunkline.raise_intake where version is null or true')).rows).toEqual(
    [],
  );
});

/** What the right `trigger` on the views is enough for, beside `execute`. FORGE names another role. */
const between: Readonly<Record<string, string>> = {
  'between the steps': 'create trigger step_1a instead of insert on VIEW for each row execute function FORGE',
  'behind the first': 'create trigger step_10 instead of insert on VIEW for each row execute function FORGE',
  'in the place of the first':
    'create or replace trigger step_1 instead of insert on VIEW for each row execute function FORGE',
  'in its place, and of its function, once a statement':
    'create or replace trigger step_1 before insert on VIEW for each statement execute function trunkline.name_caller()',
};

test.each(Object.entries(between))('a trigger %s names no other role', async (_, make) => {
  const event = `('invoice', 'forged', 'Made', '{}', '${member}')`;
  const calls = {
    raise_intake: `insert into trunkline.raise_intake ${columns.replace(')', ', caller)')} values ${event}`,
    save_intake: `insert into trunkline.save_intake (ids, aggregate_types, aggregate_ids, event_types, schema_versions, times, data, caller)
      values (array[gen_random_uuid()], '{invoice}', '{forged}', '{Made}', '{1}', array[now()], array['{}'::jsonb], '${client.user}')`,
    month_intake: `insert into trunkline.month_intake (moment, caller) values (now() + interval '20 months', '${member}')`,
  };
  for (const [view, call] of Object.entries(calls)) {
    const sql = `create function ${stranger}.forge() returns trigger language plpgsql as $$
        begin new.caller := '${member}'; return new; end $$;
      ${make.replace('VIEW', `trunkline.${view}`).replace('FORGE', `${stranger}.forge()`)}; ${call}`;
    expect([view, await as(stranger, sql, `grant trigger, insert on trunkline.${view} to ${stranger}`)]).toEqual([
      view,
      '55000',
    ]);
  }
  expect(await raised('forged')).toEqual([]);
});

test('nor does no trigger: an event without a role is refused, whatever everybody may raise', async () => {
  const sql = `drop trigger step_1 on trunkline.raise_intake; insert into trunkline.raise_rights values ('*', 'invoice', '*');
    insert into trunkline.raise_intake ${columns} values ${row('nameless')}`;
  expect([await as(client.user!, sql), await raised('nameless')]).toEqual(['42501', []]);
});
