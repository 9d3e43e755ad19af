// A service whose shard dies, and starts again, while so many descriptors of the process are free: `spare`. argv: data directory,
// spare.
import { closeSync, openSync } from 'node:fs';
import { createRuntime } from '../../src/index.ts';
import { Counter } from './aggregates.ts';

const [dataDir, spare] = [process.argv[2]!, Number(process.argv[3])];
const attempts = 3;
const starts = { attempts, minDelayMs: 1, maxDelayMs: 20 };
const warnings: string[] = [];
const warn = (_: object, message: string): void => {
  warnings.push(message);
};
const logger = { debug() {}, info() {}, warn, error() {} };
const runtime = await createRuntime({ dataDir, aggregates: [Counter], shards: 1, logger, starts });
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
let [down] = runtime.status().downShards;
// Long enough for the watch over shards that do not move.
while (spare === 0 && (down?.forMs ?? 0) < 2_500) {
  await new Promise((resolve) => setTimeout(resolve, 20));
  [down] = runtime.status().downShards;
}
const { heldShards } = runtime.status();
for (const descriptor of held) closeSync(descriptor);
await crash;
const { value } = await counter.add(1);
const { state, downShards } = runtime.status();
const isHeld = heldShards.length > 0 || warnings.some((message) => message.includes('holds its shard'));
await runtime.close();
process.stdout.write(JSON.stringify({ usedUp, value, state, isHeld, down, after: downShards }));
