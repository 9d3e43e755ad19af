// The server is killed again and again under load: every acknowledged event is in domain_events exactly once, and every
// aggregate's versions are whole. 3 kills; 100 if TRUNKLINE_LONG is set.
import { expect, test } from 'vitest';
import { migrate, postgres } from '../../src/index.ts';
import { administer } from '../postgres.ts';
import { PostgresServer } from '../postgres-server.ts';
import { Counter } from '../runtime/aggregates.ts';
import { startRuntime, until } from '../runtime/scratch.ts';

const kills = process.env.TRUNKLINE_LONG ? 100 : 3;
const clients = 8;
const commandsBetweenKills = 300;
const backlogLimit = 5_000;

test(`${kills} server kills`, { timeout: 120_000 + kills * 15_000 }, async () => {
  await using server = await PostgresServer.start(['full_page_writes=on', 'synchronous_commit=on']);
  await migrate({ connection: server.url() });
  const store = postgres({ connectionString: server.url() });
  const runtime = await startRuntime({ store, shards: 2 });
  const acknowledged = new Map<string, string>();
  const ids = Array.from({ length: 20 }, () => runtime.newId());
  let stopped = false;
  const client = async (number: number): Promise<void> => {
    for (let i = 0; !stopped; i++) {
      // The server comes back slowly on a busy machine: what it has to catch up with stays bounded.
      const { written, stored } = runtime.status();
      if (written - stored > backlogLimit) await new Promise((resolve) => setTimeout(resolve, 5));
      if (written - stored > backlogLimit) continue;
      const id = ids[(number * 7 + i) % ids.length]!;
      const receipt = await runtime.ref(Counter, id).addMany(1 + (i % 3));
      for (const event of receipt.events) acknowledged.set(event.id, `${id}@${event.version}`);
    }
  };
  const load = Promise.all(Array.from({ length: clients }, (_, number) => client(number)));
  for (let kill = 1; kill <= kills; kill++) {
    const [told, stored] = [acknowledged.size, runtime.status().stored];
    await until(
      () => runtime.status().stored,
      (now) => now > stored,
      60_000,
    );
    await until(
      () => acknowledged.size,
      (now) => now >= told + commandsBetweenKills || runtime.status().written > runtime.status().stored + backlogLimit,
      60_000,
    );
    await server.kill(kill % 3 === 0 ? 'SIGQUIT' : 'SIGKILL');
    await server.restart();
  }
  stopped = true;
  await load;
  await runtime.reached('stored', { signal: AbortSignal.timeout(60_000) });
  const rows = await administer(
    server.url(),
    'select id, aggregate_id, version from trunkline.domain_events order by aggregate_id, version',
  );
  const found = new Map(rows.map(({ id, aggregate_id, version }) => [id, `${aggregate_id}@${version}`]));
  expect(found.size).toBe(rows.length);
  expect([...acknowledged].filter(([id, place]) => found.get(id) !== place)).toEqual([]);
  const heads = await administer(server.url(), 'select aggregate_id, version from trunkline.aggregates');
  for (const { aggregate_id, version } of heads) {
    const versions = rows.filter((row) => row.aggregate_id === aggregate_id).map((row) => row.version);
    expect(versions).toEqual(Array.from({ length: version }, (_, i) => i + 1));
  }
  expect(runtime.status()).toMatchObject({ quarantined: 0 });
});
