// What each place of a data directory holds: recovered by a runtime as a user would start it, then read place by place
// behind its back; what its durable handler has done; and what PostgreSQL and Kafka hold, if they were there.
import { join } from 'node:path';
import { EmbeddedStore } from '../../src/adapters/lmdb/store/embedded.ts';
import { createRuntime, type Level, type RecoveryReport, type Runtime, type RuntimeOptions } from '../../src/index.ts';
import { LogWriter, mapBytesFor, openLogReader } from '../../src/log/lmdb.ts';
import { History } from '../../src/store/history.ts';
import { TestControlBlock } from '../control-block.ts';
import { Counter } from '../runtime/aggregates.ts';
import { type Held, heldBy, type Place } from './audit.ts';
import { type ElsewhereSettings, readKafka, readPostgres, storeAndStream } from './elsewhere.ts';
import { readHandled, recorder } from './handled.ts';
import { Victim } from './mischief.ts';
import { readSink } from './sink.ts';

const maxBytes = 32 << 20;
const settleBoundMs = 30_000;

export interface Recovered {
  places: Place[];
  recovery: RecoveryReport;
  /** Events that PostgreSQL has not taken. */
  quarantined: number;
}

type RecoverySettings = Partial<RuntimeOptions> & {
  elsewhere?: ElsewhereSettings;
  /** Whether the service had its durable handler. */
  hasHandler?: boolean;
  /** Whether the service had the sink. One that is new gets `PositionGone` where the log has let go of its beginning. */
  hasSink?: boolean;
};

/**
 * Start, let what was under way end, stop, and read. `bears`: the acknowledgements that the fault may not have touched.
 * With `elsewhere` the store is there, and what lies here is a memory of it.
 */
export async function recoverPlaces(
  dataDir: string,
  bears: Place['bears'],
  { elsewhere, hasHandler = true, hasSink = true, ...options }: RecoverySettings = {},
): Promise<Recovered> {
  const runtime = await createRuntime({
    logger: false,
    ...{ dataDir, aggregates: [Counter, Victim], shards: 1, log: { maxBytes, retainBytes: 1 << 17 } },
    sinks: hasSink ? [{ name: 'file', module: import.meta.resolve('./sink.ts') }] : [],
    ...options,
    ...(elsewhere && storeAndStream(elsewhere)),
  });
  const { recovery } = runtime;
  let [all, handled]: Held[][] = [[], []];
  try {
    const until = Date.now() + settleBoundMs;
    while (runtime.status().messagesUnderWay > 0 && Date.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    if (hasHandler) handled = await settle(runtime, elsewhere ? ['stored', 'published'] : ['stored']);
    all = await collect(heldBy(runtime.events()));
  } finally {
    await runtime.close();
  }
  const places: Place[] = [
    { name: 'runtime', events: all!, bears, isSettled: true },
    { name: 'log', events: await readLog(dataDir), bears, isTail: true },
  ];
  if (hasSink) places.push({ name: 'sink', events: readSink(dataDir).held, bears });
  if (hasHandler) places.push({ name: 'handler', events: handled!, bears, isPerAggregate: true });
  if (!elsewhere) {
    places.push({ name: 'store', events: await readStore(dataDir), bears });
    return { places, recovery, quarantined: 0 };
  }
  const { held, quarantined } = await readPostgres(elsewhere);
  places.push(
    { name: 'PostgreSQL', events: held, bears },
    { name: 'Kafka', events: await readKafka(elsewhere), bears, isPerAggregate: true },
  );
  return { places, recovery, quarantined };
}

/** Until store, stream and handler have everything; what the handler has done. */
async function settle(runtime: Runtime, levels: readonly Level[]): Promise<Held[]> {
  const subscription = runtime.subscribe(recorder(() => {}));
  const signal = AbortSignal.timeout(settleBoundMs);
  await Promise.all(levels.map((level) => runtime.reached(level, { signal })));
  await subscription.caughtUpTo(runtime.status().written, { signal });
  return readHandled(runtime);
}

/** The store alone, as it would answer if the log were empty. */
async function readStore(dataDir: string): Promise<Held[]> {
  const store = EmbeddedStore.open(join(dataDir, 'store'));
  try {
    const control = new TestControlBlock();
    control.publish('written', store.checkpoint());
    const emptyLog = { read: () => undefined, firstPosition: () => 0, close: async () => {} };
    return await collect(heldBy(new History(store, emptyLog, control).events()));
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
    const control = new TestControlBlock();
    control.publish('written', writer.lastPosition);
    const from = Math.max(1, writer.firstPosition);
    return await collect(heldBy(new History(noStore, reader, control).events({ from })));
  } finally {
    await reader.close();
    await writer.close();
  }
}

async function collect(events: AsyncIterable<Held>): Promise<Held[]> {
  const held: Held[] = [];
  for await (const one of events) held.push(one);
  return held;
}
