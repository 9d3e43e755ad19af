// By how much runs of the same code differ on this machine: that is the margin which the gate allows budgets of our own.
import { budgetOf, isSeed, keepNoise } from './budget.ts';
import { describe, machine } from './machine.ts';
import { median } from './median.ts';
import { measure } from './promise.ts';

/** Half of the range of the runs' medians, as a share of their median, and as much again: five runs do not see the worst. */
const noiseShare = (values: readonly number[]): number =>
  Number(Math.max(0.01, (Math.max(...values) - Math.min(...values)) / median(values)).toPrecision(2));

export async function noiseRuns(runs: number, names: readonly string[]): Promise<void> {
  if (!Number.isInteger(runs) || runs < 3) throw new Error('--noise wants at least 3 runs');
  const on = machine();
  console.log(describe(on).join('\n'));
  const medians = new Map<string, number[]>();
  for (let run = 1; run <= runs; run++) {
    process.stderr.write(`run ${run} of ${runs}\n`);
    const { rows, failed } = await measure({ names, size: 'full', resume: false }, on);
    if (failed.length > 0) throw new Error(`${failed[0]!.name}: ${failed[0]!.reason}`);
    for (const { budget, rounds } of rows) {
      if (budget !== undefined) medians.set(budget, [...(medians.get(budget) ?? []), median(rounds!)]);
    }
  }
  const shares = new Map([...medians].map(([id, values]) => [id, noiseShare(values)]));
  keepNoise(
    shares,
    `${runs} runs, ${new Date().toISOString().slice(0, 10)}, ${on.cpu}, ${on.cores} cores, load ${on.load}`,
  );
  for (const [id, share] of shares) {
    const budget = budgetOf(id);
    console.log(`${id}: ±${Math.round(share * 100)} %${isSeed(budget) ? ' (a seed’s: allowed nothing)' : ''}`);
  }
}
