// What a scale run measures: how a cost grows while one thing grows. Each file beside this one is such a run, and runs alone.
import { fileURLToPath } from 'node:url';

/** One line of a plot: a system, or one of its operations. */
export interface Series {
  label: string;
  /** [how much of what grows, operations per second]. */
  points: [number, number][];
}

export interface Scale {
  title: string;
  /** What grows, with its unit. */
  grows: string;
  /** What is counted per second. */
  counts: string;
  series: Series[];
}

export type ScaleRun = (smoke: boolean) => Promise<Scale>;

/**
 * The exponent k of cost ≈ c · x^k, where cost is time per operation: 0 if nothing depends on x, 1 if all of it does. The
 * slope of a straight line through the logarithms, by least squares.
 */
export function exponent(points: readonly (readonly [number, number])[]): number {
  const logs = points.map(([x, perSecond]) => [Math.log(x), -Math.log(perSecond)] as const);
  const mean = (at: 0 | 1): number => logs.reduce((sum, log) => sum + log[at], 0) / logs.length;
  const [meanX, meanY] = [mean(0), mean(1)];
  const over = logs.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  return over / logs.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
}

export function printScale({ title, grows, counts, series }: Scale): void {
  console.log(`${title}: ${counts} by ${grows}`);
  for (const { label, points } of series) {
    const figures = points.map(([x, perSecond]) => `${x.toLocaleString('en')}: ${compact(perSecond)}`).join('   ');
    console.log(`  ${label}\n    ${figures}\n    time of each ~ n^${exponent(points).toFixed(2)}`);
  }
}

const compact = (value: number): string => Number(value.toPrecision(3)).toLocaleString('en');

/** As `runAlone` does for suites. */
export async function runScaleAlone(url: string, run: ScaleRun): Promise<void> {
  if (process.argv[1] !== fileURLToPath(url)) return;
  const scale = await run(process.argv.includes('--smoke'));
  if (process.send === undefined) printScale(scale);
  else process.send(scale, () => process.disconnect());
}
