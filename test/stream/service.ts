// A service that publishes under load, to be killed or frozen at any instant. Tells its parent line by line what it was
// told. A line is one writeSync to a pipe: what has been written there outlives the process.
import { writeSync } from 'node:fs';
import { createRuntime, kafka } from '../../src/index.ts';
import type { KafkaOptions } from '../../src/kafka.ts';
import { Counter } from '../runtime/aggregates.ts';

const [dataDir, optionsJson] = process.argv.slice(2) as [string, string];
const tell = (line: object): void => {
  try {
    writeSync(1, `${JSON.stringify(line)}\n`);
  } catch {
    process.kill(process.pid, 'SIGKILL'); // nobody listens any more
  }
};
// However the parent ends, so do we.
process.stdin.resume().once('close', () => process.kill(process.pid, 'SIGKILL'));
const keep = ({ err }: { err?: { code: string } }): void => void (err && tell({ kind: 'error', code: err.code }));

const runtime = await createRuntime({
  dataDir,
  aggregates: [Counter],
  shards: 1,
  stream: kafka(JSON.parse(optionsJson) as KafkaOptions),
  logger: { debug() {}, info() {}, warn: keep, error: keep } as never,
});
tell({ kind: 'started' });

const acks = ['written', 'written', 'synced', 'published'] as const;

async function client(number: number): Promise<void> {
  for (let i = 0; ; i++) {
    const counter = runtime.ref(Counter, `c${(number * 7 + i) % 11}`).with({ ack: acks[(number + i) % acks.length]! });
    const { events } = await counter.addMany(1 + (i % 4));
    tell({ kind: 'acknowledged', ids: events.map(({ id }) => id) });
  }
}

await Promise.all(Array.from({ length: 8 }, (_, number) => client(number))).catch((error: { code: string }) =>
  tell({ kind: 'ended', code: error.code }),
);
await new Promise(() => setInterval(() => {}, 1e6));
