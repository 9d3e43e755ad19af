// A commit of what handlers keep whose statements take longer than they may comes in smaller ones; what holds one up for good
// is seen in the log and in the status. Statements that are too large, or of one key, end as they do when time is up.
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { PostgresTables } from '../../src/adapters/postgres/handlers/tables.ts';
import { checkpointTable } from '../../src/handler-state/checkpoint.ts';
import type { Change } from '../../src/handler-state/handler-state-store.ts';
import { postgres } from '../../src/index.ts';
import { administer, migratedDatabase } from '../postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, startSmall as startRuntime, until } from '../runtime/scratch.ts';

let url: string;

beforeAll(async () => {
  url = await migratedDatabase();
});

/** Ends statements that touch more than 20 rows of a table, or one that holds up every statement. */
async function slow(table: string, column: string): Promise<void> {
  await administer(
    url,
    `create or replace function trunkline.too_long_${table}() returns trigger language plpgsql as $$
     begin
       if (select count(*) > 20 or bool_or(encode(${column}, 'escape') = 'stuck') from touched) then
         raise exception using errcode = '57014', message = 'canceling statement due to statement timeout';
       end if;
       return null;
     end $$;
     create trigger too_long_in after insert on trunkline.${table} referencing new table as touched
       for each statement execute function trunkline.too_long_${table}();
     create trigger too_long_out after delete on trunkline.${table} referencing old table as touched
       for each statement execute function trunkline.too_long_${table}()`,
  );
}

const quick = (table: string): Promise<unknown> =>
  administer(
    url,
    `drop trigger if exists too_long_in on trunkline.${table}; drop trigger if exists too_long_out on trunkline.${table}`,
  );

beforeEach(async () => {
  for (const table of ['handler_entries', 'event_handler_positions']) await quick(table);
});

const entry = (key: string, json: string | undefined): Change => ({ table: 'effects:seen', key, json });
const position = (key: string, json?: string): Change => ({ table: checkpointTable, key, json });
const low = (at: number): string => JSON.stringify({ low: at, done: [], updatedAt: '2026-01-01T00:00:00Z' });
const names = Array.from({ length: 100 }, (_, i) => `k${i}`);

test('entries and checkpoints, new and removed, come in as many statements as it takes', async () => {
  const tables = new PostgresTables(postgres({ connectionString: url }).settings, 'a-log', 1);
  await tables.range('effects:seen', {}); // no session begins where there are triggers of others
  await slow('handler_entries', 'key');
  await slow('event_handler_positions', "convert_to(handler_name, 'UTF8')");
  const commit = (changes: Change[]): Promise<void> => tables.commit(changes, () => expect.unreachable());
  await commit([...names.map((name) => entry(name, '1')), ...names.map((name) => position(name, low(7)))]);
  expect(await tables.range('effects:seen', {})).toHaveLength(100);
  expect(await tables.range(checkpointTable, {})).toHaveLength(100);
  await commit([...names.map((name) => entry(name, undefined)), ...names.map((name) => position(name))]);
  expect(await tables.range('effects:seen', {})).toEqual([]);
  expect(await tables.range(checkpointTable, {})).toEqual([]);
  await tables.close();
});

test('an entry that takes too long alone is named, and nothing of its commit is kept', async () => {
  const tables = new PostgresTables(postgres({ connectionString: url }).settings, 'another-log', 1);
  await tables.range('effects:seen', {});
  await slow('handler_entries', 'key');
  const changes = [
    ...names.slice(0, 9).map((name) => entry(name, '1')),
    entry('stuck', '[1,2]'),
    position('a', low(3)),
  ];
  const error = await errorOf(tables.commit(changes, () => expect.unreachable()));
  expect(error).toMatchObject({ code: 'StoreTooSlow', details: { what: "entry 'effects:seen/stuck' (5 characters)" } });
  expect(await tables.range('effects:seen', {})).toEqual([]);
  expect(await tables.range(checkpointTable, {})).toEqual([]);
  await tables.close();
});

test('while nothing can be kept, log and status say why; then it goes on', async () => {
  const logged: unknown[] = [];
  const ignored = (): void => {};
  const logger = {
    debug: ignored,
    info: ignored,
    warn: ignored,
    error: (fields: unknown) => logged.push((fields as { err: unknown }).err),
  };
  const runtime = await startRuntime({ store: postgres({ connectionString: url }), logger });
  let key = 'first'; // opens the session: none begins where there are triggers of others
  const subscription = runtime.subscribe({
    name: 'seen',
    handle: (_, { tx }) => tx.put('seen', key, 1),
  });
  await subscription.caughtUpTo(await runtime.ref(Counter, 'a').add(1));
  await slow('handler_entries', 'key');
  key = 'stuck'; // a new row: a trigger of insertions sees no row that is there already
  const receipt = await runtime.ref(Counter, 'a').add(1);
  await until(
    () => subscription.status().lastError,
    (error) => error?.includes('effects:seen/stuck') === true,
  );
  expect(logged).toContainEqual(expect.objectContaining({ code: 'StoreTooSlow' }));
  await quick('handler_entries');
  await until(
    () => subscription.status().lastError,
    (error) => error === undefined,
  );
  await subscription.caughtUpTo(receipt);
  const kept = "select from trunkline.handler_entries where convert_from(key, 'UTF8') = 'stuck'";
  expect(await administer(url, kept)).toHaveLength(1);
});
