// Fills a log and waits to be killed: the program that `start-after-kill.ts` starts after.
import { createRuntime } from '../src/index.ts';
import { Probe } from './aggregates.ts';

const [dataDir, count] = process.argv.slice(2) as [string, string];
const log = { maxBytes: 4 * 2 ** 30, retainBytes: 3 * 2 ** 30 };
const runtime = await createRuntime({ logger: false, dataDir, aggregates: [Probe], shards: 1, log });
const perCommand = 100;
const lanes = 16;
await Promise.all(
  Array.from({ length: lanes }, async (_, lane) => {
    for (let i = 0; i < Number(count) / perCommand / lanes; i++)
      await runtime.ref(Probe, `p${lane}-${i}`).routeMany(perCommand);
  }),
);
console.log('filled');
process.stdin.resume().on('end', () => process.exit()); // the bench is gone: so are we
