// Uses the store in every way that reads, closes everything, and tells what would still keep it.
import { createRuntime, openEventStore, postgres } from '../../../src/index.ts';
import { Counter } from '../../runtime/aggregates.ts';

const [connectionString, dataDir] = process.argv.slice(2) as [string, string];
const store = postgres({ connectionString, migrate: true });
{
  await using runtime = await createRuntime({ logger: false, dataDir, store, aggregates: [Counter] });
  await runtime.ref(Counter, 'c').with({ ack: 'stored' }).addMany(5);
  await runtime.store.getByAggregate(Counter, 'c');
}
{
  await using reading = await openEventStore(store);
  for await (const event of reading.query()) void event;
  await reading.stateAt(Counter, 'c', { version: 2 });
}
await new Promise((resolve) => setImmediate(resolve));
console.log(JSON.stringify(process.getActiveResourcesInfo().filter((kind) => kind !== 'PipeWrap')));
