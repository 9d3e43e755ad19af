// Starts and closes a runtime on one directory, again and again, with commands under way and closes that overlap; says
// after each cycle what the process holds.
import { readdirSync } from 'node:fs';
import { createRuntime, TrunklineError } from '../../src/index.ts';
import { integerFrom, randomFrom } from '../random.ts';
import { Counter } from '../runtime/aggregates.ts';
import { argumentFromParent, say } from './parent.ts';

export interface CyclesSettings {
  dataDir: string;
  cycles: number;
  seed: number;
}

export type CyclesLine =
  | { kind: 'cycle'; descriptors: number; threads: number; heapBytes: number; rssBytes: number }
  | { kind: 'wrong'; what: string }
  | { kind: 'done'; acknowledged: number; version: number };

const { dataDir, cycles, seed } = await argumentFromParent<CyclesSettings>();
const random = randomFrom(seed);
const tell = (line: CyclesLine): void => say(JSON.stringify(line));
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
let acknowledged = 0;
for (let cycle = 0; cycle < cycles; cycle++) await one();
const runtime = await createRuntime({ logger: false, dataDir, aggregates: [Counter], shards: 1 });
const { version } = (await runtime.ref(Counter, 'a').whole()).value as { version: number };
await runtime.close();
tell({ kind: 'done', acknowledged, version });
process.exit(0);

async function one(): Promise<void> {
  const runtime = await createRuntime({ logger: false, dataDir, aggregates: [Counter], shards: 1 });
  const sent = Array.from({ length: integerFrom(random, 0, 40) }, () =>
    runtime
      .ref(Counter, 'a')
      .addSlowly(1, integerFrom(random, 0, 3))
      .then(
        () => void acknowledged++,
        (error: unknown) => {
          if (!(error instanceof TrunklineError)) tell({ kind: 'wrong', what: `rejected by ${error}` });
        },
      ),
  );
  await pause(integerFrom(random, 0, 30));
  // Closes at any moment of another close, some with a deadline that cannot be kept.
  const closes: Promise<void>[] = [];
  for (let i = integerFrom(random, 1, 3); i > 0; i--) {
    const deadlineMs = random() < 0.3 ? integerFrom(random, 1, 20) : 30_000;
    closes.push(runtime.close({ deadlineMs }));
    await pause(integerFrom(random, 0, 10));
  }
  for (const result of await Promise.allSettled(closes)) {
    if (result.status === 'fulfilled') continue;
    const { reason } = result;
    if (!(reason instanceof TrunklineError && reason.code === 'CloseTimedOut'))
      tell({ kind: 'wrong', what: `close: ${reason}` });
  }
  await Promise.all(sent);
  globalThis.gc?.();
  const { heapUsed: heapBytes, rss: rssBytes } = process.memoryUsage();
  const [descriptors, threads] = ['fd', 'task'].map((what) => readdirSync(`/proc/self/${what}`).length);
  tell({ kind: 'cycle', descriptors: descriptors!, threads: threads!, heapBytes, rssBytes });
}
