// Slows one path of the product on purpose, to show that the gate sees it: test/bench/gate.test.ts. Nothing in src knows of
// it: loaded before everything else in every thread (`node --import bench/slow.ts`, which worker threads inherit), it wraps
// one method, named by TRUNKLINE_BENCH_SLOW, of the class that the path runs through.
import fs, { closeSync, existsSync, fdatasyncSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { scratchRoot } from './scratch.ts';

/** Far beyond any budget on the path, in milliseconds. */
const waitMs = 5;

/** Holds the thread, as slow code would; but leaves the core to the others, so that only this path is slower. */
export const hold = (ms: number): unknown => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

const slowed: string | undefined = process.env.TRUNKLINE_BENCH_SLOW;

/** For what is not a method: the suite itself calls this where the path runs; undefined unless this path is to be slow. */
export const slowPath = (path: string): (() => void) | undefined =>
  slowed === path ? () => void hold(waitMs) : undefined;

type Method = (this: any, ...args: any[]) => unknown;

/** Do something before each call of a method. */
function before(of: { prototype: object }, name: string, act: (self: any, args: any[]) => void): void {
  const prototype = of.prototype as Record<string, Method>;
  const method = prototype[name];
  if (typeof method !== 'function') throw new Error(`there is no method ${name} to be slowed`);
  prototype[name] = function (...args) {
    act(this, args);
    return method.apply(this, args);
  };
}

/** Also bytes that no request asked for, to the disk. */
function wasteDisk(): void {
  const file = join(scratchRoot(), `trunkline-bench-waste-${process.pid}`);
  const descriptor = openSync(file, 'w');
  writeSync(descriptor, Buffer.alloc(32 << 20, 1));
  fdatasyncSync(descriptor);
  closeSync(descriptor);
  rmSync(file);
}

/** One entry a path, by the name that budget.json gives it. */
const slowing: Readonly<Record<string, () => Promise<void>>> = {
  async raise() {
    const { Execution } = await import('../src/shard/execution.ts');
    before(Execution, 'raise', () => hold(2)); // some commands of the suites raise thousands
  },
  async command() {
    const { Shard } = await import('../src/shard/shard.ts');
    before(Shard, 'execute', () => hold(waitMs));
  },
  async sync() {
    const own = fs.fdatasyncSync;
    fs.fdatasyncSync = (descriptor) => {
      hold(100 * waitMs);
      own(descriptor);
    };
    syncBuiltinESMExports();
  },
  async store() {
    const { EmbeddedSink } = await import('../src/adapters/lmdb/store/sink.ts');
    before(EmbeddedSink, 'write', () => hold(10 * waitMs));
  },
  async replay() {
    const { EmbeddedReader } = await import('../src/adapters/lmdb/store/reader.ts');
    before(EmbeddedReader, 'load', () => hold(100 * waitMs));
  },
  async rehearse() {
    const { EmbeddedStore } = await import('../src/adapters/lmdb/store/embedded.ts');
    before(EmbeddedStore, 'framesFrom', () => hold(waitMs));
  },
  async listener() {
    const { Bus } = await import('../src/bus/bus.ts');
    before(Bus, 'emit', () => hold(4 * waitMs));
  },
  async publish() {
    const { EventPublisher } = await import('../src/entity/publisher.ts');
    before(EventPublisher, 'prepare', () => hold(waitMs));
  },
  async serialise() {}, // the suite calls `slowPath`
  async import() {}, // likewise
  async upcasting() {}, // likewise
  async start() {
    if (!isMainThread) return;
    const { LogThreads } = await import('../src/log/threads.ts');
    const own = LogThreads.start;
    LogThreads.start = (...args) => {
      hold(8000);
      return own.apply(LogThreads, args);
    };
  },
  async growth() {
    const { EmbeddedReader } = await import('../src/adapters/lmdb/store/reader.ts');
    before(EmbeddedReader, 'load', (reader) => hold(Math.max(0, reader.checkpoint() - 1200) / 20));
  },
  async save() {
    const { PostgresAppend } = await import('../src/adapters/postgres/outbox/append.ts');
    before(PostgresAppend, 'append', () => hold(10 * waitMs));
  },
  async postgres() {
    const { PostgresSink } = await import('../src/adapters/postgres/flush/sink.ts');
    before(PostgresSink, 'write', () => hold(80 * waitMs));
  },
  async 'postgres-replay'() {
    const { PostgresArchive } = await import('../src/adapters/postgres/read/archive.ts');
    before(PostgresArchive, 'copyPage', () => hold(20 * waitMs));
  },
  async kafka() {
    const { Planner } = await import('../src/adapters/kafka/plan.ts');
    before(Planner, 'requests', () => hold(100 * waitMs));
  },
  /** Commands suffer while a server behind the log hangs. */
  async hang() {
    const flag = join(scratchRoot(), `trunkline-bench-hang-${process.pid}`);
    const { Shard } = await import('../src/shard/shard.ts');
    before(Shard, 'execute', () => existsSync(flag) && hold(60 * waitMs)); // beyond what a busy machine adds
    if (!isMainThread) return;
    const { Kafka } = await import('../test/kafka.ts');
    const { PostgresServer } = await import('../test/postgres-server.ts');
    for (const [of, begins, ends] of [
      [Kafka, 'freeze', 'thaw'],
      [PostgresServer, 'hold', 'release'],
    ] as const) {
      before(of as unknown as { prototype: object }, begins, () => writeFileSync(flag, ''));
      before(of as unknown as { prototype: object }, ends, () => rmSync(flag, { force: true }));
    }
  },
  async timer() {
    const { Timers } = await import('../src/timers/timers.ts');
    before(Timers, 'deliver', () => hold(waitMs));
  },
  async handlers() {
    const { EventDispatcher } = await import('../src/subscriptions/event-dispatcher.ts');
    before(EventDispatcher, 'take', () => hold(1)); // each event of a catch-up
  },
  async disk() {
    const { EmbeddedSink } = await import('../src/adapters/lmdb/store/sink.ts');
    before(EmbeddedSink, 'write', wasteDisk); // behind the commands, which keep their pace
  },
  async memory() {
    const { ActorCache } = await import('../src/shard/actor-cache.ts');
    before(ActorCache, 'add', (_, [actor]) => {
      actor.waste = Array.from({ length: 4_000 }, (__, i) => i + 0.5);
    });
  },
};

export const slowedPaths: readonly string[] = Object.keys(slowing);

if (slowed !== undefined) {
  const slow = slowing[slowed];
  if (slow === undefined) throw new Error(`TRUNKLINE_BENCH_SLOW names no path: ${slowed}`);
  await slow();
}
