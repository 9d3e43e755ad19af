// Whatever grows, filled faster than it is emptied, round after round: nothing may be larger at the end than its bound. By
// counts, never by time or memory. Each place is the real thing, with the real environments behind it.
import { join } from 'node:path';
import { LmdbTables } from '../../src/adapters/lmdb/handlers/tables.ts';
import { openEnvironment } from '../../src/adapters/lmdb/store/environment.ts';
import { EmbeddedSink } from '../../src/adapters/lmdb/store/sink.ts';
import { PositionQueue, type Queued } from '../../src/base/position-queue.ts';
import { Refusals } from '../../src/dispatch/refusals.ts';
import { Heads } from '../../src/entity/heads.ts';
import { StateTables } from '../../src/handler-state/handler-state.ts';
import { Inbox } from '../../src/handler-state/once.ts';
import { createRuntime, isError, type Runtime } from '../../src/index.ts';
import { addIncarnation, beginRun, newMarker, readMarker } from '../../src/log/run-manifest.ts';
import { IdleStages } from '../../src/shard/idle-stages.ts';
import { FrameKind } from '../../src/wire/frame.ts';
import { TestControlBlock } from '../control-block.ts';
import { Counter } from '../fixtures/counter.ts';
import { batchOf } from '../store/sample.ts';
import type { Family, FaultRun } from './family.ts';

/** One thing that grows. */
interface Place {
  bound: number;
  /** Put in more than is taken out meanwhile. */
  fill(round: number): Promise<void> | void;
  size(): Promise<number> | number;
  end?(): Promise<void>;
}

const actorLimit = 100;
const spare = 64;
const second = 1000;
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

export const bounds: Family = {
  about: 'each table, map, queue and file that grows, filled faster than it is emptied: none may outgrow its bound',
  sizes: { rounds: 6 },
  async run(run) {
    for (const [name, begin] of Object.entries(places)) {
      const place = await begin(run);
      try {
        for (let round = 1; round <= run.size('rounds'); round++) {
          await place.fill(round);
          run.faults++;
          const size = await place.size();
          if (size > place.bound) run.fail(`${name}: ${size} after round ${round}, and may be ${place.bound}`);
        }
      } finally {
        await place.end?.();
      }
    }
  },
};

const places: Readonly<Record<string, (run: FaultRun) => Promise<Place> | Place>> = {
  'live actors': async (run) => {
    const runtime = await start(run);
    return {
      bound: actorLimit + spare,
      async fill(round) {
        await Promise.all(range(3000).map((i) => runtime.ref(Counter, `a${round}-${i}`).add(1)));
        run.findings.acknowledged += 3000;
      },
      size: () => runtime.status().actors,
      end: () => runtime.close(),
    };
  },

  'live actors, where what has no room is refused': async (run) => {
    const runtime = await start(run, 'reject');
    let acknowledged = 0;
    return {
      bound: actorLimit + spare,
      async fill(round) {
        const commands = range(1000).map((i) => runtime.ref(Counter, `r${round}-${i}`).add(1));
        for (const result of await Promise.allSettled(commands)) {
          if (result.status === 'fulfilled') acknowledged++;
          else if (!isError(result.reason, 'TooManyUnstored')) run.fail(`refused with ${result.reason}`);
        }
      },
      async size() {
        await runtime.reached('stored');
        const { written } = runtime.status();
        if (written !== acknowledged) run.fail(`${written} events of ${acknowledged} acknowledged commands`);
        return runtime.status().actors;
      },
      async end() {
        run.findings.acknowledged += acknowledged;
        await runtime.close();
      },
    };
  },

  'outcomes of keyed commands that are not stored': async (run) => {
    const runtime = await start(run, 'reject');
    return {
      bound: 0,
      async fill(round) {
        const open = new Set(range(1000).map((i) => `${round}-${i}`));
        while (open.size > 0) {
          const asked = [...open].map(async (idempotencyKey) => {
            try {
              await runtime.ref(Counter, `k${idempotencyKey.length}`).with({ idempotencyKey }).add(1);
              open.delete(idempotencyKey);
            } catch (error) {
              if (!isError(error, 'TooManyUnstored')) throw error;
            }
          });
          await Promise.all(asked);
          await runtime.reached('stored');
        }
      },
      // Each key was executed once, however often it was refused.
      async size() {
        let total = 0;
        for await (const event of runtime.events({ types: ['Added'] })) total += event.version > 0 ? 1 : 0;
        const rounds = total / 1000;
        return Number.isInteger(rounds) ? 0 : total;
      },
      end: () => runtime.close(),
    };
  },

  'receipts in the store': async (run) => {
    const folder = run.folder();
    const sink = new EmbeddedSink(folder, 'log-1');
    await sink.open();
    const environment = openEnvironment(folder, true);
    let next = 1;
    return {
      bound: 4000,
      fill(round) {
        const groups = range(4000).map((i) => [
          {
            kind: FrameKind.receipt,
            version: 1,
            name: `key-${round}-${i}`,
            data: { value: i, events: 0, expiresAt: 1 },
          },
        ]);
        const batch = batchOf(next, groups);
        sink.write(batch);
        next = batch.toPosition + 1;
      },
      size() {
        environment.root.resetReadTxn();
        const { entryCount } = environment.receipts.getStats() as { entryCount: number };
        environment.root.resetReadTxn();
        return entryCount;
      },
      async end() {
        await environment.root.close();
        await sink.close();
      },
    };
  },

  'keys of once': async (run) => {
    const handlerState = tablesIn(run);
    let now = 1_000_000;
    const inbox = new Inbox(handlerState, 60 * second, () => now);
    return {
      bound: 3 * 3000, // those of a minute live; what has expired goes as the next ones come
      async fill(round) {
        await Promise.all(range(3000).map((i) => inbox.once(`m${round}-${i}`, () => i)));
        await handlerState.durable();
        now += 61 * second;
      },
      size: async () => (await handlerState.range('inbox')).length,
      end: () => handlerState.close(),
    };
  },

  'entities that the store does not have': async (run) => {
    const runtime = await start(run);
    const { heads } = runtime.publisher as unknown as { heads: Heads };
    const publish = (id: string): Promise<unknown> =>
      runtime.publisher.publish({ aggregateType: 'doc', aggregateId: id, type: 'Made', data: {} });
    return {
      bound: actorLimit,
      async fill(round) {
        await Promise.all(range(2000).map((i) => publish(i % 10 === 0 ? 'hot' : `d${round}-${i}`)));
        run.findings.acknowledged += 2000;
      },
      size: () => heads.size,
      end: () => runtime.close(),
    };
  },

  'heads behind one that is published all the time': () => {
    const control = new TestControlBlock();
    const heads = new Heads(control, () => undefined);
    let position = 0;
    const publish = (id: string, version: number): void => {
      heads.publishing('doc', id, version);
      heads.written('doc', id, version, ++position);
    };
    return {
      bound: 3,
      fill(round) {
        for (let i = 1; i <= 1000; i++) {
          publish('hot', (round - 1) * 1000 + i);
          publish(`d${round}-${i}`, 1);
          control.publish('remembered', position - 1);
        }
      },
      size: () => heads.size,
    };
  },

  'incarnations in log.json': (run) => {
    const folder = run.folder();
    let manifest = newMarker('boot');
    return {
      bound: 12, // of chunks 90 to 100, one each, and the run of now
      fill(round) {
        for (let i = 0; i < 50; i++) {
          // Some runs write a chunk, most write none; the log keeps the last ten.
          const position = 10 * round + Math.floor(i / 10);
          beginRun(folder, addIncarnation(manifest, position), 'boot', Math.max(1, position - 9));
          manifest = readMarker(folder)!;
        }
      },
      size: () => manifest.incarnations.length,
    };
  },

  'changes that handlers side by side might have read': async (run) => {
    const handlerState = tablesIn(run);
    const { recent } = handlerState as unknown as { recent: { changedAt: Map<string, number> } };
    let reading = handlerState.beginReading();
    let count = 0;
    return {
      bound: 200,
      async fill() {
        // One reading begins before the last one ends, without end.
        for (let i = 0; i < 50; i++) {
          for (let j = 0; j < 100; j++) handlerState.stage('effects:t', `k${count++}`, 1);
          const next = handlerState.beginReading();
          handlerState.stage('effects:t', `seen${count}`, 1);
          handlerState.endReading(reading);
          if (!handlerState.changedSince(next, 'effects:t', `seen${count}`))
            run.fail('a change was forgotten too soon');
          reading = next;
        }
        await handlerState.durable();
      },
      size: () => recent.changedAt.size,
      end: () => handlerState.close(),
    };
  },

  'memory of asynchronous commands': () => {
    const stages = new IdleStages(1 << 20);
    return {
      bound: 256,
      fill() {
        const taken = range(2000).map(() => stages.take());
        for (const stage of taken) stages.giveBack(stage);
      },
      size: () => stages.count,
    };
  },

  'events that the store has refused': () => {
    const refusals = new Refusals();
    const kept = (refusals as unknown as { byPosition: Map<number, unknown> }).byPosition;
    return {
      bound: 65_536,
      fill(round) {
        const one = { aggregateType: 'a', aggregateId: 'a', version: 1, reason: 'test' };
        refusals.add(
          range(20_000).map((i) => ({ ...one, position: round * 20_000 + i })),
          0,
        );
      },
      size: () => kept.size,
    };
  },

  'looks at what waits for a position that does not come': () => {
    let looks = 0;
    const queue = new PositionQueue<Queued>();
    const waiting = (position: number): Queued => ({
      get position() {
        looks++;
        return position;
      },
      place: -1,
      order: 0,
    });
    let last = 0;
    return {
      bound: 10_000 * 40,
      fill() {
        looks = 0;
        for (let i = 0; i < 10_000; i++) {
          queue.add(waiting(1_000_000 + last++));
          queue.takeUpTo(i);
        }
      },
      size: () => looks,
    };
  },
};

function start(run: FaultRun, whenFull: 'wait' | 'reject' = 'wait'): Promise<Runtime> {
  const dataDir = join(run.folder(), 'data');
  return createRuntime({ dataDir, logger: false, aggregates: [Counter], shards: 1, actorLimit, flush: { whenFull } });
}

function tablesIn(run: FaultRun): StateTables {
  const folder = join(run.folder(), 'handlers');
  return new StateTables(() => LmdbTables.open(folder), {
    checkpointDelayMs: 0,
    stagedChangesLimit: 50_000,
    onError: (error) => run.fail(String(error)),
  });
}
