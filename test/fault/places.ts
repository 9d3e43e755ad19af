// What each place of a data directory holds: recovered by a runtime as a user would start it, then read place by place
// behind its back. Other sinks join here: one more place each.
import { join } from 'node:path';
import { createRuntime, type RecoveryReport, type RuntimeOptions, type StoredEvent } from '../../src/index.ts';
import { Levels } from '../../src/log/levels.ts';
import { LogWriter, mapBytesFor, openLogReader } from '../../src/log/lmdb.ts';
import { History } from '../../src/store/history.ts';
import { EmbeddedStore } from '../../src/store/lmdb/embedded.ts';
import { Counter } from '../runtime/aggregates.ts';
import { type Held, heldBy, heldFrom, type Place } from './audit.ts';
import { Victim } from './mischief.ts';
import { readSink } from './sink.ts';

const maxBytes = 32 << 20;
const settleBoundMs = 30_000;

export interface Recovered {
  places: Place[];
  recovery: RecoveryReport;
}

/** Start, let what was under way end, stop, and read. `bears`: the acknowledgements that the fault may not have touched. */
export async function recoverPlaces(
  dataDir: string,
  bears: Place['bears'],
  options: Partial<RuntimeOptions> = {},
): Promise<Recovered> {
  const runtime = await createRuntime({
    ...{ dataDir, aggregates: [Counter, Victim], shards: 1, log: { maxBytes, retainBytes: 1 << 17 } },
    sinks: [{ name: 'file', module: import.meta.resolve('./sink.ts') }],
    ...options,
  });
  const all: Held[] = [];
  const { recovery } = runtime;
  try {
    const until = Date.now() + settleBoundMs;
    while (runtime.status().messagesUnderWay > 0 && Date.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    for await (const held of heldBy(runtime.events())) all.push(held);
  } finally {
    await runtime.close();
  }
  const [store, log] = [await readStore(dataDir), await readLog(dataDir)];
  const places: Place[] = [
    { name: 'runtime', events: all, bears, isSettled: true },
    { name: 'store', events: store, bears },
    { name: 'log', events: log, bears, isTail: true },
    { name: 'sink', events: readSink(dataDir).held, bears },
  ];
  return { places, recovery };
}

/** The store alone, as it would answer if the log were empty. */
async function readStore(dataDir: string): Promise<Held[]> {
  const store = EmbeddedStore.open(join(dataDir, 'store'));
  try {
    const levels = new Levels();
    levels.publish('written', store.checkpoint());
    const emptyLog = { read: () => undefined, firstPosition: () => 0, close: async () => {} };
    return await collect(new History(store, emptyLog, levels).events());
  } finally {
    await store.close();
  }
}

/** The log alone, from where it still reaches. */
async function readLog(dataDir: string): Promise<Held[]> {
  const [folder, mapBytes] = [join(dataDir, 'log'), mapBytesFor(maxBytes)];
  const writer = LogWriter.open(folder, mapBytes);
  const reader = openLogReader(folder, mapBytes);
  const noStore = { scan: () => ({ page: () => undefined }) } as unknown as EmbeddedStore;
  try {
    const levels = new Levels();
    levels.publish('written', writer.lastPosition);
    return await collect(new History(noStore, reader, levels).events({ from: Math.max(1, writer.firstPosition) }));
  } finally {
    await reader.close();
    await writer.close();
  }
}

async function collect(events: AsyncIterable<StoredEvent>): Promise<Held[]> {
  const held: Held[] = [];
  for await (const event of events) held.push(heldFrom(event));
  return held;
}
