// A service whose handler, in a thread of its own, loses that thread while so many descriptors of the process are free:
// `spare`. argv: data directory, spare.
import { closeSync, openSync } from 'node:fs';
import { createRuntime } from '../../src/index.ts';
import { Counter } from '../fixtures/counter.ts';

const [dataDir, spare] = [process.argv[2]!, Number(process.argv[3])];
const warnings: string[] = [];
const warn = (_: object, message: string): void => {
  warnings.push(message);
};
const logger = { debug() {}, info() {}, warn, error() {} };
const runtime = await createRuntime({ dataDir, aggregates: [Counter], shards: 1, logger });
const module = new URL('./ends-thread.ts', import.meta.url).href;
const subscription = runtime.subscribe({ name: 'elsewhere', thread: 'worker', module, retry: { attempts: 1 } });
const isUnready = (): boolean => warnings.some((message) => message.startsWith('a handler has no thread'));
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}
const add = (id: string): Promise<unknown> => runtime.ref(Counter, id).add(1);

await add('ends'); // its letter is on disk before descriptors are used up
await subscription.caughtUpTo(runtime.status().written);
await subscription.pause();
await subscription.resume();
const held: number[] = [];
let usedUp: string | undefined;
try {
  for (;;) held.push(openSync('/dev/null', 'r'));
} catch (error) {
  usedUp = (error as NodeJS.ErrnoException).code;
}
for (const descriptor of held.splice(held.length - spare)) closeSync(descriptor);
await add('innocent-1');
await add('innocent-2');
await until(() => isUnready() || subscription.status().position === runtime.status().written);
const { lastError } = subscription.status();
for (const descriptor of held) closeSync(descriptor);
await subscription.caughtUpTo(runtime.status().written);
const letters = (await runtime.deadLetters.list()).map(({ event }) => event.aggregateId);
const { failures, handled } = subscription.status();
await runtime.close();
process.stdout.write(JSON.stringify({ usedUp, letters, failures, handled, isUnready: isUnready(), lastError }));
