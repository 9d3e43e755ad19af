// What each function of ours leaves locked where a role that does not own the schema has called it, and its transaction stays open: no
// table so that flush, relay, upkeep or readers of others would wait, but for make_partition, which only services may use.
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { migratedDatabase } from '../../postgres.ts';
import { earlierSaverGrants, saverGrants } from './saver.ts';

const [saver, earlier, raiser, maker, service] = ['saver', 'earlier', 'raiser', 'maker', 'service'].map(
  (role) => `left_${role}_${process.pid}`,
) as [string, string, string, string, string];
let client: pg.Client;
let observer: pg.Client;

beforeAll(async () => {
  const connectionString = await migratedDatabase();
  client = new pg.Client({ connectionString });
  observer = new pg.Client({ connectionString });
  await client.connect();
  await observer.connect();
  await client.query(
    `create role ${saver}; create role ${earlier}; ${earlierSaverGrants(earlier)}; create role ${raiser}; create role ${maker}; create role ${service};
     ${saverGrants(saver)}; grant usage on schema trunkline to ${raiser}, ${maker}, ${service};
     grant execute on function trunkline.raise_event to ${raiser};
     grant execute on function trunkline.make_partition to ${maker}, ${service};
     grant update on trunkline.flush_checkpoints to ${service}; insert into trunkline.raise_rights values ('${raiser}', '*')`,
  );
});
afterAll(async () => {
  const roles = [saver, earlier, raiser, maker, service].join();
  await client.query(`drop owned by ${roles} cascade; drop role ${roles}`);
  await client.end();
  await observer.end();
});

/** In a transaction that is undone: what another session finds locked before that, as `table: mode`; reading locks no table. */
async function leftBy(role: string, call: string): Promise<{ code?: string; locks: string[]; idleMs: number }> {
  await client.query(`begin; set local session authorization ${role}; savepoint called`);
  const code = await client.query(`select ${call}`).then(
    () => undefined,
    (error: { code: string }) => error.code,
  );
  if (code !== undefined) await client.query('rollback to called');
  const { rows: settings } = await client.query('show idle_in_transaction_session_timeout');
  const [{ pid }] = (await client.query('select pg_backend_pid() as pid')).rows;
  const { rows } = await observer.query(
    `select c.relname || ': ' || l.mode as lock from pg_locks l join pg_class c on c.oid = l.relation
     where l.pid = $1 and l.granted and c.relkind in ('r', 'p') and c.relnamespace = 'trunkline'::regnamespace and l.mode <> 'AccessShareLock'`,
    [pid],
  );
  await client.query('rollback');
  const idleMs = Number.parseFloat(settings[0].idle_in_transaction_session_timeout) * 1000;
  return { ...(code !== undefined && { code }), locks: [...new Set(rows.map(({ lock }) => lock))].sort(), idleMs };
}

const event = (id: string): string =>
  `gen_random_uuid(), 'invoice', '${id}', 'Made', 1, now(), '{}'::jsonb, null::jsonb, null::int`;
const lists = `array[gen_random_uuid()], array['invoice'], array['several'], array['Made'], array[1], array[now()], array['{}'::jsonb],
  array[null::jsonb], array[null::int]`;
const appended = ['aggregates: RowExclusiveLock', 'domain_events: RowExclusiveLock'];
const rest = ['domain_events_default: RowExclusiveLock', 'outbox: RowExclusiveLock'];
const inRows =
  'rows alone: new ones, and the head of the aggregate, which a flush with events of it waits for (ADR 37)';
const asTrigger = 'the server runs it as a trigger alone';
const reads = 'it reads, or computes';

interface Left {
  readonly role: string;
  readonly call: string;
  readonly locks?: readonly string[];
  readonly code?: string;
  readonly reason: string;
}

const trigger = (name: string): Left => ({ role: raiser, call: `${name}()`, code: '0A000', reason: asTrigger });
const writes = (role: string, call: string): Left => ({ role, call, locks: [...appended, ...rest], reason: inRows });
const quiet = (call: string, code?: string): Left => ({
  ...{ role: saver, call, reason: reads },
  ...(code !== undefined && { code }),
});

const functions: Readonly<Record<string, Left>> = {
  append_event: writes(saver, `append_event(${event('one')})`),
  append_events: writes(saver, `append_events(${lists})`),
  save_event: writes(saver, `save_event(${event('one')})`),
  save_events: writes(saver, `save_events(${lists})`),
  write_event: writes(earlier, `write_event(${event('one')})`),
  write_events: writes(earlier, `write_events(${lists})`),
  raise_event: {
    ...{ role: raiser, call: "raise_event('invoice', 'raised', 'Made', '{}')", reason: inRows },
    locks: [...appended, ...rest],
  },
  raise_versioned_event: {
    ...{ role: raiser, call: "raise_versioned_event('invoice', 'raised', 'Made', 2, '{}')", reason: inRows },
    locks: [...appended, ...rest],
  },
  make_partition: {
    ...{ role: maker, call: "make_partition(now() + interval '1 month')", code: '42501' },
    reason: 'none without the right to move a checkpoint',
  },
  check_event: quiet("check_event('a', 'b', 'c', '{}', '{}')"),
  check_save: quiet(`check_save('${saver}', 'invoice', 'Made')`, '42501'), // whom it is asked for reads no raise_rights
  event_fault: quiet("event_fault('a', 'b', 'c', 1, now(), '{}', '{}', 9, 9)"),
  has_rights_of: quiet("has_rights_of('public', 'other')"),
  month_bounds: quiet('month_bounds()'),
  month_state: quiet('month_state(now())'),
  names_caller: quiet("names_caller('trunkline.raise_intake'::regclass)"),
  new_event_id: quiet('new_event_id()'),
  partition_ranges: quiet('partition_ranges()'),
  refuse_append: {
    role: earlier,
    call: "refuse_append(array['invoice'], array['none'], array[7])",
    code: 'TKCON',
    reason: reads,
  },
  check_event_row: trigger('check_event_row'),
  check_head_row: trigger('check_head_row'),
  name_caller: trigger('name_caller'),
  refuse_number: trigger('refuse_number'),
};

test('every function that a role beside the owner may execute is in the list', async () => {
  const { rows } = await client.query(
    `select p.proname as name from pg_proc p where p.pronamespace = 'trunkline'::regnamespace and exists (
       select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
       where a.privilege_type = 'EXECUTE' and a.grantee <> p.proowner)`,
  );
  expect(rows.map(({ name }) => name).sort()).toEqual(Object.keys(functions).sort());
});

test.each(Object.entries(functions))('%s', async (_, { role, call, locks = [], code, reason }) => {
  const left = await leftBy(role, `trunkline.${call}`);
  expect(left, reason).toEqual({ ...(code !== undefined && { code }), locks: [...locks].sort(), idleMs: 0 });
  for (const lock of left.locks) expect(lock).toMatch(/: Row(Share|Exclusive)Lock$/); // what no statement on rows waits for
});

test('make_partition of a service: no more than the server asks for, and not for as long as the transaction may idle', async () => {
  const made = (locks: string[]): object => ({ locks: [...locks, ...beside].sort(), idleMs: 10_000 });
  // The row of the upkeep, and the default partition by the server's own rule.
  const beside = ['locks: RowExclusiveLock', 'locks: RowShareLock', 'domain_events_default: AccessExclusiveLock'];
  await observer.query('select trunkline.make_partition(now())');
  // A month that has not begun has no readers and no writers.
  expect(await leftBy(service, "trunkline.make_partition(now() + interval '1 month')")).toEqual(
    made(['domain_events: ShareUpdateExclusiveLock']),
  );
  // One that has: beside them, they would pass over events, or fail. The months that are there stay free.
  expect(await leftBy(service, "trunkline.make_partition(now() - interval '1 month')")).toEqual(
    made(['domain_events: AccessExclusiveLock', 'domain_events: ShareUpdateExclusiveLock']),
  );
  expect(await leftBy(service, 'trunkline.make_partition(now())')).toEqual({ locks: [], idleMs: 0 });
});
