// What the benchmarks run commands on. Imported by shard threads: only what it uses.
import { defineAggregate } from '../src/model/aggregate.ts';
import { event } from '../src/model/event-spec.ts';
import { heapBytes } from './heap.ts';
import { Latencies, type Percentiles } from './histogram.ts';
import { type Routed, routed } from './payload.ts';

export const Probe = defineAggregate('probe', {
  module: import.meta.url,
  state: (): { count: number } => ({ count: 0 }),
  events: { CallRouted: event<Routed>() },
  evolve: { CallRouted: (state) => ({ count: state.count + 1 }) },
  snapshot: { every: 0 },
  commands: {
    route(probe, data: Routed) {
      probe.raise('CallRouted', data);
    },
    routeMany(probe, count: number) {
      for (let i = 0; i < count; i++) probe.raise('CallRouted', routed(i));
    },
    nothing() {},

    /** Rounds of stringify and raise in turn, each timed alone and in bursts of 16 (which hides the clock's own cost). */
    timeRaise(probe, rounds: number): { stringify: Percentiles; raise: Percentiles; singles: number[] } {
      const data = routed(1);
      const [stringify, raise] = [new Latencies(), new Latencies()];
      const singles = new Array<number>(rounds).fill(0);
      let length = 0;
      for (let round = 0; round < rounds; round++) {
        let start = performance.now();
        for (let i = 0; i < 16; i++) length += JSON.stringify(data).length;
        stringify.record(((performance.now() - start) * 1000) / 16);
        start = performance.now();
        for (let i = 0; i < 16; i++) probe.raise('CallRouted', data);
        raise.record(((performance.now() - start) * 1000) / 16);
        start = performance.now();
        probe.raise('CallRouted', data);
        singles[round] = (performance.now() - start) * 1000;
      }
      if (length < 0) throw new Error('unreachable: keeps the work alive');
      return { stringify: stringify.percentiles, raise: raise.percentiles, singles };
    },

    /** So many raises, each timed alone: microseconds. */
    timeEach(probe, count: number): number[] {
      const data = routed(1);
      return Array.from({ length: count }, () => {
        const start = performance.now();
        probe.raise('CallRouted', data);
        return (performance.now() - start) * 1000;
      });
    },

    /** Bytes of this thread's heap after a full collection. */
    heapBytes(): number {
      return heapBytes();
    },
  },
});
