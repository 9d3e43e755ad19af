// Latencies, kept in a histogram of constant size (node's own, HdrHistogram inside, three significant figures): recording
// one allocates nothing, so it may stand between two measurements.
//
// Where load is paced, measure from the moment a call was due, not from when it was made: then a stall counts against every
// call that it kept waiting, and nothing is omitted. `paced` does that.
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

export interface Percentiles {
  p50: number;
  p99: number;
  p999: number;
}

/** Where a distribution is drawn: shares below which so many of the latencies lie. */
const drawnShares: readonly number[] = [
  0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 0.99999,
];

/** A point of a distribution: this share of all latencies is at most so many microseconds. */
export type Point = readonly [share: number, micros: number];

const NANOS = 1000;

export class Latencies {
  private readonly histogram: RecordableHistogram = createHistogram({ figures: 3 });

  get count(): number {
    return this.histogram.count;
  }

  /** In microseconds. */
  record(micros: number): void {
    this.histogram.record(Math.max(1, Math.round(micros * NANOS)));
  }

  /** Time since `start` (of `performance.now()`). */
  since(start: number): void {
    this.record((performance.now() - start) * 1000);
  }

  add(other: Latencies): void {
    this.histogram.add(other.histogram);
  }

  /** Microseconds that this share of the latencies does not exceed; 0 if there are none. */
  at(share: number): number {
    return this.count === 0 ? 0 : this.histogram.percentile(share * 100) / NANOS;
  }

  get percentiles(): Percentiles {
    return { p50: this.at(0.5), p99: this.at(0.99), p999: this.at(0.999) };
  }

  /** The curve, as far as there are latencies enough to speak of such a share. */
  get points(): Point[] {
    return drawnShares.filter((share) => this.count * (1 - share) > 0.99).map((share) => [share, this.at(share)]);
  }
}

export interface Paced {
  latencies: Latencies;
  /** Calls made per second; less than asked for if the machine could not keep up. */
  perSecond: number;
}

/**
 * Make `perSecond` calls a second for so long, whether or not earlier ones have returned. Latency is counted from the moment
 * that a call was due. Between calls the event loop turns: a timer's millisecond is too coarse to pace by.
 */
export function paced(
  perSecond: number,
  seconds: number,
  call: (i: number, due: number) => Promise<unknown>,
): Promise<Paced> {
  const latencies = new Latencies();
  const total = Math.max(1, Math.round(perSecond * seconds));
  const intervalMs = 1000 / perSecond;
  const start = performance.now();
  let [made, settled] = [0, 0];
  return new Promise((resolve, reject) => {
    const turn = (): void => {
      const now = performance.now();
      while (made < total && start + made * intervalMs <= now) {
        const due = start + made * intervalMs;
        call(made++, due).then(() => {
          latencies.since(due);
          if (++settled === total) resolve({ latencies, perSecond: total / ((performance.now() - start) / 1000) });
        }, reject);
      }
      if (made < total) setImmediate(turn);
    };
    turn();
  });
}
