// What the suites share: sizes, rounds in turn, and load.
import { fileURLToPath } from 'node:url';
import type { Row } from './budget.ts';
import { Latencies, type Percentiles, type Point } from './histogram.ts';

export { answer, type Row } from './budget.ts';
export { Latencies, type Percentiles, type Point, paced } from './histogram.ts';
export { median } from './median.ts';
export { onScratchFolder } from './scratch.ts';

export function percentiles(values: readonly number[]): Percentiles {
  const latencies = new Latencies();
  for (const value of values) latencies.record(value);
  return latencies.percentiles;
}

/** A latency distribution, drawn in the report under this name. */
export interface Curve {
  label: string;
  points: Point[];
}

export interface Settings {
  /** Tiny sizes: proves that the suite runs, measures nothing. */
  smoke: boolean;
  /** Seconds instead of minutes: enough for budgets with a wide margin. */
  quick: boolean;
  /** Keep a latency distribution for the report. */
  draw: (label: string, latencies: Latencies) => void;
}

export type Suite = (settings: Settings) => Promise<Row[]>;

/** The size for this run. */
export const sized = <T>({ smoke, quick }: Settings, sizes: { smoke: T; quick: T; full: T }): T =>
  smoke ? sizes.smoke : quick ? sizes.quick : sizes.full;

/** Rounds of a budget: five are the least that is measured. */
export const roundsOf = ({ smoke, quick }: Settings, full: number): number => (smoke ? 1 : quick ? 5 : full);

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

export const micros = (value: number): string => `${value.toFixed(value < 10 ? 2 : 0)} µs`;
export const thousands = (value: number): string => (Math.round(value / 1000) * 1000).toLocaleString('en');

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

/** `count` calls, one after the other. */
export async function oneAtATime(count: number, call: (i: number) => Promise<unknown>): Promise<Latencies> {
  const latencies = new Latencies();
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await call(i);
    latencies.since(start);
  }
  return latencies;
}

/** What a suite tells the run that started it in a process of its own. */
export interface Told {
  rows: Row[];
  curves: Curve[];
}

/** Run a suite by itself when its file is the program: to a person it prints, to the run that forked it it tells. */
export async function runAlone(url: string, suite: Suite): Promise<void> {
  if (process.argv[1] !== fileURLToPath(url)) return;
  const has = (flag: string): boolean => process.argv.includes(`--${flag}`);
  const curves: Curve[] = [];
  const draw = (label: string, latencies: Latencies): void => void curves.push({ label, points: latencies.points });
  const run = (): Promise<Row[]> => suite({ smoke: has('smoke'), quick: has('quick'), draw });
  if (process.send !== undefined) {
    const abandoned = (): never => process.exit(1); // the run is gone: so are we
    process.on('disconnect', abandoned);
    process.send({ rows: await run(), curves } satisfies Told, () => {
      process.off('disconnect', abandoned);
      process.disconnect();
    });
    return;
  }
  const { describe, machine } = await import('./machine.ts');
  const { printRows } = await import('./table.ts');
  console.log(`${describe(machine()).join('\n')}\n`);
  printRows(await run());
}
