// A server that no longer answers: every call that waits ends by its bound, with an error that names what holds it up, or
// with what was waited for. None waits for ever.
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { postgres, type Runtime } from '../../../src/index.ts';
import { migratedDatabase } from '../../postgres.ts';
import { TcpProxy } from '../../proxy.ts';
import { Counter } from '../../runtime/aggregates.ts';
import { startRuntime, until } from '../../runtime/scratch.ts';

const boundMs = 1_000;
const long = { timeout: 90_000 };
const event = { aggregateType: 'account', aggregateId: 'a', type: 'Opened', data: {} };

const each = async (rows: AsyncIterable<unknown>): Promise<void> => {
  for await (const _ of rows);
};

/** Whatever may wait for the store, directly or by what handlers keep there. */
const waits = (r: Runtime, names: { subscription: string }): Record<string, () => unknown> => {
  const subscription = r.subscriptions.named(names.subscription);
  const far = { position: 1e9 };
  return {
    'a command that waits for stored': () => r.ref(Counter, 'a').with({ ack: 'stored' }).add(1),
    'a rejection that waits for stored': () => r.ref(Counter, 'a').with({ ack: 'stored' }).addThenReject(1),
    'a repeated command': () => r.ref(Counter, 'a').with({ ack: 'stored', idempotencyKey: 'k' }).add(1),
    'receipt.reached': async () => (await r.ref(Counter, 'a').add(1)).reached('stored'),
    reached: () => r.reached('stored'),
    'state of an aggregate that nobody here knows': () => r.state(Counter, 'elsewhere'),
    getByAggregate: () => r.store.getByAggregate(Counter, 'a'),
    getFromVersion: () => r.store.getFromVersion(Counter, 'a', 1),
    getByType: () => r.store.getByType('Added'),
    query: () => each(r.store.query()),
    stateAt: () => r.store.stateAt(Counter, 'a', { version: 1 }),
    head: () => r.store.head(Counter, 'a'),
    heads: () => each(r.store.heads(Counter)),
    quarantined: () => each(r.store.quarantined()),
    save: () => r.store.save([event]),
    publish: () => r.publisher.publishBatch([{ ...event, aggregateId: r.newId() }], { ack: 'stored' }),
    pause: () => subscription.pause(),
    resume: () => subscription.resume(),
    reset: () => subscription.reset('start'),
    'subscription.caughtUpTo': () => subscription.caughtUpTo(far, { timeoutMs: boundMs }),
    once: () => r.once('key', () => 1),
    effect: () => r.effect('table', 'key'),
    effects: () => r.effects.range('table'),
    'deadLetters.list': () => r.deadLetters.list(),
    'deadLetters.requeue': () => r.deadLetters.requeue({ all: true }),
    'deadLetters.discard': () => r.deadLetters.discard({ all: true }),
  };
};

test('every wait has an end while the server is silent', long, async () => {
  const connectionString = await migratedDatabase();
  await using proxy = await TcpProxy.before(Number(new URL(connectionString).port || 5432));
  const store = postgres({
    connectionString: proxy.through(connectionString),
    statementTimeoutMs: boundMs,
    loadTimeoutMs: boundMs,
  });
  const runtime = await startRuntime({ store, shards: 1, waitTimeoutMs: boundMs });
  const subscription = runtime.subscribe({ name: 'all', handle() {} });
  await runtime.ref(Counter, 'a').with({ ack: 'stored', deadlineMs: 60_000 }).add(1);
  await subscription.caughtUpTo(runtime.status().written);
  proxy.weather = { losesAnswers: true };
  const calls = Object.entries(waits(runtime, { subscription: 'all' }));
  const ends = calls.map(async ([name, call]) => {
    const late = pause(60_000, 'waits on', { ref: false });
    const end = Promise.resolve()
      .then(call)
      .then(
        () => 'done',
        (error) => error.code,
      );
    return [name, await Promise.race([end, late])] as const;
  });
  const found = Object.fromEntries(await Promise.all(ends));
  expect(Object.entries(found).filter(([, end]) => end === 'waits on')).toEqual([]);
  // What is carried out says so: its caller must not do it again.
  for (const name of [
    'a command that waits for stored',
    'a rejection that waits for stored',
    'a repeated command',
    'publish',
  ])
    expect([name, found[name]]).toEqual([name, 'DeadlineExceeded']);
  for (const name of ['getByAggregate', 'head', 'query', 'save', 'effects'])
    expect([name, found[name]]).toEqual([name, 'StoreUnavailable']);
  proxy.weather = {};
  await runtime.ref(Counter, 'a').with({ ack: 'stored', deadlineMs: 60_000 }).add(1); // and goes on
  await runtime.close();
});

test('while users’ commands wait for the store, messages go past them', long, async () => {
  const connectionString = await migratedDatabase();
  await using proxy = await TcpProxy.before(Number(new URL(connectionString).port || 5432));
  const store = postgres({ connectionString: proxy.through(connectionString), statementTimeoutMs: 2_000 });
  const runtime = await startRuntime({ store, shards: 1, actorLimit: 1 });
  const sender = runtime.ref(Counter, runtime.newId());
  await sender.with({ ack: 'stored' }).add(1);
  proxy.weather = { losesAnswers: true };
  const target = runtime.newId();
  let delivered = 0;
  runtime.bus.on(Counter, 'Added', ({ aggregateId }) => void (aggregateId === target && delivered++));
  const sent = sender.sendOther(target, 5);
  // More than a shard takes on before the store has what they raise; the messages come behind them.
  const many = Array.from({ length: 200 }, () => runtime.ref(Counter, runtime.newId()).add(1));
  await sent;
  await until(
    () => delivered,
    (count) => count === 2,
  );
  expect(runtime.status().inFlight).toBeGreaterThan(0);
  proxy.weather = {};
  await Promise.all(many);
  await runtime.close();
});
