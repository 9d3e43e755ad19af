// A service with a message and an event that end its process. Begins, or goes on with what an earlier run has left; says in one
// line what there is once nothing is left to do, and ends in order. Argument (a line of its input): {@link DeadlySettings}.
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { createRuntime } from '../../src/index.ts';
import { Deadly } from './deadly.ts';

export interface DeadlySettings {
  dataDir: string;
  innocents: number;
  /** The first run: what is deadly is sent. */
  begins: boolean;
}

export interface DeadlyEnd {
  /** By aggregate: how many messages it has taken; how many of its events have been handled. */
  took: Record<string, number>;
  handled: Record<string, number>;
  letters: { position: number; reason: string; code: string | undefined; attempts: number }[];
  messages: { command: string; reason: string; code: string | undefined; attempts: number }[];
}

const [line] = await createInterface({ input: process.stdin })
  [Symbol.asyncIterator]()
  .next()
  .then(({ value }) => [value as string]);
const { dataDir, innocents, begins } = JSON.parse(line!) as DeadlySettings;
const runtime = await createRuntime({
  dataDir,
  aggregates: [Deadly],
  shards: 1,
  messages: { retry: { attempts: 2, minDelayMs: 0 } },
});
const subscription = runtime.subscribe({
  name: 'counting',
  aggregates: [Deadly],
  retry: { attempts: 2, minDelayMs: 0 },
  async handle({ aggregateId, data }, { tx }) {
    tx.put('handled', aggregateId, (((await tx.get('handled', aggregateId)) as number | undefined) ?? 0) + 1);
    if (data.how !== 'floating') return;
    void Promise.reject(new Error('nothing awaits this'));
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  },
});
if (begins) await runtime.ref(Deadly, 'beginning').begin(innocents, 'floating');
const last = (): number => runtime.status().written;
for (let before = -1; before !== last() || runtime.status().messagesUnderWay > 0; ) {
  before = last();
  await runtime.reached('synced');
  await subscription.caughtUpTo(before);
  await new Promise((resolve) => setTimeout(resolve, 5));
}
const ids = ['deadly', ...Array.from({ length: innocents }, (_, i) => `innocent-${i}`)];
const took = await Promise.all(ids.map(async (id) => [id, (await runtime.ref(Deadly, id).took()).value]));
const letters = await runtime.deadLetters.list();
const messages = await runtime.deadLetters.messages.list();
const end: DeadlyEnd = {
  took: Object.fromEntries(took),
  handled: Object.fromEntries((await runtime.effects.range('handled')).map(({ key, value }) => [key, value as number])),
  letters: letters.map(({ event, reason, error, attempts }) => ({
    position: event.position,
    reason,
    code: error?.code,
    attempts,
  })),
  messages: messages.map(({ command, reason, error, attempts }) => ({ command, reason, code: error?.code, attempts })),
};
writeSync(1, `${JSON.stringify(end)}\n`);
await runtime.close();
process.exit(0);
