// A service under Node's flags of hardening: a command, a handler, an effect, and a second start on what the first has left.
// argv: data directory.
import { createRuntime } from '../../src/index.ts';
import { Counter } from './aggregates.ts';

const dataDir = process.argv[2]!;
for (let run = 1; run <= 2; run++) {
  const runtime = await createRuntime({ dataDir, aggregates: [Counter], shards: 1 });
  const receipt = await runtime.ref(Counter, 'a').with({ ack: 'stored' }).add(1);
  const subscription = runtime.subscribe({ name: 'counts', handle: (_, { tx }) => tx.put('table', 'key', run) });
  await subscription.caughtUpTo(receipt);
  console.log(JSON.stringify([receipt.value, await runtime.effect('table', 'key')]));
  await runtime.close();
}
