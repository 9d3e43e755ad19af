// The relay against a server that loses what it need not keep, against large and impossible events, and when it changes
// hands: each event once, in the order of its aggregate, and one event stops no other.
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { releaseOutbox } from '../../src/adapters/postgres/outbox/outbox-release.ts';
import { PostgresOutbox } from '../../src/adapters/postgres/outbox/relay-outbox.ts';
import { PostgresOutboxSession } from '../../src/adapters/postgres/outbox/relay-session.ts';
import { failure } from '../../src/adapters/postgres/session/failure.ts';
import { migrate, postgres, type Runtime, type StoredEvent } from '../../src/index.ts';
import { type ClaimedEvent, nowhere, type OutboxSession, type Place, placeIn } from '../../src/outbox/outbox.ts';
import { groupBytes, RelayRing } from '../../src/outbox/relay-ring.ts';
import { ControlBlockWriter } from '../../src/shared/control-block.ts';
import { newId } from '../../src/wire/ids.ts';
import { elsewhere, migratedDatabase } from '../postgres.ts';
import { PostgresServer } from '../postgres-server.ts';
import { TcpProxy } from '../proxy.ts';
import { scratchFolder, startRuntime, until } from '../runtime/scratch.ts';
import { copyDatabase } from './database-copy.ts';

let url: string;
const schema = elsewhere;
let client: pg.Client;

const fileSink = new URL('../flush/file-sink.ts', import.meta.url).href;

const started = (dataDir = scratchFolder(), more: object = {}): Promise<Runtime> =>
  startRuntime({ dataDir, store: postgres({ connectionString: url, schema }), shards: 1, ...more });

const raise = async (id: string, data: object = {}): Promise<void> => {
  await client.query(`select ${schema}.raise_event('invoice', $1, 'Made', $2)`, [id, JSON.stringify(data)]);
};

/** As an application would that writes the tables itself, or did before `raise_event` had its limits. */
const putRaw = async (id: string, version: number, json: string): Promise<void> => {
  await client.query('set session_replication_role = replica'); // no gate
  await client.query(
    `with head as (
       insert into ${schema}.aggregates (aggregate_type, aggregate_id, version, previous_version, first_occurred_at,
         last_occurred_at) values ('invoice', $1, $2, $2 - 1, now(), now())
       on conflict (aggregate_type, aggregate_id) do update set version = $2, previous_version = $2 - 1
     ), event as (
       insert into ${schema}.domain_events (id, aggregate_type, aggregate_id, version, event_type, schema_version,
         occurred_at, data)
       values (gen_random_uuid(), 'invoice', $1, $2, 'Made', 1, date_trunc('milliseconds', now()), $3)
       returning sequence, id, occurred_at
     ) insert into ${schema}.outbox (sequence, id, occurred_at) select * from event`,
    [id, version, json],
  );
  await client.query('reset session_replication_role');
};

const waiting = async (): Promise<any[]> =>
  (await client.query(`select sequence, log_id, position, refused from ${schema}.outbox order by sequence`)).rows;

function heardBy(runtime: Runtime): string[] {
  const heard: string[] = [];
  runtime.bus.on('*', ({ aggregateId, version }: StoredEvent) => void heard.push(`${aggregateId}@${version}`));
  return heard;
}

const counted = (list: readonly unknown[], count: number): Promise<unknown> =>
  until(
    () => list.length,
    (length) => length >= count,
  );

beforeEach(async () => {
  url = await migratedDatabase(schema);
  client = new pg.Client({ connectionString: url });
  await client.connect();
});
afterEach(() => client.end());

test('a server without synchronous commits is killed behind an event in the log: the claim is not lost', {
  timeout: 120_000,
}, async () => {
  await using server = await PostgresServer.start(['synchronous_commit=off', 'wal_writer_delay=10000']);
  const connectionString = server.url();
  await migrate({ connection: connectionString });
  const raiseThere = async (id: string): Promise<void> => {
    const there = new pg.Client({ connectionString });
    await there.connect();
    await there.query('set synchronous_commit = on');
    await there.query(`select trunkline.raise_event('invoice', '${id}', 'Made', '{}')`);
    await there.end();
  };
  // The flusher settles nothing before the kill: only the claim says that the log has the event.
  const store = postgres({ connectionString, flushDelayMs: 60_000 });
  const runtime = await startRuntime({ store, shards: 1 });
  const heard = heardBy(runtime);
  await raiseThere('first');
  await counted(heard, 1);
  let killed: Promise<void> | undefined;
  runtime.bus.on('*', () => void (killed ??= server.kill()));
  await raiseThere('second');
  await counted(heard, 2);
  await killed;
  await server.restart();
  await raiseThere('third');
  await until(
    () => heard,
    (list) => list.includes('third@1'),
    60_000,
  );
  expect(heard).toEqual(['first@1', 'second@1', 'third@1']);
});

test('claimed events come in slices by their size, the first one whatever it holds', async () => {
  await raise('small');
  for (let i = 0; i < 12; i++) await raise(`large-${i}`, { text: 'x'.repeat(i === 5 ? 600_000 : 100_000) });
  const settings = { connection: { connectionString: url }, schema, logId: 'a-log', actorTypes: [] };
  const session = await new PostgresOutbox(settings).open();
  // By a number that the log has already, as after a restore, nothing is claimed: the flusher would settle those rows.
  expect(await session.claim(500, 1_000)).toMatchObject({ isRelay: true, events: 0 });
  expect((await session.claimed(nowhere, 1)).events).toEqual([]);
  expect(await session.claim(500, 0)).toMatchObject({ isRelay: true, events: 13 });
  const sliceBytes = 256 << 10;
  let place: Place = nowhere;
  const seen: string[] = [];
  for (;;) {
    const { events } = await session.claimed(place, sliceBytes);
    if (events.length === 0) break;
    const allButLast = events.slice(0, -1).reduce((sum, { data }) => sum + data.length, 0);
    expect(allButLast).toBeLessThan(sliceBytes);
    seen.push(...events.map(({ aggregateId }) => aggregateId));
    place = events.at(-1)!;
  }
  expect(seen).toEqual(['small', ...Array.from({ length: 12 }, (_, i) => `large-${i}`)]);
  await session.close();
});

test('a claim that ends at the server after its connection was lost is relayed, and waits for no other event', async () => {
  await using proxy = await TcpProxy.before(Number(new URL(url).port || 5432));
  const store = postgres({ connectionString: proxy.through(url), schema });
  const runtime = await startRuntime({ store, shards: 1 });
  const heard = heardBy(runtime);
  await raise('before');
  await counted(heard, 1);
  const locks = async (count: number): Promise<unknown> =>
    until(
      async () =>
        (
          await client.query(
            `select from pg_stat_activity where application_name = 'trunkline relay' and wait_event_type = 'Lock'
             and datname = current_database()`,
          )
        ).rowCount!,
      (waiting) => waiting === count,
    );
  const holder = new pg.Client({ connectionString: url });
  await holder.connect();
  await holder.query(`begin; select from ${schema}.outbox_relay for update`);
  await raise('lost');
  await locks(1);
  proxy.cut(); // the server does not notice: its statement waits for the lock
  await locks(2); // the next connection's first claim, behind it
  await holder.query('rollback');
  await holder.end();
  await until(
    () => heard,
    (list) => list.includes('lost@1'),
  );
  expect(heard).toEqual(['before@1', 'lost@1']);
});

test('an event that cannot be printed is set aside, counted and named; the others are relayed', async () => {
  const warned: any[] = [];
  const warn = (details: unknown): void => void warned.push(details);
  const logger: any = { debug() {}, info() {}, warn, error() {} };
  const runtime = await started(scratchFolder(), { logger });
  const heard = heardBy(runtime);
  await raise('before');
  await putRaw('deep', 1, `${'['.repeat(6000)}${']'.repeat(6000)}`);
  await putRaw('deep', 2, '{}');
  await raise('after');
  await counted(heard, 3);
  expect(heard).toEqual(['before@1', 'deep@2', 'after@1']);
  expect(runtime.status().relay).toMatchObject({ state: 'relaying', relayed: 3, setAside: 1, lastError: undefined });
  expect(warned).toContainEqual(
    expect.objectContaining({ aggregateId: 'deep', version: 1, reason: expect.any(String) }),
  );
  await until(waiting, (rows) => rows.length === 1);
  expect(await waiting()).toEqual([expect.objectContaining({ refused: expect.stringMatching(/nested deeper/) })]);
  await runtime.close();
  const next = await started();
  await until(
    () => next.status().relay,
    (relay) => relay?.state === 'relaying' && relay.setAside === 1,
  );
});

test('what is set aside is not read again, holds nothing back, is counted by every relay, and is not released', async () => {
  const sessionOf = (logId: string): Promise<OutboxSession> =>
    new PostgresOutbox({ connection: { connectionString: url }, schema, logId, actorTypes: [] }).open();
  const released = (): Promise<unknown> => releaseOutbox(client, schema, 'one').catch(({ code }) => code);
  for (const id of ['odd', 'stored', 'claimed']) await raise(id);
  const one = await sessionOf('one');
  await one.claim(500, 0);
  const read = async (): Promise<readonly ClaimedEvent[]> => (await one.claimed(nowhere, 1 << 20)).events;
  const [odd, stored] = await read();
  await one.setAside(odd!, 'no log can take it');
  expect((await read()).map(({ aggregateId }) => aggregateId)).toEqual(['stored', 'claimed']);
  await client.query(`update ${schema}.outbox set position = 5 where sequence = ${stored!.sequence}`);
  expect(await released()).toBe('InvalidOptions'); // its relay has been seen just now
  expect((await waiting()).map(({ position }) => position)).toEqual([null, '5', null]);
  await one.settle(6);
  const aside = { sequence: String(odd!.sequence), log_id: 'one', refused: 'no log can take it' };
  expect(await waiting()).toMatchObject([aside, { log_id: 'one', refused: null }]);
  await one.resign();
  await one.close();
  for (const id of ['odd', 'claimed']) await raise(id);
  const two = await sessionOf('two');
  expect(await two.countSetAside()).toBe(1);
  expect(await two.claim(500, 0)).toMatchObject({ isRelay: true, events: 1, held: 1, heldBy: ['one'] });
  expect(await released()).toEqual({ removed: 0, waiting: 1 });
  expect(await two.claim(500, 0)).toMatchObject({ events: 2, held: 0 });
  expect(await waiting()).toMatchObject([aside, { log_id: 'two' }, { log_id: 'two' }, { log_id: 'two' }]);
  await two.close();
});

/** Four of them make a group. */
const claimedEvents = (count: number): ClaimedEvent[] =>
  Array.from({ length: count }, (_, i) => ({
    ...{
      batch: 1,
      sequence: i + 1,
      id: newId(),
      aggregateType: 'invoice',
      aggregateId: 'i',
      version: i + 1,
      type: 'Made',
    },
    ...{ schemaVersion: 1, occurredAt: 0, data: JSON.stringify('x'.repeat(groupBytes / 4)), metadata: null },
  }));

test('half of what users may fill of the log is left to them, whatever waits in the outbox', () => {
  const host = new ControlBlockWriter('host');
  const flush = new ControlBlockWriter('flush', host.memory);
  host.publish('admitBytes', 8 * groupBytes);
  const ring = new RelayRing(host, 1 << 23, () => {});
  const events = claimedEvents(100);
  let next = 0;
  const append = (): number => {
    let groups = 0;
    for (; ; groups++) {
      const count = ring.tryAppend(events, next) as number;
      if (count === 0) return groups;
      next += count;
    }
  };
  const { groups } = ring.reading;
  const write = (count: number): void => {
    for (let i = 0; i < count; i++) {
      expect(groups.take(groups.published())).toBe(true);
      groups.firstPosition = 1 + 5 * written++;
      ring.reading.onGroup(groups);
    }
  };
  let written = 0;
  expect(append()).toBe(4); // the fourth takes it over the half
  expect(append()).toBe(0);
  write(4);
  expect(append()).toBe(0); // no reader has passed one
  flush.publish('floor', 1 + 5 * 2); // two of them
  expect(append()).toBe(2);
  write(2);
  flush.publish('floor', 1 + 5 * 6);
  expect(append()).toBe(4);
});

test('a group in the log ends with the event that takes it over its size', () => {
  const control = new ControlBlockWriter('host');
  control.publish('admitBytes', 1 << 22);
  const ring = new RelayRing(control, 1 << 22, () => {});
  const events = claimedEvents(9);
  expect([ring.tryAppend(events, 0), ring.tryAppend(events, 4), ring.tryAppend(events, 8)]).toEqual([4, 4, 1]);
  expect(ring.place).toEqual({ batch: 1, sequence: 9 });
});

test('rows without their events, at the front of what is claimed, are set aside and named; the others are relayed', async () => {
  const warned: any[] = [];
  const warn = (details: unknown): void => void warned.push(details);
  const logger: any = { debug() {}, info() {}, warn, error() {} };
  for (let i = 0; i < 5; i++) await raise(`gone-${i}`);
  const { rows: gone } = await client.query(`delete from ${schema}.domain_events returning id::text as id`);
  await raise('there');
  const runtime = await started(scratchFolder(), { logger });
  const heard = heardBy(runtime);
  await raise('later');
  await counted(heard, 2);
  expect(heard).toEqual(['there@1', 'later@1']);
  expect(runtime.status().relay).toMatchObject({ state: 'relaying', relayed: 2, setAside: 5, lastError: undefined });
  const named = warned.filter(({ reason }) => reason === 'it is not in domain_events any more').map(({ id }) => id);
  expect(named.sort()).toEqual(gone.map(({ id }) => id).sort());
  await until(waiting, (rows) => rows.length === 5);
  expect((await waiting()).every(({ refused }) => refused !== null)).toBe(true);
});

test('a row with a batch that no claim has drawn moves no place: the others are relayed, also after a restart', async () => {
  const dataDir = scratchFolder();
  const warnings: string[] = [];
  const logger = {
    debug() {},
    info() {},
    error() {},
    warn: (_: object, message: string) => void warnings.push(message),
  };
  let runtime = await started(dataDir, { logger });
  const first = heardBy(runtime);
  await raise('a');
  await counted(first, 1);
  const [{ log_id: logId }] = (await client.query(`select log_id from ${schema}.outbox_relay`)).rows;
  await client.query(
    `with event as (
       insert into ${schema}.domain_events (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data)
       values (gen_random_uuid(), 'invoice', 'forged', 1, 'Made', 1, date_trunc('milliseconds', now()), '{}')
       returning sequence, id, occurred_at
     ) insert into ${schema}.outbox (sequence, id, occurred_at, log_id, batch)
       select sequence, id, occurred_at, $1, 9007199254740991 from event`,
    [logId],
  );
  for (const id of ['b', 'c']) {
    const heard = heardBy(runtime);
    await raise(id);
    await counted(heard, 1);
    expect(heard).toEqual([`${id}@1`]);
    await runtime.reached('stored');
    await runtime.close();
    runtime = await started(dataDir, { logger });
  }
  expect(warnings.filter((message) => message.includes('outbox'))).toEqual([]);
});

test('a place beyond the exact numbers, in the log of an earlier release, counts as the last exact one', () => {
  expect(placeIn('{"batch":3,"sequence":9223372036854776000}')).toEqual({ batch: 3, sequence: 2 ** 53 - 1 });
  expect(placeIn('{"batch":3,"sequence":7}')).toEqual({ batch: 3, sequence: 7 });
});

test('a fault of our own is not called an outage of PostgreSQL', () => {
  for (const error of [new RangeError('Maximum call stack size exceeded'), new TypeError('x'), new SyntaxError('x')]) {
    expect(failure(error, schema).code).toBe('InternalFault');
  }
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
  for (const error of [refused, new Error('Connection terminated unexpectedly'), new Error('Query read timeout')]) {
    expect(failure(error, schema).code).toBe('StoreUnavailable');
  }
});

test('the relay changes hands while a sink of the first log is behind: later events of its aggregates wait', async () => {
  const [first, second] = [scratchFolder(), scratchFolder()];
  const obstacle = join(second, '..', 'away');
  const sinks = [{ name: 'partner', module: fileSink, options: { failWhile: obstacle } }];
  let a = await started(first, { sinks });
  writeFileSync(obstacle, '');
  await raise('i-1');
  await until(waiting, ([row]) => row?.position !== null);
  const b = await started(second);
  const heard = heardBy(b);
  await a.close();
  await raise('i-1');
  await raise('i-2');
  await counted(heard, 1);
  await until(
    () => b.status().relay?.held,
    (held) => held === 1,
  );
  expect(heard).toEqual(['i-2@1']);
  rmSync(obstacle);
  a = await started(first, { sinks });
  await counted(heard, 2);
  expect(heard).toEqual(['i-2@1', 'i-1@2']);
  await until(waiting, (rows) => rows.length === 0);
});

test('what a lost log holds back is released on request, and not while the log is flushed', async () => {
  const folder = scratchFolder();
  const obstacle = join(folder, '..', 'away');
  writeFileSync(obstacle, '');
  const a = await started(folder, { sinks: [{ name: 'partner', module: fileSink, options: { failWhile: obstacle } }] });
  await raise('i-1');
  await until(waiting, ([row]) => row?.position !== null);
  const [{ log_id: logId }] = await waiting();
  await a.close();
  const unknown = await releaseOutbox(client, schema, 'no-such-log').catch((error) => error);
  expect(unknown).toMatchObject({
    code: 'InvalidOptions',
    details: { option: 'log', reason: expect.stringContaining('no-such-log') },
  });
  const early = await releaseOutbox(client, schema, logId).catch((error) => error);
  expect(early).toMatchObject({ code: 'InvalidOptions' });
  expect(await waiting()).toHaveLength(1);
  for (const table of ['flush_checkpoints set updated_at', 'outbox_relay set seen_at']) {
    await client.query(`update ${schema}.${table} = now() - interval '5 minutes'`);
  }
  expect(await releaseOutbox(client, schema, logId)).toEqual({ removed: 1, waiting: 0 });
  const b = await started();
  const heard = heardBy(b);
  await raise('i-1');
  await counted(heard, 1);
  expect(heard).toEqual(['i-1@2']);
});

test('a log whose sinks have passed everything at its close holds nothing back', async () => {
  const folder = scratchFolder();
  const a = await started(folder, { sinks: [{ name: 'partner', module: fileSink }] });
  await raise('i-1');
  await until(waiting, ([row]) => row?.log_id !== null);
  await a.close();
  expect(await waiting()).toEqual([]);
});

test('a close waits for more than a moment until the rows that everything has passed can go', async () => {
  const folder = scratchFolder();
  const obstacle = join(folder, '..', 'away');
  writeFileSync(obstacle, '');
  const a = await started(folder, { sinks: [{ name: 'partner', module: fileSink, options: { failWhile: obstacle } }] });
  await raise('i-1');
  await until(waiting, ([row]) => row?.position !== null);
  const holder = new pg.Client({ connectionString: url });
  await holder.connect();
  await holder.query(`begin; select from ${schema}.outbox for update`);
  rmSync(obstacle);
  const settling = `select from pg_stat_activity where application_name = 'trunkline relay' and wait_event_type = 'Lock'
    and datname = current_database()`;
  const heldUp = (count: number): Promise<unknown> =>
    until(
      async () => (await client.query(settling)).rowCount,
      (found) => found === count,
    );
  await heldUp(1);
  let isClosed = false;
  const closing = a.close().then(() => {
    isClosed = true;
  });
  await heldUp(2); // the first has been let go of, which the server does not notice
  await client.query('select pg_sleep(1.5)'); // as on a machine where a statement takes so long
  expect(isClosed).toBe(false);
  await holder.query('rollback');
  await holder.end();
  await closing;
  expect(await waiting()).toEqual([]);
});

test('a database that came back from an earlier state: what the log has is not relayed again, what is new is', async () => {
  const runtime = await started();
  const heard = heardBy(runtime);
  await raise('early');
  await counted(heard, 1);
  await until(waiting, (rows) => rows.length === 0);
  // A copy in which the next events wait: they are committed, and the relay is kept from them by a lock meanwhile.
  const holder = new pg.Client({ connectionString: url });
  await holder.connect();
  await holder.query(`begin; select from ${schema}.outbox_relay for update`);
  for (let i = 0; i < 5; i++) await raise(`late-${i}`);
  const copy = await copyDatabase(client, schema);
  await holder.query('rollback');
  await holder.end();
  await counted(heard, 6);
  await until(waiting, (rows) => rows.length === 0);
  for (let i = 0; i < 3; i++) {
    await raise(`lost-${i}`);
    await counted(heard, 7 + i);
  }
  await copy.putBack();
  await raise('new');
  await counted(heard, 10);
  expect(heard.filter((one) => !one.startsWith('lost'))).toEqual([
    'early@1',
    ...Array.from({ length: 5 }, (_, i) => `late-${i}@1`),
    'new@1',
  ]);
  // What the log has relayed, and the database has lost with its transactions, is kept and named.
  await until(
    () => runtime.status().quarantined,
    (count) => count >= 3,
  );
  const kept: unknown[] = [];
  for await (const { event, code } of runtime.store.quarantined()) kept.push([event.aggregateId, code]);
  expect(kept).toEqual(Array.from({ length: 3 }, (_, i) => [`lost-${i}`, 'LostByStore']));
});

test("a transaction that has written events of a type, and is still open, keeps it from becoming an actor's, for each runtime that starts", async () => {
  const opened = async (logId: string): Promise<string> => {
    const settings = { connection: { connectionString: url }, schema, logId, actorTypes: ['invoice'] };
    const outbox = new PostgresOutbox(settings);
    for (;;) {
      try {
        await (await outbox.open()).close();
        return 'open';
      } catch (error) {
        const { code } = error as { code: string };
        if (code !== 'StoreUnavailable') return code; // else it has waited for long enough, and tries again
      }
    }
  };
  const waits = `select from pg_locks where not granted and relation = '${schema}.actor_types'::regclass`;
  const waiting = (count: number): Promise<unknown> =>
    until(
      () => client.query(waits),
      ({ rowCount }) => rowCount === count,
    );
  const another = new pg.Client({ connectionString: url });
  await another.connect();
  for (const [end, outcome] of [
    ['rollback', 'open'],
    ['commit', 'AggregateTypeOwnedElsewhere'],
  ] as const) {
    await client.query(`delete from ${schema}.actor_types`);
    await client.query('begin');
    await raise('i-1');
    // As one has registered the type that has not looked yet, or waits between two looks.
    await another.query(`insert into ${schema}.actor_types (aggregate_type) values ('invoice')`);
    const opening = [opened('one'), opened('two')];
    await waiting(2);
    await client.query(end);
    expect(await Promise.all(opening)).toEqual([outcome, outcome]);
    const { rows } = await client.query(`select is_settled from ${schema}.actor_types`);
    expect(rows).toEqual(outcome === 'open' ? [{ is_settled: true }] : []);
  }
  await another.end();
  // Many at once, of several types, in whatever order.
  const types = ['a', 'b', 'c', 'd'];
  const many = Array.from({ length: 6 }, (_, i) => {
    const actorTypes = i % 2 === 0 ? types : types.toReversed();
    return new PostgresOutbox({ connection: { connectionString: url }, schema, logId: `log-${i}`, actorTypes }).open();
  });
  for (const session of await Promise.all(many)) await session.close();
});

test('a transaction that stays open keeps neither the door of a type open nor the relay from its work', async () => {
  const settings = { connection: { connectionString: url }, schema, logId: 'a-log', patienceMs: 0 };
  const outbox = new PostgresOutbox({ ...settings, actorTypes: ['call'] });
  const another = new pg.Client({ connectionString: url });
  await another.connect();
  await client.query('begin');
  await raise('i-open');
  await (await outbox.open()).close();
  const call = `select ${schema}.raise_event('call', 'c-1', 'Made', '{}')`;
  await expect(another.query(call)).rejects.toMatchObject({ code: 'TKWRD' });
  await expect(client.query(call)).rejects.toMatchObject({ code: 'TKWRD' });
  await client.query('rollback');
  await another.end();
});

test('a close whose last look at the outbox fails leaves no connection', async () => {
  const folder = scratchFolder();
  const a = await started(folder, { sinks: [{ name: 'partner', module: fileSink }] });
  await raise('i-1');
  await until(waiting, ([row]) => row?.log_id !== null);
  const settle = vi.spyOn(PostgresOutboxSession.prototype, 'settle').mockRejectedValue(new Error('refused'));
  try {
    await a.close();
  } finally {
    settle.mockRestore();
  }
  const sql =
    "select pid from pg_stat_activity where application_name = 'trunkline relay' and datname = current_database()";
  await until(
    async () => (await client.query(sql)).rowCount,
    (count) => count === 0,
  );
});
