// Which suite shows that the gate sees a path: the first one that a budget on the path names.
import { budgets } from '../../bench/budget.ts';
import { slowedPaths } from '../../bench/slow.ts';

/** A suite that every path of a command runs through: it has to stay behind the slowed one. */
export const beside = 'one-command';

export function suiteOf(path: string): string {
  const budget = budgets.find((candidate) => candidate.path === path && candidate.suite !== null);
  if (budget === undefined) throw new Error(`no budget has the path ${path}`);
  return budget.suite!;
}

export const suitesOfGate: readonly string[] = [...new Set([...slowedPaths.map(suiteOf), beside])];
