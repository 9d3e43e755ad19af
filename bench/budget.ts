// What was promised (budget.json), and whether a measurement keeps it. The only reader of that file.
//
// A budget is judged by the median of its rounds. Those of the seeds hold as they stand, everywhere; all others hold within
// the noise that repeated runs showed.
import { readFileSync, writeFileSync } from 'node:fs';
import { median } from './median.ts';

export interface Budget {
  readonly id: string;
  /** The file that measures it, without `.ts`; null while none does. */
  readonly suite: string | null;
  /** What the measurement runs through: a cost added there shows here first. */
  readonly path: string;
  readonly measure: string;
  readonly atMost?: number;
  readonly atLeast?: number;
  /** Beyond the budget: what we hope for. */
  readonly aim?: number;
  readonly unit: Unit;
  readonly origin: string;
  /** Share of its value by which repeated runs differ; in the place of the file's own. */
  readonly noise?: number;
}

type Unit = '×' | 'µs' | 's' | 'events/s' | 'bytes';

export interface Noise {
  readonly share: number;
  /** False while the share is only a guess. */
  readonly measured: boolean;
  readonly from: string;
}

interface BudgetFile {
  readonly about: readonly string[];
  readonly noise: Noise;
  readonly budgets: readonly Budget[];
}

const path = new URL('./budget.json', import.meta.url);
const file = JSON.parse(readFileSync(path, 'utf8')) as BudgetFile;

export const budgets: readonly Budget[] = file.budgets;
export const noise: Noise = file.noise;

export const isSeed = (budget: Budget): boolean => budget.origin.startsWith('seed');

export function budgetOf(id: string): Budget {
  const budget = budgets.find((candidate) => candidate.id === id);
  if (budget === undefined) throw new Error(`budget.json has no budget '${id}'`);
  return budget;
}

const limitOf = ({ atMost, atLeast }: Budget): number => (atMost ?? atLeast)!;

/** How far the value is from the limit: 1 at the limit, 2 if it is twice as bad as allowed, less than 1 inside. */
export const strain = (budget: Budget, value: number): number =>
  budget.atMost === undefined ? limitOf(budget) / value : value / limitOf(budget);

/** The share by which a budget may be missed before that counts. */
export const marginOf = (budget: Budget): number => (isSeed(budget) ? 0 : (budget.noise ?? noise.share));

export type Verdict = 'holds' | 'within noise' | 'breach';

export function verdict(budget: Budget, value: number): Verdict {
  const missed = strain(budget, value);
  if (missed <= 1) return 'holds';
  return missed <= 1 + marginOf(budget) ? 'within noise' : 'breach'; // NaN is a breach
}

export const reachesAim = ({ aim, atMost }: Budget, value: number): boolean =>
  aim !== undefined && (atMost === undefined ? value >= aim : value <= aim);

/** One line of the table: what was asked, what was measured. */
export interface Row {
  measure: string;
  asked: string;
  measured: string;
  holds: boolean;
  /** What the figure is made of. */
  detail: string;
  /** The budget that it answers to; a row without one is judged by its suite alone, in `holds`. */
  budget?: string;
  /** One value a round, in the budget's unit. */
  rounds?: number[];
}

/** The row of a budget: judged by the median of these rounds, at least five of them unless the run is in smoke size. */
export function answer(id: string, rounds: readonly number[], detail: string): Row {
  const budget = budgetOf(id);
  const value = median(rounds);
  const spread =
    rounds.length > 1 ? ` [${show(budget, Math.min(...rounds))} … ${show(budget, Math.max(...rounds))}]` : '';
  return {
    measure: budget.measure,
    asked: asked(budget),
    measured: `${show(budget, value)}${spread}`,
    holds: verdict(budget, value) !== 'breach',
    detail: `${detail}; median of ${rounds.length} rounds; ${budget.origin}`,
    budget: id,
    rounds: [...rounds],
  };
}

function asked(budget: Budget): string {
  const sign = isSeed(budget) ? (budget.atMost === undefined ? '≥' : '<') : budget.atMost === undefined ? '≥' : '≤';
  const aim = budget.aim === undefined ? '' : ` (aim ${show(budget, budget.aim)})`;
  return `${sign} ${show(budget, limitOf(budget))}${aim}`;
}

/** A value of the budget, with its unit, as a person reads it. */
function show({ unit }: Pick<Budget, 'unit'>, value: number): string {
  if (!Number.isFinite(value)) return 'nothing';
  if (unit === 'µs') return value < 1000 ? `${figures(value)} µs` : `${figures(value / 1000)} ms`;
  if (unit === 'bytes') return value < 4096 ? `${Math.round(value)} bytes` : `${figures(value / 1024)} KiB`;
  if (unit === 'events/s') return `${Math.round(value).toLocaleString('en')}/s`;
  return `${figures(value)} ${unit}`;
}

const figures = (value: number): string => String(Number(value.toPrecision(value < 1 ? 2 : 3)));

/** Write down what repeated runs have shown: one share a budget, and where it comes from. What is new gets the middle one. */
export function keepNoise(shares: ReadonlyMap<string, number>, from: string): void {
  const share = median([...shares].filter(([id]) => !isSeed(budgetOf(id))).map(([, own]) => own));
  const known = file.budgets.map((budget) => {
    const own = shares.get(budget.id);
    return own === undefined || isSeed(budget) ? budget : { ...budget, noise: own };
  });
  const next: BudgetFile = { ...file, noise: { share, measured: true, from }, budgets: known };
  writeFileSync(path, `${JSON.stringify(next, null, 2)}\n`);
}
