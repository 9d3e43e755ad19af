// Following the table from elsewhere: nothing skipped, nothing twice, each aggregate in order, whatever transactions do.
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PostgresAppend } from '../../../src/adapters/postgres/outbox/append.ts';
import { type TailedEvent, type TailOptions, tailEvents } from '../../../src/adapters/postgres/tail/tail.ts';
import { isError } from '../../../src/base/errors.ts';
import { OutboxHints } from '../../../src/entity/outbox-door.ts';
import { Transactions } from '../../../src/entity/transactions.ts';
import { openEventStore, postgres } from '../../../src/index.ts';
import type { NewEvent } from '../../../src/model/event.ts';
import { administer, elsewhere, migratedDatabase } from '../../postgres.ts';

let transactions: Transactions;
let url: string;
const schema = elsewhere;
let open: pg.Client[] = [];

async function connected(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  open.push(client);
  return client;
}

const event = (id: string, n = 0): NewEvent => ({ aggregateType: 'stock', aggregateId: id, type: 'Sold', data: { n } });
/** In the client's transaction, or in one of its own. */
async function append(client: pg.Client, ...events: NewEvent[]): Promise<number[]> {
  const { getTransactionStatus } = client as unknown as { getTransactionStatus(): string | null };
  if (getTransactionStatus.call(client) === 'T') return transactions.append(client, events);
  await client.query('begin');
  const versions = await transactions.append(client, events);
  await client.query('commit');
  return versions;
}
const told = ({ event: { aggregateId, version } }: TailedEvent): string => `${aggregateId}${version}`;

/** Follow until `count` events have come. */
async function take(count: number, options: Partial<TailOptions> = {}): Promise<TailedEvent[]> {
  const taken: TailedEvent[] = [];
  if (count === 0) return taken;
  for await (const tailed of tailEvents({ connection: url, schema, pollMs: 2, ...options })) {
    if (taken.push(tailed) === count) return taken;
  }
  return taken;
}

/** A tail that goes on in the background, and collects. */
function follow(options: Partial<TailOptions> = {}): { seen: string[]; until(count: number): Promise<string[]> } {
  const seen: string[] = [];
  let wake = (): void => {};
  const ended = (async () => {
    for await (const tailed of tailEvents({ connection: url, schema, pollMs: 2, signal: stop.signal, ...options })) {
      seen.push(told(tailed));
      wake();
    }
  })();
  ended.catch(() => {}); // whoever waits for an event is told
  const until = async (count: number): Promise<string[]> => {
    while (seen.length < count) await Promise.race([ended, new Promise<void>((resolve) => (wake = resolve))]);
    return seen;
  };
  return { seen, until };
}

/** The tail has looked at the database after this moment: something committed now has come through. */
let probes = 0;
async function caughtUp(tail: { seen: string[]; until(count: number): Promise<string[]> }): Promise<void> {
  const before = tail.seen.length;
  await append(await connected(), event(`probe-${++probes}-`));
  await tail.until(before + 1);
}

let stop: AbortController;
beforeEach(async () => {
  stop = new AbortController();
  url = await migratedDatabase(schema);
  transactions = new Transactions(new PostgresAppend(schema), new Map(), new OutboxHints());
});
afterEach(async () => {
  stop.abort();
  await Promise.all(open.map((client) => client.end()));
  open = [];
});

describe('late commits', () => {
  test('a transaction that has written first and commits last: neither its events nor the others are skipped', async () => {
    const [early, late] = [await connected(), await connected()];
    const tail = follow();
    await caughtUp(tail);
    await early.query('begin');
    await append(early, event('a'));
    await append(late, event('b'));
    await append(late, event('c'));
    await tail.until(3);
    await early.query('commit');
    expect((await tail.until(4)).slice(1)).toEqual(['b1', 'c1', 'a1']);
  });

  test('a transaction that takes its id early and writes late does not overtake whom it has waited for', async () => {
    const [early, late, third] = [await connected(), await connected(), await connected()];
    const tail = follow();
    await caughtUp(tail);
    await early.query('begin; select pg_current_xact_id()');
    await append(late, event('a'));
    await third.query('begin; select pg_current_xact_id()'); // still open when the first window could end
    await append(early, event('a'));
    await early.query('commit');
    await append(late, event('a'));
    await append(third, event('a'));
    await third.query('commit');
    expect((await tail.until(5)).slice(1)).toEqual(['a1', 'a2', 'a3', 'a4']);
  });

  test('what is rolled back never appears, and holds nobody up afterwards', async () => {
    const [undone, done] = [await connected(), await connected()];
    const tail = follow();
    await undone.query('begin');
    await append(undone, event('a'));
    await append(done, event('b'));
    await undone.query('rollback');
    await append(done, event('c'));
    expect(await tail.until(2)).toEqual(['b1', 'c1']);
  });

  test('a third transaction with a number between those of two writers of one aggregate does not part them', async () => {
    const [second, third, first] = [await connected(), await connected(), await connected()];
    for (const client of [second, third, first]) await client.query('begin; select pg_current_xact_id()');
    const tail = follow();
    await append(first, event('a'));
    await first.query('commit');
    await append(second, event('a'));
    await second.query('commit');
    expect(await tail.until(2)).toEqual(['a1', 'a2']);
    await append(third, event('a'));
    await third.query('commit');
    expect(await tail.until(3)).toEqual(['a1', 'a2', 'a3']);
  });

  test('a long write transaction delays its own events and no others', async () => {
    const [long, other] = [await connected(), await connected()];
    await long.query('begin');
    await append(long, event('a'));
    const tail = follow();
    for (const id of ['b', 'c', 'd']) await append(other, event(id));
    expect(await tail.until(3)).toEqual(['b1', 'c1', 'd1']);
    await long.query('commit');
    expect(await tail.until(4)).toEqual(['b1', 'c1', 'd1', 'a1']);
  });
});

describe('tokens', () => {
  test('from each of them the rest follows, with pages and windows of any size', async () => {
    const client = await connected();
    for (let i = 0; i < 30; i++)
      await append(client, ...Array.from({ length: 1 + (i % 5) }, () => event(`s${i % 4}-`)));
    const { rows } = await client.query(`select count(*)::int as count from ${schema}.domain_events`);
    const all = await take(rows[0].count);
    for (const pageSize of [1, 3, 7, 2000]) {
      const paged = await take(all.length, { pageSize });
      expect(paged.map(told)).toEqual(all.map(told));
      for (let i = 0; i < all.length; i += 7) {
        const rest = await take(all.length - 1 - i, { from: paged[i]!.token, pageSize });
        expect(rest.map(told)).toEqual(all.slice(i + 1).map(told));
      }
    }
  });

  test('of numbers beyond those of JavaScript: each is taken again, and nothing is left out', async () => {
    const client = await connected();
    await client.query(`select setval('${schema}.domain_events_sequence', ${2n ** 53n + 1n})`);
    await client.query(`insert into ${schema}.domain_events
      (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data)
      select gen_random_uuid(), 'stock', 'a', n, 'Sold', 1, now(), '{}' from generate_series(1, 6) n`);
    for (const pageSize of [1, 2, 2000]) {
      const all = await take(6, { pageSize });
      expect(all.map(told)).toEqual(['a1', 'a2', 'a3', 'a4', 'a5', 'a6']);
      for (const [i, { token }] of all.entries()) {
        expect((await take(5 - i, { from: token, pageSize })).map(told)).toEqual(all.slice(i + 1).map(told));
      }
    }
    await using store = await openEventStore(postgres({ connectionString: url, schema }));
    const read: number[] = [];
    for await (const { version } of store.query({ pageSize: 1 })) read.push(version);
    expect(read).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('one that is ahead of the database is refused', async () => {
    const error = await take(1, { from: '1;99999999:99999999:;;0' }).catch((thrown: unknown) => thrown);
    expect(isError(error, 'InvalidOptions')).toBe(true);
  });
});

describe('faults', () => {
  test('a lost connection is told, and nothing is skipped or repeated', async () => {
    const client = await connected();
    const errors: unknown[] = [];
    const tail = follow({ onError: (error) => errors.push(error) });
    for (let i = 1; i <= 5; i++) {
      await append(client, event('a'));
      await tail.until(i);
      await administer(
        url,
        `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'trunkline tail'`,
      );
    }
    await append(client, event('a'));
    expect(await tail.until(6)).toEqual(['a1', 'a2', 'a3', 'a4', 'a5', 'a6']);
    expect(errors.length).toBeGreaterThan(0);
    expect(errors.every((error) => isError(error, 'StoreUnavailable'))).toBe(true);
  });

  test('a schema that is not there: a typed error, at once', async () => {
    const error = await take(1, { schema: 'nowhere' }).catch((thrown: unknown) => thrown);
    expect(isError(error, 'StoreSchemaMissing')).toBe(true);
  });

  test('one that is given up while it waits ends at once, and gives its connection back', async () => {
    const tail = tailEvents({ connection: url, schema, pollMs: 60_000 });
    await append(await connected(), event('a'));
    await tail.next();
    const connections = (): Promise<unknown[]> =>
      administer(url, "select 1 from pg_stat_activity where application_name like '%trunkline tail%'");
    while ((await connections()).length !== 1); // the last test's has gone
    const pending = tail.next();
    expect(await tail.return!()).toMatchObject({ done: true });
    expect(await pending).toMatchObject({ done: true });
    while ((await connections()).length > 0);
  });

  test('the signal ends it with its reason', async () => {
    const reason = new Error('enough');
    const tail = take(1, { signal: stop.signal });
    stop.abort(reason);
    await expect(tail).rejects.toBe(reason);
  });
});

describe('many writers at once', () => {
  // `npm run long` for the full size.
  const wanted = process.env.TRUNKLINE_LONG ? 1_000_000 : 20_000;
  const writers = 8;
  const aggregates = 50;
  const boundMs = 60_000 + wanted / 2;

  test(`${wanted} events: each once, each aggregate's in order`, { timeout: boundMs }, async () => {
    let committed = 0;
    let seed = 1;
    const random = (below: number): number => {
      seed = (seed * 48_271) % 2_147_483_647; // Lehmer's generator: the same run each time
      return seed % below;
    };
    const write = async (): Promise<void> => {
      const client = await connected();
      while (committed < wanted) {
        await client.query(random(3) === 0 ? 'begin; select pg_current_xact_id()' : 'begin');
        let count = 0;
        // Aggregates in one order, or two writers would wait for each other.
        for (let id = random(10); id < aggregates; id += 1 + random(20)) {
          const events = Array.from({ length: 1 + random(wanted / 1000) }, () => event(`s${id}-`));
          const { rows } = await client.query(
            `select coalesce(max(version), 0) as version from (select version from ${schema}.aggregates where aggregate_id = $1 for update) h`,
            [events[0]!.aggregateId],
          );
          const numbered = events.map((each, i) => ({ ...each, version: rows[0].version + i + 1 }));
          await append(client, ...(rows[0].version === 0 ? [event(`s${id}-`)] : numbered));
          count += rows[0].version === 0 ? 1 : numbered.length;
        }
        if (random(10) === 0) await client.query('rollback');
        else {
          await client.query('commit');
          committed += count;
        }
      }
    };
    const versions = new Map<string, number>();
    const audit = (async () => {
      for await (const { event: found } of tailEvents({
        connection: url,
        schema,
        pollMs: 1,
        pageSize: 500,
        signal: stop.signal,
      })) {
        const last = versions.get(found.aggregateId) ?? 0;
        if (found.version !== last + 1) throw new Error(`${found.aggregateId}: ${found.version} behind ${last}`);
        versions.set(found.aggregateId, found.version);
        if (found.aggregateId === 'last') return;
      }
    })();
    await Promise.race([Promise.all(Array.from({ length: writers }, write)), audit]);
    await append(await connected(), event('last'));
    await audit;
    const rows = await administer(url, `select aggregate_id as id, version from ${schema}.aggregates`);
    expect(Object.fromEntries(versions)).toEqual(Object.fromEntries(rows.map(({ id, version }) => [id, version])));
  });
});
