// A service with an aggregate that another transaction holds; says when all others' events are stored. Told to go on, it does
// more, says when that is synced, and waits to be killed.
import { writeSync } from 'node:fs';
import { createRuntime, postgres } from '../../../src/index.ts';
import { Counter } from '../../runtime/aggregates.ts';

const [dataDir, connectionString] = process.argv.slice(2) as [string, string];
process.stdin.on('close', () => process.exit(1));
const store = postgres({ connectionString, heldBytes: 16 << 20 });
const runtime = await createRuntime({
  logger: false,
  dataDir,
  aggregates: [Counter],
  shards: 1,
  store,
  waitTimeoutMs: 200_000,
});
const add = (id: string) => runtime.ref(Counter, id).add(1);
for (const id of ['free 1', 'free 2', 'free 3']) {
  await add('held');
  await (await add(id)).reached('stored');
}
writeSync(1, 'stored\n');
process.stdin.once('data', async () => {
  for (const id of ['held', 'free 1']) await (await add(id)).reached('synced');
  writeSync(1, 'more\n');
});
