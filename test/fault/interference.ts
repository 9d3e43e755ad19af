// Interference: upkeep, migrations, a relay that is taken over, flush, handlers and transactions at once on one database, while
// old months are archived and dropped, and late events come for them. Each event that was acknowledged is in the tables or in
// an archive, once, and has been handled; versions run without a gap.
import type pg from 'pg';
import { readArchive } from '../../src/adapters/postgres/partitions/archive-file.ts';
import { archiveMonth, dropMonth } from '../../src/adapters/postgres/partitions/month-archive.ts';
import { keepPartitions } from '../../src/adapters/postgres/schema/months.ts';
import { openClient } from '../../src/adapters/postgres/session/server-session.ts';
import {
  createRuntime,
  migrate,
  type NewEvent,
  postgres,
  type Runtime,
  type StoredEvent,
  type Subscription,
} from '../../src/index.ts';
import { PostgresServer } from '../postgres-server.ts';
import { integerFrom, randomFrom } from '../random.ts';
import { Counter } from '../runtime/aggregates.ts';
import type { Family, FaultRun } from './family.ts';

const boundMs = 60_000;
/** So many of those that were still needed are tried again each time. */
const monthsAtOnce = 3;

/** What may stand in the way of upkeep, and passes: a lock that is waited for no longer, a month that is needed. */
const passes = (error: unknown): boolean =>
  ['55P03', '40P01', 'PartitionNeeded', 'ArchiveDamaged', '42P01'].includes((error as { code: string }).code);

async function interfere(run: FaultRun): Promise<void> {
  const random = randomFrom(run.seed);
  await using server = await PostgresServer.start();
  const connection = server.url();
  await migrate({ connection });
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  const client = await openClient({ connectionString: connection }, { name: 'upkeep', timeoutMs: 60_000 });
  const other = await openClient({ connectionString: connection }, { name: 'upkeep', timeoutMs: 60_000 });
  const users = await Promise.all(
    [0, 1].map(() => openClient({ connectionString: connection }, { name: 'user', timeoutMs: 60_000, isUsers: true })),
  );
  const acknowledged = new Map<string, number>();
  const handled = new Set<string>();
  const saved = (id: string, versions: number): void =>
    void acknowledged.set(id, Math.max(acknowledged.get(id) ?? 0, versions));
  const begin = async (): Promise<Life> => {
    const store = postgres({ connectionString: connection });
    const dataDir = `${run.folder()}/data`;
    const runtime = await createRuntime({ dataDir, aggregates: [Counter], shards: 1, store, logger });
    const handle = ({ aggregateId, version }: StoredEvent): void => void handled.add(`${aggregateId} ${version}`);
    return { runtime, subscription: runtime.subscribe({ name: 'all', from: 'start', handle }) };
  };
  let life = await begin();
  const attempt = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (!passes(error)) run.fail(`${what}: ${(error as Error).message}`);
    }
  };
  const retired = new RetiredMonths(other, () => run.folder());
  let last = '2009-01';
  for (let round = 0; round < run.size('rounds'); round++) {
    const month = `20${10 + (round % 10)}-${String(1 + integerFrom(random, 0, 11)).padStart(2, '0')}`;
    const { runtime } = life;
    const event = (id: string, of: string): NewEvent => ({
      ...{ aggregateType: 'stock', aggregateId: id, type: 'Sold', data: {} },
      occurredAt: new Date(`${of}-15T00:00:00Z`),
    });
    const transact = async (user: pg.Client, ids: string[]): Promise<void> => {
      await user.query('begin');
      await runtime.store.saveWithTx(
        user,
        ids.map((id) => event(id, month)),
      );
      await user.query('commit');
      for (const id of ids) saved(id, 1);
    };
    const a = `a${round}`;
    const b = `b${round}`;
    const old = last;
    await Promise.all([
      attempt('migrate', () => migrate({ connection })),
      attempt('upkeep', () => keepPartitions(client, 'trunkline', 1)),
      // Behind each other on one connection: another upkeep, and the months before this one.
      attempt('another upkeep', () => keepPartitions(other, 'trunkline', 2)).then(() => retired.retire(old, attempt)),
      attempt('a transaction', () => transact(users[0]!, [a, b])),
      attempt('a transaction the other way', () => transact(users[1]!, [b, a])),
      attempt('commands', async () => {
        const receipts = await Promise.all([1, 2, 3].map((n) => runtime.ref(Counter, `c${round}`).add(n)));
        await receipts.at(-1)!.reached('stored');
        saved(`c${round}`, 3);
      }),
      attempt('entities', async () => {
        await runtime.store.save([event(`e${round}`, month)], { expectedVersion: 0 });
        saved(`e${round}`, 1);
      }),
      // Late ones, for the month that is going.
      ...[1, 2, 3, 4].map((n) =>
        attempt('a late event', async () => {
          await new Promise((resolve) => setTimeout(resolve, integerFrom(random, 0, 40)));
          await runtime.store.save([event(`l${round}-${n}`, old)], { expectedVersion: 0 });
          saved(`l${round}-${n}`, 1);
        }),
      ),
    ]);
    saved(a, 2);
    saved(b, 2);
    last = month;
    run.faults++;
    // Another runtime takes over the relay.
    if (round % 10 === 9) {
      const next = await begin();
      await caughtUp(client, life);
      await life.runtime.close();
      life = next;
    }
  }
  await caughtUp(client, life);
  const { rows } = await client.query('select aggregate_id as id, version from trunkline.domain_events');
  const found = new Map<string, number>();
  const find = (key: string): void => void found.set(key, (found.get(key) ?? 0) + 1);
  for (const { id, version } of rows) find(`${id} ${version}`);
  for (const key of retired.events) find(key);
  for (const [id, versions] of acknowledged) {
    for (let version = 1; version <= versions; version++) {
      const key = `${id} ${version}`;
      if (found.get(key) !== 1) run.fail(`${key} is there ${found.get(key) ?? 0} times`);
      if (!handled.has(key)) run.fail(`${key} was not handled`);
    }
  }
  if (life.runtime.status().quarantined !== 0) run.fail('events were quarantined');
  if (run.size('rounds') > 1 && retired.count === 0) run.fail('no month was dropped');
  run.notes.push(`${retired.events.length} events in ${retired.count} dropped months, ${handled.size} handled`);
  await life.runtime.close();
  await Promise.all([client, other, ...users].map((each) => each.end()));
}

interface Life {
  runtime: Runtime;
  subscription: Subscription;
}

/** Until the relay, the store and the handler have done what there is. */
async function caughtUp(client: pg.Client, { runtime, subscription }: Life): Promise<void> {
  const until = performance.now() + boundMs;
  const waiting = async (): Promise<number> =>
    (await client.query('select count(*)::int as count from trunkline.outbox')).rows[0].count;
  while ((await waiting()) > 0) {
    if (performance.now() > until) throw new Error('the relay leaves events in the outbox');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await runtime.reached('stored', { signal: AbortSignal.timeout(boundMs) });
  await subscription.caughtUpTo(runtime.status().written, { timeoutMs: boundMs });
}

/** Months that are archived and dropped, while everything else goes on; one that is still needed is tried again. */
class RetiredMonths {
  /** All events in the archives of months that have been dropped. */
  readonly events: string[] = [];
  count = 0;
  private readonly client: pg.Client;
  private readonly folder: () => string;
  private readonly waiting = new Set<string>();

  constructor(client: pg.Client, folder: () => string) {
    this.client = client;
    this.folder = folder;
  }

  async retire(month: string, attempt: (what: string, work: () => Promise<unknown>) => Promise<void>): Promise<void> {
    this.waiting.add(month);
    for (const each of [...this.waiting].slice(-monthsAtOnce)) {
      await attempt('archive and drop', async () => {
        // A month may come again with late events: each time it goes, its archive has a folder of its own.
        const folder = this.folder();
        const { file } = await archiveMonth(this.client, 'trunkline', each, folder);
        await dropMonth(this.client, 'trunkline', each, folder, false);
        this.waiting.delete(each);
        this.count++;
        for await (const { aggregateId, version } of readArchive(file)) this.events.push(`${aggregateId} ${version}`);
      });
    }
  }
}

/** See above. */
export const interference: Family = {
  about: 'upkeep, migrations, archives, relay takeover, flush and handlers at once on one database',
  sizes: { rounds: 6 },
  run: interfere,
};
