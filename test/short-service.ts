// A runtime from its start to its end, twice on one directory; says `served`, and ends if nothing keeps the process. argv:
// the data directory.
import { createRuntime } from '../src/index.ts';
import { Counter } from './fixtures/counter.ts';

const dataDir = process.argv.at(-1)!;
for (const total of [1, 2]) {
  const runtime = await createRuntime({ dataDir, aggregates: [Counter], shards: 1, logger: false });
  const subscription = runtime.subscribe({ name: 'reader', handle: () => {} });
  const added = await runtime.ref(Counter, 'a').add(1);
  if (added.value !== total) throw new Error(`${added.value} instead of ${total}`);
  await subscription.caughtUpTo(added);
  await runtime.close();
}
console.log('served');
