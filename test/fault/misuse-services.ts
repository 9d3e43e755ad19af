// Misuse where events go on: PostgreSQL, Kafka and a schema registry in order, and callbacks and values that are not. Mappings
// of integration events, names of topics and projections that make nonsense of some events, rows of the outbox that no log
// can take, handlers and callbacks that throw what cannot be shown. Each event that cannot go on is set aside; every other
// one is where it belongs, and nothing stops.
import pg from 'pg';
import { createRuntime, defineProjection, kafka, migrate, postgres } from '../../src/index.ts';
import { hostileJson, hostileMetadata, hostileTexts } from '../hostile.ts';
import { integerFrom, oneOf, type Random, randomFrom } from '../random.ts';
import { Counter } from '../runtime/aggregates.ts';
import { Courier } from '../runtime/courier.ts';
import { Reader } from '../stream/consume.ts';
import type { FaultRun } from './family.ts';

/** Where the servers are; a database and topics that nobody has used. */
export interface Servers {
  database: string;
  broker: string;
  registry: string;
  prefix: string;
  client: 'kafkajs' | 'platformatic';
}

const unshowable: readonly unknown[] = [undefined, null, Object.create(null), Symbol('s'), revoked(), () => {}];
const labels = ['key-number', 'promise', 'takes-all', 'promise-in-list', 'type-symbol', 'sound', 'throws-unshowable'];
const anything = { type: 'object' };
const schemas = Object.fromEntries(
  [
    'counter.Added',
    'counter.Labelled',
    'counter.Stamped',
    'counter.Checked',
    'courier.Sent',
    'courier.Taken',
    'invoice.Made',
    'integration.named.v1',
  ].map((name) => [name, anything]),
);

export async function misuseServices(run: FaultRun, servers: Servers): Promise<void> {
  const random = randomFrom(run.seed);
  const { database: connection, broker, registry, prefix, client } = servers;
  const throwing = (): never => {
    throw oneOf(random, unshowable);
  };
  // Each time it is told on stderr instead.
  const rarely = (): void => {
    if (random() < 0.02) throwing();
  };
  await migrate({ connection });
  const user = new pg.Client({ connectionString: connection });
  await user.connect();
  await user.query(
    'create table sums (key text primary key, total int); create table odd (key text primary key, n int)',
  );
  const runtime = await createRuntime({
    dataDir: `${run.folder()}/data`,
    aggregates: [Counter, Courier],
    shards: 1,
    store: postgres({ connectionString: connection }),
    stream: kafka({
      brokers: [broker],
      client,
      topics: { prefix, partitions: 2, internalPrefix: `${prefix}.own` },
      integration: new URL('../stream/poison-integrations.ts', import.meta.url).href,
      registry: { url: registry, schemas },
    }),
    logger: { debug: throwing, info: throwing, warn: rarely, error: rarely },
    messages: { retry: { attempts: 1 }, onUndelivered: throwing },
  });
  try {
    runtime.bus.on('*', throwing);
    const handled = new Set<string>();
    const handler = runtime.subscribe({
      name: 'thrower',
      retry: { attempts: 2, minDelayMs: 0, nonRetryable: [throwing] },
      onExhausted: 'park-event',
      handle(event) {
        if (event.position % 3 === 0) throwing();
        handled.add(event.id);
      },
    });
    const into = (table: string): object => ({ into: { table } });
    const sums = runtime.project(
      defineProjection<{ total: number }>({
        name: 'sums',
        ...into('public.sums'),
        init: () => ({ total: 0 }),
        apply: (row) => ({ total: row.total + 1 }),
      }),
    );
    // Stops, by its own fault, and nothing else does.
    const odd = runtime.project(
      defineProjection<{ n: number }>({
        name: 'odd',
        ...into('public.odd'),
        key: () => oneOf(random, [7, Symbol('s'), '', 'a\0b', {}]) as never,
        init: () => ({ n: 0 }),
        apply: throwing,
      }),
    );
    const counts = new Map<string, number>();
    const count = (id: string): void => void counts.set(id, (counts.get(id) ?? 0) + 1);
    for (let i = 0; i < run.size('served'); i++) {
      const id = `c${integerFrom(random, 0, 4)}`;
      await runtime.ref(Counter, id).label(oneOf(random, labels));
      count(id);
      if (random() < 0.3) {
        await runtime.ref(Courier, 'from').send('to', ['x'], 'refuse');
        count('from');
      }
      await hostileRow(run, user, random, count, i);
      run.faults++;
    }
    await runtime.replay({ into: () => {}, onProgress: throwing, progressMs: 0 });
    const { position } = await runtime.ref(Counter, 'end').with({ ack: 'published' }).add(1);
    count('end');
    const wanted = [...counts.values()].reduce((sum, each) => sum + each, 0);
    await waitFor(run, 'the outbox', async () => {
      const { rows } = await user.query('select count(*)::int as n from trunkline.outbox where refused is null');
      return rows[0].n === 0;
    });
    await runtime.reached('published');
    await Promise.all([handler.caughtUpTo(position), sums.caughtUpTo(runtime.status().written)]);
    const { rows } = await user.query('select key, total from sums');
    const found = new Map(rows.map(({ key, total }) => [key, total]));
    for (const [id, events] of counts) {
      if (found.get(id) !== events) run.fail(`the projection has ${found.get(id)} of ${events} events of ${id}`);
    }
    const stored = await user.query(
      'select count(*)::int as n from trunkline.domain_events where position is not null',
    );
    if (stored.rows[0].n !== wanted) run.fail(`${stored.rows[0].n} of ${wanted} events are in the store`);
    await using reader = await Reader.start(
      broker,
      ['counter', 'courier', 'invoice'].map((type) => `${prefix}.${type}`),
    );
    await waitFor(run, 'the consumer', async () => reader.records.length >= wanted);
    if (reader.records.length !== wanted) run.fail(`${reader.records.length} of ${wanted} events are in Kafka`);
    const letters = await runtime.deadLetters.list({ handler: 'thrower', limit: 100_000 });
    if (handled.size + letters.length < wanted)
      run.fail(`${handled.size} handled, ${letters.length} letters of ${wanted}`);
    const { state, shardRestarts } = runtime.status();
    if (state !== 'open' || shardRestarts > 0) run.fail(`the runtime is ${state}, ${shardRestarts} shards died`);
    await waitFor(run, 'the end of a projection without keys', async () => odd.status().state !== 'live');
  } finally {
    await runtime.close();
    await user.end();
  }
}

/** A row that an application writes by itself: the event is taken and goes on, or the statement fails. */
async function hostileRow(run: FaultRun, user: pg.Client, random: Random, count: (id: string) => void, i: number) {
  const data = random() < 0.5 ? oneOf(random, Object.values(hostileJson)) : '{"n":1}';
  const metadata = random() < 0.5 ? oneOf(random, Object.values(hostileMetadata)) : {};
  const id = random() < 0.3 ? oneOf(random, Object.values(hostileTexts)) : `i${i}`;
  let text: string;
  try {
    text = JSON.stringify(metadata);
    if (typeof id !== 'string') return;
  } catch {
    return;
  }
  try {
    await user.query("select trunkline.raise_event('invoice', $1, 'Made', $2, $3)", [id, data, text]);
    count(id.toWellFormed()); // as the driver encodes it
  } catch (error) {
    if (!/^(22|54|21|TK)/.test((error as { code?: string }).code ?? '')) run.fail(`raise_event: ${String(error)}`);
  }
}

const boundMs = 60_000;

async function waitFor(run: FaultRun, what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + boundMs; !(await holds()); ) {
    if (performance.now() > end) {
      run.fail(`${what} does not come to its end`);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}
