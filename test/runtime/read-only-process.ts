// A service that can write into its data directory alone. argv: the data directory, then folders that cannot be written.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createRuntime } from '../../src/index.ts';
import { Counter } from './aggregates.ts';

const [dataDir, ...others] = process.argv.slice(2);
const refused = others.map((folder) => {
  try {
    writeFileSync(join(folder, 'trunkline-probe'), '');
    return 'written';
  } catch (error) {
    return (error as { code: string }).code;
  }
});
await using runtime = await createRuntime({ dataDir: dataDir!, aggregates: [Counter], shards: 1, logger: false });
const subscription = runtime.subscribe({ name: 'all', handle: (_, { tx }) => tx.put('seen', 'last', true) });
const receipt = await runtime.ref(Counter, 'a').add(1);
await receipt.reached('stored');
await subscription.caughtUpTo(receipt);
process.stdout.write(JSON.stringify({ refused, total: receipt.value }));
