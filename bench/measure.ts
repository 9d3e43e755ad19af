// Percentiles, rounds in turn, and a place on disk: what the suites share.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Percentiles {
  p50: number;
  p99: number;
  p999: number;
}

export function percentiles(values: number[]): Percentiles {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999) };
}

export const median = (values: number[]): number => percentiles(values).p50;

/** One line of the table: what was asked, what was measured. */
export interface Row {
  measure: string;
  asked: string;
  measured: string;
  holds: boolean;
  /** What the figure is made of. */
  detail: string;
}

export interface Settings {
  /** Tiny sizes: proves that the suite runs, measures nothing. */
  smoke: boolean;
}

export type Suite = (settings: Settings) => Promise<Row[]>;

/** Run two kinds of work in turn, several rounds, the first one not counted; both see the same state of the machine. */
export async function interleave<A, B>(
  rounds: number,
  a: () => Promise<A>,
  b: () => Promise<B>,
): Promise<{ a: A[]; b: B[] }> {
  const results = { a: [] as A[], b: [] as B[] };
  for (let round = 0; round <= rounds; round++) {
    const [resultA, resultB] = [await a(), await b()];
    if (round > 0) {
      results.a.push(resultA);
      results.b.push(resultB);
    }
  }
  return results;
}

export async function onScratchFolder<T>(work: (dataDir: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(process.env.TRUNKLINE_BENCH_DIR ?? tmpdir(), 'trunkline-bench-'));
  try {
    return await work(join(folder, 'data'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export const micros = (value: number): string => `${value.toFixed(value < 10 ? 2 : 0)} µs`;
export const thousands = (value: number): string =>
  `${Math.round(value / 1000)},000`.replace(/^(\d+)(\d{3}),/, '$1,$2,');
export const times = (value: number): string => `${value.toFixed(2)} ×`;

/** Keep `depth` calls in flight until `count` have been made; calls per second. */
export async function pipelined(count: number, depth: number, call: (i: number) => Promise<unknown>): Promise<number> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await call(next++);
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: depth }, lane));
  return count / ((performance.now() - start) / 1000);
}

/** Run a suite by itself when its file is the program. */
export async function runAlone(url: string, suite: Suite): Promise<void> {
  if (process.argv[1] !== new URL(url).pathname) return;
  const { printMachine, printRows } = await import('./report.ts');
  printMachine();
  printRows(await suite({ smoke: process.argv.includes('--smoke') }));
}
