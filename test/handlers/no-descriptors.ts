// A service with a subscription whose process has no descriptor left for a while. argv: data directory.
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createRuntime } from '../../src/index.ts';
import { ask } from '../../src/runtime/ask-owner.ts';
import { Counter } from '../fixtures/counter.ts';

const dataDir = process.argv[2]!;
const told: string[] = [];
const hear = (_: object, message: string): void => {
  told.push(message);
};
const logger = { debug() {}, info() {}, warn: hear, error: hear };
const runtime = await createRuntime({ dataDir, aggregates: [Counter], shards: 1, logger });
const subscription = runtime.subscribe({ name: 'a', handle: () => {} });
await subscription.caughtUpTo(0);
await runtime.ref(Counter, 'first').add(1);
const requests = join(dataDir, 'handlers/requests');
mkdirSync(requests, { recursive: true });

const held: number[] = [];
let usedUp: string | undefined;
try {
  for (;;) held.push(openSync('/dev/null', 'r'));
} catch (error) {
  usedUp = (error as NodeJS.ErrnoException).code;
}
const failed = 'requests of other processes cannot be served, retrying';
while (!told.includes(failed)) await new Promise((resolve) => setTimeout(resolve, 20));
for (const descriptor of held.splice(0)) closeSync(descriptor);

writeFileSync(join(requests, 'no-request.txt'), '');
await ask(join(dataDir, 'handlers'), { kind: 'requeue', which: { all: true }, dryRun: false }, { timeoutMs: 30_000 });
const { value } = await runtime.ref(Counter, 'second').add(1);
await runtime.close();
process.stdout.write(JSON.stringify({ usedUp, answer: 'done', value }));
