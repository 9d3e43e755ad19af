// What the figures were taken on: CPU, cores, Node, and how long the device itself takes for an fdatasync.
import { closeSync, fdatasyncSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { Latencies, type Percentiles } from './histogram.ts';
import { payloadBytes } from './payload.ts';
import { scratchRoot } from './scratch.ts';

export interface Machine {
  cpu: string;
  cores: number;
  memoryGiB: number;
  kernel: string;
  node: string;
  payloadBytes: number;
  /** Microseconds for an append of 400 bytes and its fdatasync. */
  fdatasync: Percentiles;
  /** Of the last minute, before anything was measured: a busy machine's figures say little. */
  load: number;
}

export function machine(): Machine {
  const file = join(scratchRoot(), `trunkline-bench-${process.pid}`);
  const descriptor = openSync(file, 'w');
  const block = Buffer.alloc(400, 1);
  const latencies = new Latencies();
  const load = loadavg()[0]!;
  for (let i = 0; i < 200; i++) {
    writeSync(descriptor, block);
    const start = performance.now();
    fdatasyncSync(descriptor);
    latencies.since(start);
  }
  closeSync(descriptor);
  rmSync(file);
  return {
    cpu: cpuName(),
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    payloadBytes,
    fdatasync: latencies.percentiles,
    load,
  };
}

const cpuName = (): string => {
  const model = cpus()[0]?.model ?? 'unknown CPU';
  const mhz = /cpu MHz\s*: (\d+)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1];
  return mhz === undefined ? model : `${model} at ${mhz} MHz`;
};

export function describe(m: Machine): string[] {
  const busy = m.load > 0.3 * m.cores ? ': BUSY, figures taken now are noise' : '';
  return [
    `${m.cpu}, ${m.cores} cores, ${m.memoryGiB} GiB, Linux ${m.kernel}, Node ${m.node}, load ${m.load.toFixed(2)}${busy}`,
    `payload ${m.payloadBytes} bytes; the device's own append + fdatasync: p50 ${Math.round(m.fdatasync.p50)} µs, p99 ${Math.round(m.fdatasync.p99)} µs`,
  ];
}
