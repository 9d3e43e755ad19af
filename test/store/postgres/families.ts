// Every family of statements of ours at once, for tests in which sessions have settings, or a search_path, of others.
import pg from 'pg';
import { expect } from 'vitest';
import { readArchive } from '../../../src/adapters/postgres/partitions/archive-file.ts';
import { archiveMonth, dropMonth } from '../../../src/adapters/postgres/partitions/month-archive.ts';
import { keepPartitions } from '../../../src/adapters/postgres/schema/months.ts';
import { listPartitions } from '../../../src/adapters/postgres/schema/partition-list.ts';
import { storeStatus } from '../../../src/adapters/postgres/schema/status.ts';
import { openClient } from '../../../src/adapters/postgres/session/server-session.ts';
import { defineProjection, migrate, postgres, type Runtime, type RuntimeOptions } from '../../../src/index.ts';
import { tailEvents } from '../../../src/postgres.ts';
import { administer } from '../../postgres.ts';
import { Counter } from '../../runtime/aggregates.ts';
import { scratchFolder, startRuntime, until } from '../../runtime/scratch.ts';

/**
 * SQL that makes each operator of the server again in this schema, and more for types that the server compares by conversion;
 * all of them only raise an error.
 */
export const operatorsIn = (schema: string): string => `
  do $do$
  declare
    made record;
    types text;
  begin
    for made in
      select oprname as name, nullif(oprleft, 0)::regtype as left_type, oprright::regtype as right_type, oprresult::regtype as result
      from pg_operator where oprnamespace = 'pg_catalog'::regnamespace and oprcode <> 0
      union all
      select sign, l::regtype, r::regtype, 'boolean'::regtype from unnest('{=,<>,<,>,<=,>=}'::text[]) sign,
        (values ('oid', 'regclass'), ('regclass', 'oid'), ('varchar', 'varchar'), ('varchar', 'text'), ('text', 'varchar'),
          ('name', 'varchar'), ('int2', '"char"'), ('oid', 'int4'), ('int4', 'oid'), ('jsonb', 'text')) pair (l, r)
      union all select '->>', 'jsonb'::regtype, 'jsonb'::regtype, 'text'::regtype
    loop
      types := concat_ws(', ', made.left_type, made.right_type);
      begin
        execute format('create function ${schema}.%I(%s) returns %s language plpgsql as $trap$ begin
          raise exception using message = ''the operator of a stranger has run: %s''; end $trap$',
          'trap ' || made.name, types, made.result, made.name || ' ' || types);
        execute format('create operator ${schema}.%s (%s rightarg = %s, function = ${schema}.%I)', made.name,
          'leftarg = ' || made.left_type || ',', made.right_type, 'trap ' || made.name);
      exception when others then
        null; -- types that functions in SQL may not have
      end;
    end loop;
  end $do$;`;

/** `url`: as `role`, which owns the schema `reports`; `owner`: as an administrator, with other settings. */
export async function runEveryFamily(url: string, owner: string, role: string): Promise<void> {
  const connection = url;
  const migrated = await Promise.all([migrate({ connection }), migrate({ connection }), migrate({ connection })]);
  expect(new Set(migrated.map(({ version }) => version)).size).toBe(1);
  await administer(
    owner,
    `create table reports.days (day date primary key, events int); alter table reports.days owner to ${role}`,
  );
  const logged: string[] = [];
  const logger = {
    debug() {},
    info() {},
    warn: (details: object, message: string) => void logged.push(`${message} ${JSON.stringify(details)}`),
    error: (details: object, message: string) => void logged.push(`${message} ${JSON.stringify(details)}`),
  };
  const start = (options: Partial<RuntimeOptions> = {}): Promise<Runtime> =>
    startRuntime({ aggregates: [Counter], shards: 1, logger, store: postgres({ connectionString: url }), ...options });
  const dataDir = scratchFolder();
  let runtime = await start({ dataDir });

  // Handlers: effects, transactions, dead letters, projections into a table.
  const handled: number[] = [];
  const sums: string[] = [];
  runtime.subscribe({
    name: 'effects',
    events: ['Added'],
    retry: { attempts: 1 },
    handle: (event, { tx }) => {
      if (event.data.amount === 7) throw new Error('a letter');
      tx.put('seen', event.id, { at: event.occurredAt.toISOString() });
      handled.push(event.version);
    },
  });
  runtime.subscribe({
    name: 'transactions',
    events: ['Added'],
    handle: async (_, { tx }) => {
      const client = await tx.client();
      await new Promise((resolve) => setTimeout(resolve, 5)); // idle in its transaction
      const { rows } = (await client.query({
        text: `select '2026-11-26T00:00:00Z'::timestamptz::text as at`,
        values: [],
      })) as {
        rows: { at: string }[];
      };
      sums.push(rows[0]!.at);
    },
  });
  const days = runtime.project(
    defineProjection<{ events: number }>({
      name: 'days',
      events: ['Added'],
      into: { table: 'reports.days', keyColumn: 'day', cachedRows: 0 },
      key: () => '2026-11-26',
      init: () => ({ events: 0 }),
      apply: ({ events }) => ({ events: events + 1 }),
    }),
  );
  for (const amount of [1, 2, 7]) await runtime.ref(Counter, "o'brien\\").add(amount);
  const receipt = await runtime.ref(Counter, 'ü日本😀').add(1);
  await receipt.reached('stored');
  await days.caughtUpTo(receipt);
  expect(await days.get('2026-11-26')).toEqual({ events: 4 });

  // Entities: the log's door, and a transaction of the user's, relayed.
  const occurredAt = new Date('2011-05-01T00:00:00.123Z');
  const stock = { aggregateType: 'stock', type: 'Sold', data: { n: 1e21 } };
  await runtime.store.save([{ ...stock, aggregateId: 'saved', occurredAt }], { expectedVersion: 0 });
  const users = new pg.Client({ connectionString: owner });
  await users.connect();
  await users.query(`set datestyle to 'SQL, DMY'; set timezone to 'Asia/Kolkata'; begin`);
  await runtime.store.saveWithTx(users, [{ ...stock, aggregateId: 'relayed', occurredAt }]);
  await users.query(
    `set search_path to trunkline; insert into trunkline.raise_rights values (current_user, '*');
     select trunkline.raise_event('stock', 'raised', 'Sold', '{"n": 1}')`,
  );
  await users.query('commit');
  await users.end();
  await until(
    () => administer(owner, 'select from trunkline.outbox'),
    (rows) => rows.length === 0,
  );

  // Reads, and loads by another machine.
  const times = async (id: string): Promise<string[]> =>
    (await runtime.store.getByAggregate('stock', id)).map((event) => event.occurredAt.toISOString());
  expect(await times('saved')).toEqual([occurredAt.toISOString()]);
  expect(await times('relayed')).toEqual([occurredAt.toISOString()]);
  const all: string[] = [];
  for await (const event of runtime.store.query({ until: new Date(8.64e15) })) all.push(event.type);
  expect(all).toHaveLength(7);
  expect(await runtime.deadLetters.list()).toHaveLength(1);
  expect(handled.length).toBe(3);
  await until(
    () => sums,
    (each) => each.length === 4,
  );
  expect(new Set(sums)).toEqual(new Set(['2026-11-26 00:00:00+00']));
  const another = await start();
  expect((await another.ref(Counter, "o'brien\\").add(1)).version).toBe(4);
  await another.close();
  await until(
    () => runtime.status().stored,
    (stored) => stored === runtime.status().written,
  );
  await runtime.close();
  runtime = await start({ dataDir });
  expect((await runtime.ref(Counter, 'ü日本😀').add(1)).version).toBe(2);
  await runtime.close();

  // Months, archives, status, a tail.
  const client = await openClient({ connectionString: url }, { name: 'test', timeoutMs: 20_000 });
  await keepPartitions(client, 'trunkline', 1);
  const months = (await listPartitions(client, 'trunkline')).flatMap(({ month }) => month ?? []);
  expect(months).toContain('2011-05');
  const folder = scratchFolder();
  const { file } = await archiveMonth(client, 'trunkline', '2011-05', folder);
  const archived: string[] = [];
  for await (const event of readArchive(file)) archived.push(event.occurredAt.toISOString());
  expect(archived).toEqual([occurredAt.toISOString(), occurredAt.toISOString()]);
  await dropMonth(client, 'trunkline', '2011-05', folder, true);
  const { checkpoints } = await storeStatus(client, 'trunkline');
  expect(checkpoints.every(({ updatedAt }) => Date.now() - updatedAt.getTime() < 600_000)).toBe(true);
  await client.end();
  const tailed: string[] = [];
  const stop = new AbortController();
  const tail = tailEvents({ connection: url, signal: stop.signal, pollMs: 1 });
  for await (const { event } of tail) {
    tailed.push(event.type);
    if (tailed.length === 7) break;
  }
  expect(tailed).toHaveLength(7);
  expect(logged.filter((line) => !line.includes('"handler":"effects"'))).toEqual([]);
}
