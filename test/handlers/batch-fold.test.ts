// What the folding of one batch sends, and when: on a table of a real server, through a client that notes each statement.
import type pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { foldBatch } from '../../src/adapters/postgres/handlers/batch-fold.ts';
import { KnownRows } from '../../src/adapters/postgres/handlers/known-rows.ts';
import { RowTable } from '../../src/adapters/postgres/handlers/row-table.ts';
import { openClient } from '../../src/adapters/postgres/session/server-session.ts';
import { defineProjection, type ProjectionDefinition, postgres, type StoredEvent } from '../../src/index.ts';
import { administer } from '../postgres.ts';
import { errorOf } from '../runtime/scratch.ts';
import { databaseUrl } from './stores.ts';

interface Total {
  total: number;
}

let url: string;
let client: pg.Client;
let table: RowTable<Total>;
let written: string[][];
let inProgress: number;
let noting: Pick<pg.ClientBase, 'query'>;

beforeEach(async () => {
  url = await databaseUrl();
  await administer(
    url,
    'create table if not exists folded (key text primary key, total int not null); truncate folded',
  );
  client = await openClient(postgres({ connectionString: url }).settings.connection, {
    name: 'test',
    timeoutMs: 10_000,
    isUsers: false,
  });
  table = await RowTable.find<Total>(client, { table: 'public.folded' }, () => ({ total: 0 }));
  written = [];
  inProgress = 0;
  noting = {
    query: async (...asked: [string, unknown[]]) => {
      inProgress++;
      if (String(asked[0]).startsWith('insert')) written.push(asked[1][0] as string[]);
      return (client.query as (...asked: unknown[]) => Promise<unknown>)(...asked).finally(() => inProgress--);
    },
  } as never;
});

afterEach(() => client.end());

const adding = (apply: ProjectionDefinition<Total>['apply']): ProjectionDefinition<Total> =>
  defineProjection<Total>({ name: 'folded', init: () => ({ total: 0 }), apply });

const sums = adding((row) => ({ total: row.total + 1 }));

/** Events of aggregates 0 to `keys - 1`, round and round; one of them comes last again. */
const eventsOf = (count: number, keys: number): StoredEvent[] =>
  Array.from({ length: count }, (_, i) => ({ aggregateId: `a${i === count - 1 ? 0 : i % keys}` }) as StoredEvent);

test('a large batch writes its rows in parts, each row once, as it is in the end', async () => {
  const { changed } = await foldBatch(sums, table, Promise.resolve(noting), eventsOf(2_000, 1_500), new KnownRows(1));
  expect(written.length).toBeGreaterThan(1);
  const keys = written.flat();
  expect(new Set(keys).size).toBe(keys.length);
  expect(keys.at(-1)).toBe('a0');
  const rows = await administer(url, 'select key, total from folded');
  expect(new Map(rows.map(({ key, total }) => [key, { total }]))).toEqual(changed);
  expect(changed.size).toBe(1_500);
  expect([changed.get('a0'), changed.get('a498'), changed.get('a1000')]).toEqual([
    { total: 3 },
    { total: 2 },
    { total: 1 },
  ]);
});

test('a batch whose rows go on changing writes them by one statement', async () => {
  await foldBatch(sums, table, Promise.resolve(noting), eventsOf(2_000, 10), new KnownRows(1));
  expect(written).toHaveLength(1);
});

test('events are folded while the transaction begins, and what its beginning fails by counts for more than what apply throws', async () => {
  const known = new KnownRows<Total>(10);
  known.giveBack(known.take(), new Map([['a0', { total: 1 }]]), []);
  const opening = Promise.withResolvers<typeof noting>();
  const opened = adding((row) => {
    opening.resolve(noting);
    return { total: row.total + 1 };
  });
  const { changed } = await foldBatch(opened, table, opening.promise, eventsOf(2, 1), known);
  expect(changed.get('a0')).toEqual({ total: 3 });
  const failing = Promise.withResolvers<typeof noting>();
  const broken = adding(() => {
    failing.reject(new Error('away'));
    throw new Error('broken');
  });
  expect(await errorOf(foldBatch(broken, table, failing.promise, eventsOf(2, 1), known))).toMatchObject({
    message: 'away',
  });
});

test('where apply throws while rows are written, the folding has failed when they are', async () => {
  let calls = 0;
  const broken = adding((row) => {
    if (++calls === 900) throw new Error(`broken, ${inProgress} in progress`);
    return row;
  });
  const folding = foldBatch(broken, table, Promise.resolve(noting), eventsOf(1_000, 1_000), new KnownRows(1));
  expect(await errorOf(folding)).toMatchObject({ message: 'broken, 1 in progress' });
  expect(inProgress).toBe(0);
});
