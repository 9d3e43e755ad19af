// What the gate reads, and how it judges.
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { answer, type Budget, budgetOf, budgets, isSeed, marginOf, strain, verdict } from '../../bench/budget.ts';
import { slowedPaths } from '../../bench/slow.ts';
import { suites } from '../../bench/suites.ts';
import { breaches, judgement } from '../../bench/table.ts';

const bench = (file: string): URL => new URL(`../../bench/${file}`, import.meta.url);
const ours: Budget = { ...budgetOf('raise-ratio'), atMost: 3, noise: 0.1 };
const floor: Budget = { ...budgetOf('in-flight-ratio'), atLeast: 3, noise: 0.1 };

describe('budget.json', () => {
  test('names each budget once, with one limit and an origin', () => {
    expect(new Set(budgets.map(({ id }) => id)).size).toBe(budgets.length);
    for (const { id, atMost, atLeast, origin } of budgets) {
      expect(
        [atMost, atLeast].filter((limit) => typeof limit === 'number' && limit > 0),
        id,
      ).toHaveLength(1);
      expect(origin, id).toMatch(/^(seed, row P[1-7]|issue \d+|ours: )/);
    }
  });

  test('has a budget for each row of the seeds', () => {
    const rows = budgets.filter(isSeed).map(({ origin }) => origin.slice(-2));
    expect(new Set(rows)).toEqual(new Set(['P1', 'P2', 'P3', 'P4', 'P5', 'P6', 'P7']));
  });

  test('names suites that exist and answer to it, and every path that is measured can be slowed', () => {
    for (const { id, suite, path } of budgets) {
      if (suite === null) continue;
      expect(suites, id).toContain(suite);
      expect(readFileSync(bench(`${suite}.ts`), 'utf8'), id).toContain(`'${id}'`);
      expect(slowedPaths, id).toContain(path);
    }
  });

  test('every suite is a file that runs alone', () => {
    for (const name of suites) {
      expect(existsSync(bench(`${name}.ts`)), name).toBe(true);
      expect(readFileSync(bench(`${name}.ts`), 'utf8'), name).toContain('await runAlone(import.meta.url');
    }
  });
});

describe('the verdict', () => {
  test('allows a budget of ours its noise, and no more', () => {
    expect(verdict(ours, 3)).toBe('holds');
    expect(verdict(ours, 3.29)).toBe('within noise');
    expect(verdict(ours, 3.31)).toBe('breach');
    expect(verdict(floor, 3)).toBe('holds');
    expect(verdict(floor, 2.74)).toBe('within noise');
    expect(verdict(floor, 2.7)).toBe('breach');
  });

  test('allows a seed nothing', () => {
    const seed = budgetOf('create-event');
    expect(marginOf(seed)).toBe(0);
    expect(verdict(seed, 100)).toBe('holds');
    expect(verdict(seed, 100.1)).toBe('breach');
  });

  test('takes nothing measured for a breach', () => {
    expect(verdict(ours, Number.NaN)).toBe('breach');
    expect(answer('raise-ratio', [], '').holds).toBe(false);
  });

  test('goes by the median of the rounds', () => {
    expect(answer('create-event', [1, 2, 1000, 3, 2000], '').holds).toBe(true);
    expect(answer('create-event', [1, 2, 1000, 3000, 2000], '').holds).toBe(false);
  });

  test('says by how much, and names the worst first', () => {
    const rows = [
      answer('create-event', [150], ''),
      answer('replay-floor', [1000], ''),
      answer('store-event', [1], ''),
    ];
    expect(breaches(rows).map(({ budget }) => budget)).toEqual(['replay-floor', 'create-event']);
    expect(rows.map(judgement)).toEqual(['BREACH, 50 % beyond', 'BREACH, 900 % beyond', 'holds']);
    expect(strain(budgetOf('replay-floor'), 1000)).toBe(10);
  });
});
