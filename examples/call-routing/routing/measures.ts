// What the router measures of itself, in nanoseconds, in HDR histograms.
import type { RecordableHistogram } from 'node:perf_hooks';
import { createHistogram } from 'node:perf_hooks';

export interface Latency {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/**
 * `invite`: from an INVITE's datagram reaching JavaScript to the forwarded one being handed to the socket. `raise`: the
 * raise of CallRouted inside its command, on the shard's thread. `written`: from calling a command to its receipt, all of
 * the calls' commands. `synced`: from calling `place` to its events being fsynced.
 */
const measured = ['invite', 'raise', 'written', 'synced'] as const;
export type Measured = (typeof measured)[number];

export class Measures {
  readonly #histograms = new Map<Measured, RecordableHistogram>(measured.map((name) => [name, createHistogram()]));

  record(name: Measured, elapsedMs: number): void {
    this.#histograms.get(name)!.record(Math.max(1, Math.round(elapsedMs * 1e6)));
  }

  latency(name: Measured): Latency {
    const histogram = this.#histograms.get(name)!;
    const percentile = (rank: number): number => histogram.percentile(rank) / 1e6;
    return { count: histogram.count, p50Ms: percentile(50), p99Ms: percentile(99) };
  }

  latencies(): Record<Measured, Latency> {
    return Object.fromEntries(measured.map((name) => [name, this.latency(name)])) as Record<Measured, Latency>;
  }
}
