// A service that kills itself (SIGKILL) when the transaction of its first batch is committed, and no checkpoint says so yet.
import { Effects } from '../../src/handler-state/effects.ts';
import { createRuntime, postgres } from '../../src/index.ts';
import { Counter } from '../runtime/aggregates.ts';
import { countEach, eventsRaised } from './regrouped.ts';

const [dataDir, connectionString] = process.argv.slice(2) as [string, string];
process.stdin.on('end', () => process.exit(0)).resume(); // no service outlives its parent

const { commit } = Effects.prototype;
Effects.prototype.commit = async function (...args) {
  const committed = await commit.apply(this, args);
  process.kill(process.pid, 'SIGKILL');
  return committed;
};

const runtime = await createRuntime({
  logger: false,
  dataDir,
  aggregates: [Counter],
  shards: 1,
  store: postgres({ connectionString }),
});
for (let i = 0; i < eventsRaised; i++) await runtime.ref(Counter, 'c').add(1);
await runtime.reached('synced');
runtime.subscribe({ name: 'batches', batch: { max: 5, maxDelayMs: 30_000 }, handle: countEach });
