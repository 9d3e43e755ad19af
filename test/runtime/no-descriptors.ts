// A service whose shard dies, and starts again, while so many descriptors of the process are free: `spare`. argv: data directory,
// spare.
import { closeSync, openSync } from 'node:fs';
import { createRuntime } from '../../src/index.ts';
import { Counter } from './aggregates.ts';

const [dataDir, spare] = [process.argv[2]!, Number(process.argv[3])];
const attempts = 3;
const starts = { attempts, minDelayMs: 1, maxDelayMs: 20 };
const runtime = await createRuntime({ dataDir, aggregates: [Counter], shards: 1, logger: false, starts });
const counter = runtime.ref(Counter, 'a');
await counter.add(1);

const held: number[] = [];
let usedUp: string | undefined;
/** A thread that ends gives descriptors back. */
function useUp(): void {
  try {
    for (;;) held.push(openSync('/dev/null', 'r'));
  } catch (error) {
    usedUp = (error as NodeJS.ErrnoException).code;
  }
  for (const descriptor of held.splice(held.length - spare)) closeSync(descriptor);
}
useUp();
let crash: Promise<void> | undefined;
while (runtime.status().shardDeathsAtStart <= attempts) {
  crash ??= counter.crash().then(
    () => {},
    () => {
      crash = undefined;
    },
  );
  await new Promise((resolve) => setTimeout(resolve, 5));
  useUp();
}
for (const descriptor of held) closeSync(descriptor);
await crash;
const { value } = await counter.add(1);
const { state } = runtime.status();
await runtime.close();
process.stdout.write(JSON.stringify({ usedUp, value, state }));
