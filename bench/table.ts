// How figures are shown on a terminal.
import { budgetOf, budgets, marginOf, type Noise, noise, type Row, reachesAim, strain, verdict } from './budget.ts';
import { median } from './median.ts';

/** One word or two: does it hold, and by how much not. */
export function judgement(row: Row): string {
  if (row.budget === undefined) return row.holds ? 'holds' : 'BREACH';
  const budget = budgetOf(row.budget);
  const value = median(row.rounds!);
  const judged = verdict(budget, value);
  if (judged === 'holds') return reachesAim(budget, value) ? 'holds, aim reached' : 'holds';
  const over = `${percent(strain(budget, value) - 1)} beyond`;
  return judged === 'within noise' ? `within noise (${over}, ±${percent(marginOf(budget))})` : `BREACH, ${over}`;
}

const percent = (share: number): string =>
  Number.isFinite(share) ? `${Math.round(share * 100).toLocaleString('en')} %` : '∞';

/** Breaches, the worst first. */
export function breaches(rows: readonly Row[]): Row[] {
  const how = (row: Row): number => (row.budget === undefined ? 1 : strain(budgetOf(row.budget), median(row.rounds!)));
  return rows.filter((row) => !row.holds).sort((a, b) => how(b) - how(a));
}

export function printRows(rows: readonly Row[]): void {
  const cells = rows.map((row) => [row.measure, row.asked, row.measured, judgement(row)]);
  const head = ['measure', 'asked', 'measured', 'verdict'];
  const widths = head.map((title, i) => Math.max(title.length, ...cells.map((line) => line[i]!.length)));
  const line = (words: string[]): string =>
    words
      .map((word, i) => word.padEnd(widths[i]!))
      .join('  ')
      .trimEnd();
  console.log(line(head));
  for (const [i, row] of rows.entries()) console.log(`${line(cells[i]!)}\n    ${row.detail}`);
}

const fewestRounds = 5;

/** What the table does not say: how noise counts, what was measured too seldom, which budgets nothing measures yet. */
export function printNotes(rows: readonly Row[], about: Noise = noise): void {
  const seldom = rows.filter(({ rounds }) => (rounds?.length ?? 0) < fewestRounds).map(({ measure }) => measure);
  const unmeasured = budgets.filter(({ suite }) => suite === null).map(({ id }) => id);
  console.log(
    `\nnoise: ${about.measured ? '' : 'NOT MEASURED YET, '}each budget its own, ±${percent(about.share)} in the middle: ${about.from}`,
  );
  console.log('the seeds’ budgets hold without it');
  if (seldom.length > 0) console.log(`fewer than ${fewestRounds} rounds: ${seldom.join('; ')}`);
  if (unmeasured.length > 0) console.log(`budgets without a suite yet: ${unmeasured.join(', ')}`);
}
