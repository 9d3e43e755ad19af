// A service with a small log whose aggregates send each other more than it holds, until it is killed; or, at the end, until
// every message has been carried out.
import { rmSync, writeFileSync } from 'node:fs';
import { createRuntime, isError } from '../../src/index.ts';
import { integerFrom, oneOf, randomFrom } from '../random.ts';
import { failsFile, Parcel, slowFile } from './parcels.ts';
import { argumentFromParent, say } from './parent.ts';

export interface CrowdedSettings {
  dataDir: string;
  /** Where the files are that make targets slow, or fail. */
  folder: string;
  seed: number;
  commands: number;
  /** Nothing is in the way any more, and nothing is sent: all is to be carried out. */
  isLast: boolean;
}

/** What a sender's command said that it has sent; at the end, what each aggregate holds. */
export type CrowdedLine =
  | { kind: 'sent'; from: string; to: string[]; count: number }
  | {
      kind: 'holds';
      id: string;
      sent: Readonly<Record<string, number>>;
      taken: Readonly<Record<string, readonly number[]>>;
    }
  | { kind: 'wrong'; what: string };

const senders = ['s0', 's1', 's2'];
const targets = ['t0', 't1', 't2', 't3'];
const clients = 4;
const { dataDir, folder, seed, commands, isLast } = await argumentFromParent<CrowdedSettings>();
const random = randomFrom(seed);
const tell = (line: CrowdedLine): void => say(JSON.stringify(line));
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

if (isLast)
  for (const id of targets) for (const file of [slowFile, failsFile]) rmSync(file(folder, id), { force: true });
const runtime = await createRuntime({
  logger: false,
  dataDir,
  aggregates: [Parcel],
  shards: 2,
  log: { maxBytes: 2 ** 20, retainBytes: 0 },
  flush: { ringBytes: 65536, batchBytes: 65536, whenFull: random() < 0.5 ? 'wait' : 'reject' },
  messages: { retry: { attempts: 2, minDelayMs: 1 } },
});
if (isLast) await conclude();
else await Promise.all([...Array.from({ length: clients }, client), meddle()]);
// What has begun ends; what has not waits for the next run.
for (const id of targets) rmSync(slowFile(folder, id), { force: true });
await runtime.close();
process.exit(0);

async function client(): Promise<void> {
  for (let left = commands; left > 0; left--) {
    const from = oneOf(random, senders);
    const to = random() < 0.5 ? [oneOf(random, targets)] : targets;
    const [count, bytes] = [integerFrom(random, 1, 4), integerFrom(random, 0, 12_000)];
    try {
      await runtime.ref(Parcel, from).with({ deadlineMs: 1000 }).send(to, count, bytes, folder);
      tell({ kind: 'sent', from, to, count });
    } catch (error) {
      const isPushedBack = ['LogFull', 'RingFull', 'DeadlineExceeded'].some((code) =>
        isError(error, code as 'LogFull'),
      );
      if (!isPushedBack) tell({ kind: 'wrong', what: String(error) });
      await pause(5);
    }
  }
}

/** Targets are slow or fail for a while, each at times of its own; letters are delivered again, some of them in vain. */
async function meddle(): Promise<void> {
  for (let left = commands; left > 0; left--) {
    const id = oneOf(random, targets);
    const file = (random() < 0.7 ? slowFile : failsFile)(folder, id);
    if (random() < 0.5) writeFileSync(file, '');
    else rmSync(file, { force: true });
    if (random() < 0.2) await runtime.deadLetters.messages.requeue({ aggregateId: id });
    await pause(integerFrom(random, 1, 20));
  }
}

async function conclude(): Promise<void> {
  for (;;) {
    await runtime.deadLetters.messages.requeue({ aggregate: Parcel });
    const { messageDeadLetters, messagesUnderWay } = runtime.status();
    if (messageDeadLetters + messagesUnderWay === 0) break;
    await pause(10);
  }
  for (const id of [...senders, ...targets]) {
    const { sent, taken } = (await runtime.ref(Parcel, id).whole()).value;
    tell({ kind: 'holds', id, sent, taken });
  }
}
