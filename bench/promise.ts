// Measures the suites one after the other, and holds what they say against the budgets.
import { budgetOf, budgets, isSeed, type Row } from './budget.ts';
import { describe, type Machine, machine } from './machine.ts';
import type { Told } from './measure.ts';
import { forget, keep, kept } from './results.ts';
import { runSuite, type Size, suites } from './suites.ts';
import { breaches, judgement, printNotes, printRows } from './table.ts';

export interface Run {
  /** Which suites; none: all. */
  names: readonly string[];
  size: Size;
  /** Take what a run before this one has kept. */
  resume: boolean;
}

export interface Measured {
  rows: Row[];
  /** Suites that did not come to their end, and why. */
  failed: { name: string; reason: string }[];
}

/** Every suite's rows; in full size also kept for the report. */
export async function measure({ names, size, resume }: Run, on: Machine): Promise<Measured> {
  const chosen = names.length > 0 ? names : suites;
  const measured: Measured = { rows: [], failed: [] };
  const keeps = size === 'full' && process.env.TRUNKLINE_BENCH_SLOW === undefined;
  if (!resume && keeps) for (const name of chosen) forget(name);
  for (const [i, name] of chosen.entries()) {
    const before = resume ? kept<Told>(name) : undefined;
    process.stderr.write(`${i + 1}/${chosen.length} ${name}${before ? ` (of ${before.at})` : ''} …\n`);
    try {
      const told = before ?? (await runSuite(name, size));
      measured.rows.push(...told.rows);
      if (!before && keeps) keep(name, told, on);
    } catch (error) {
      measured.failed.push({ name, reason: (error as Error).message });
    }
  }
  return measured;
}

function complain({ failed }: Measured): void {
  for (const { name, reason } of failed) console.log(`FAILED ${name}: ${reason}`);
  if (failed.length > 0) process.exitCode = 1;
}

/** The table; in smoke size only how many measures ran. */
export async function measureAll(run: Run): Promise<void> {
  const on = machine();
  if (run.size !== 'smoke') console.log(`${describe(on).join('\n')}\n`);
  const measured = await measure(run, on);
  if (run.size === 'smoke') {
    console.log(`bench: ${measured.rows.length} measures taken in smoke size; their figures mean nothing`);
  } else {
    printRows(measured.rows);
    printNotes(measured.rows);
    console.log(
      '\nbeside what a user would pick instead: npm run bench:peers; all of it, with pictures: bench/RESULTS.md',
    );
  }
  complain(measured);
}

const suitesOfSeeds = (): string[] => suites.filter((name) => budgets.some((b) => b.suite === name && isSeed(b)));

/** Measure again what breaches: the noise of a busy machine goes, a regression stays. */
async function again(run: Run, on: Machine, first: Measured, attempts: number): Promise<Measured> {
  let measured = first;
  for (let attempt = 2; attempt <= attempts; attempt++) {
    const names = [...new Set(breaches(measured.rows).map(({ budget }) => budget && budgetOf(budget).suite))].filter(
      (name) => typeof name === 'string',
    );
    if (names.length === 0) break;
    process.stderr.write(`attempt ${attempt} of ${attempts}:\n`);
    const next = await measure({ ...run, names, resume: false }, on);
    const rows = measured.rows.map((row) =>
      row.holds ? row : (next.rows.find(({ budget }) => budget === row.budget) ?? row),
    );
    measured = { rows, failed: [...measured.failed, ...next.failed] };
  }
  return measured;
}

/** Whether every budget holds. In quick size: those of the seeds. */
export async function gate(run: Run, attempts: number): Promise<boolean> {
  const seedsOnly = run.size === 'quick';
  const names = run.names.length > 0 || !seedsOnly ? run.names : suitesOfSeeds();
  const asksFor = ({ budget }: Row): boolean => !seedsOnly || (budget !== undefined && isSeed(budgetOf(budget)));
  const on = machine();
  console.log(`${describe(on).join('\n')}\n`);
  const all = await measure({ ...run, names }, on);
  const { rows, failed } = await again(run, on, { ...all, rows: all.rows.filter(asksFor) }, attempts);
  printRows(rows);
  if (rows.length === 0 && seedsOnly) console.log('none of these suites answers to a budget of the seeds');
  if (!seedsOnly) printNotes(rows);
  const breached = breaches(rows);
  console.log('');
  for (const row of breached) {
    const about = row.budget === undefined ? '' : ` [${row.budget}, path ${budgetOf(row.budget).path}]`;
    console.log(`breach: ${row.measure}: asked ${row.asked}, measured ${row.measured}: ${judgement(row)}${about}`);
  }
  complain({ rows, failed });
  console.log(`gate: ${rows.length - breached.length} held, ${breached.length + failed.length} breached`);
  return breached.length === 0 && failed.length === 0 && rows.length > 0;
}
