// Interference: upkeep, migrations, archives and drops, a relay that is taken over, flush, handlers and transactions at once
// on one database. No event that was acknowledged may be missing from tables and archives; versions run without a gap.
import type pg from 'pg';
import { createRuntime, migrate, postgres, type Runtime } from '../../src/index.ts';
import { readArchive } from '../../src/store/postgres/archive-file.ts';
import { archiveMonth, dropMonth } from '../../src/store/postgres/month-archive.ts';
import { keepPartitions } from '../../src/store/postgres/months.ts';
import { openClient } from '../../src/store/postgres/server-session.ts';
import { PostgresServer } from '../postgres-server.ts';
import { integerFrom, randomFrom } from '../random.ts';
import { Counter } from '../runtime/aggregates.ts';
import type { Family, FaultRun } from './family.ts';

/** What may stand in the way of upkeep, and passes: a lock that is waited for no longer, a month that is needed. */
const passes = (error: unknown): boolean =>
  ['55P03', '40P01', 'PartitionNeeded', 'ArchiveDamaged', '42P01'].includes((error as { code: string }).code);

async function interfere(run: FaultRun): Promise<void> {
  const random = randomFrom(run.seed);
  await using server = await PostgresServer.start();
  const connection = server.url();
  await migrate({ connection });
  const store = (): ReturnType<typeof postgres> => postgres({ connectionString: connection });
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  const start = (): Promise<Runtime> =>
    createRuntime({ dataDir: `${run.folder()}/data`, aggregates: [Counter], shards: 1, store: store(), logger });
  const client = await openClient({ connectionString: connection }, { name: 'upkeep', timeoutMs: 60_000 });
  const other = await openClient({ connectionString: connection }, { name: 'upkeep', timeoutMs: 60_000 });
  const users = await Promise.all(
    [0, 1].map(() => openClient({ connectionString: connection }, { name: 'user', timeoutMs: 60_000, isUsers: true })),
  );
  const folder = run.folder();
  const acknowledged = new Map<string, number>();
  const archived = new Set<string>();
  const handled = new Set<string>();
  const saved = (id: string, versions: number): void =>
    void acknowledged.set(id, Math.max(acknowledged.get(id) ?? 0, versions));
  const begin = async (): Promise<Runtime> => {
    const begun = await start();
    begun.subscribe({ name: 'all', from: 'start', handle: ({ id }) => void handled.add(id) });
    return begun;
  };
  let runtime = await begin();
  const attempt = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (!passes(error)) run.fail(`${what}: ${(error as Error).message}`);
    }
  };
  for (let round = 0; round < run.size('rounds'); round++) {
    const month = `20${10 + (round % 10)}-${String(1 + integerFrom(random, 0, 11)).padStart(2, '0')}`;
    const occurredAt = new Date(`${month}-15T00:00:00Z`);
    const event = (
      id: string,
    ): { aggregateType: string; aggregateId: string; type: string; data: object; occurredAt: Date } => ({
      aggregateType: 'stock',
      aggregateId: id,
      type: 'Sold',
      data: {},
      occurredAt,
    });
    const transact = async (user: pg.Client, ids: string[]): Promise<void> => {
      await user.query('begin');
      await runtime.store.saveWithTx(user, ids.map(event));
      await user.query('commit');
      for (const id of ids) saved(id, 1);
    };
    const a = `a${round}`;
    const b = `b${round}`;
    await Promise.all([
      attempt('migrate', () => migrate({ connection })),
      attempt('upkeep', () => keepPartitions(client, 'trunkline', 1)),
      attempt('another upkeep', () => keepPartitions(other, 'trunkline', 2)),
      attempt('a transaction', () => transact(users[0]!, [a, b])),
      attempt('a transaction the other way', () => transact(users[1]!, [b, a])),
      attempt('commands', async () => {
        const receipts = await Promise.all([1, 2, 3].map((n) => runtime.ref(Counter, `c${round}`).add(n)));
        await receipts.at(-1)!.reached('stored');
        saved(`c${round}`, 3);
      }),
      attempt('entities', async () => {
        await runtime.store.save([event(`e${round}`)], { expectedVersion: 0 });
        saved(`e${round}`, 1);
      }),
    ]);
    saved(a, 2);
    saved(b, 2);
    await attempt('archive and drop', async () => {
      const { file } = await archiveMonth(client, 'trunkline', month, folder);
      await dropMonth(other, 'trunkline', month, folder, false);
      for await (const { aggregateId, version } of readArchive(file)) archived.add(`${aggregateId} ${version}`);
    });
    run.faults++;
    // Another runtime takes over the relay.
    if (round % 10 === 9) {
      const next = await begin();
      await runtime.close();
      runtime = next;
    }
  }
  await runtime.reached('stored');
  const { rows } = await client.query('select aggregate_id as id, version from trunkline.domain_events');
  const found = new Map<string, number>();
  for (const { id, version } of rows) found.set(`${id} ${version}`, (found.get(`${id} ${version}`) ?? 0) + 1);
  for (const key of archived) found.set(key, (found.get(key) ?? 0) + 1);
  for (const [id, versions] of acknowledged) {
    for (let version = 1; version <= versions; version++) {
      const count = found.get(`${id} ${version}`) ?? 0;
      if (count !== 1) run.fail(`${id} ${version} is there ${count} times`);
    }
  }
  if (runtime.status().quarantined !== 0) run.fail('events were quarantined');
  run.notes.push(`${archived.size} events archived and dropped, ${handled.size} handled`);
  await runtime.close();
  await Promise.all([client, other, ...users].map((each) => each.end()));
}

/** See above. */
export const interference: Family = {
  about: 'upkeep, migrations, archives, relay takeover, flush and handlers at once on one database',
  sizes: { rounds: 6 },
  run: interfere,
};
