// What the report says of its figures.
import { describe, expect, test } from 'vitest';
import { ahead, type Comparison, comparisonTable, type Peer } from '../../bench/peers/comparison.ts';
import { latencyPlot, peersPlot, scalePlot } from '../../bench/report/plots.ts';
import { exponent } from '../../bench/scale/scale.ts';

describe('the exponent of a cost', () => {
  test.each([
    [0, 'what does not depend on n', (n: number) => 500 + 0 * n],
    [1, 'what grows with n', (n: number) => 500 / n],
    [0.5, 'what grows with its root', (n: number) => 500 / Math.sqrt(n)],
  ])('%s: %s', (expected, _, perSecond) => {
    expect(exponent([10, 100, 1000, 10_000].map((n) => [n, perSecond(n)]))).toBeCloseTo(expected, 10);
  });
});

describe('plots', () => {
  const lines = (svg: string): string[] =>
    svg.match(/<polyline points="[^"]+" fill="none" stroke="[^"]+" stroke-width/g)!;

  test('one line a system, named, with nothing that is not a number', () => {
    const svg = latencyPlot(
      [
        {
          label: 'Trunkline: written <&>',
          points: [
            [0.5, 40],
            [0.99, 90],
          ],
        },
        {
          label: 'others',
          points: [
            [0.5, 4000],
            [0.99, 9000],
          ],
        },
      ],
      'a machine',
    );
    expect(lines(svg)).toHaveLength(2);
    expect(svg).toContain('Trunkline: written &lt;&amp;>');
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  });

  test('a higher cost is drawn higher up', () => {
    const series = [
      {
        label: 'one',
        points: [
          [1, 1000],
          [10, 100],
        ] as [number, number][],
      },
    ];
    const svg = scalePlot({ title: 't', grows: 'n', counts: 'per second', series }, '', true);
    const [, from, to] = /points="[\d.]+,([\d.]+) [\d.]+,([\d.]+)"/.exec(lines(svg)[0]!)!;
    expect(Number(to)).toBeLessThan(Number(from));
  });
});

describe('the comparison', () => {
  const peer = (system: string, perSecond: number, p50: number, survives: Peer['survives'] = 'kill'): Peer => ({
    id: system,
    system,
    version: '1',
    work: 'w',
    survives,
    durability: 'd',
    eventsPerCall: 1,
    rounds: [{ perSecond, p50, events: 10, p99: 1, p999: 1, points: [], cpuSeconds: 1, memoryMiB: 1 }],
  });
  const comparison = (...peers: Peer[]): Comparison => ({
    command: 'c',
    peers,
    missing: [{ system: 'm', reason: 'r' }],
  });

  test('says in its first line who is ahead, and in what', () => {
    const table = comparisonTable(comparison(peer('Trunkline, written', 100, 10), peer('fast', 200, 20)));
    expect(table[0]).toBe('**Ahead of Trunkline at the same survival:** fast, w (kill): 2 × the events/s.');
  });

  test('is as frank about tails, CPU and memory, and sets single events against single events', () => {
    const ours = peer('Trunkline, written', 100, 10);
    const batches = { ...peer('Trunkline, written by 100', 900, 100), eventsPerCall: 100 };
    const calm = peer('calm', 100, 10);
    calm.rounds = [{ ...calm.rounds[0]!, p999: 0.5, cpuSeconds: 0.25, memoryMiB: 0.5 }];
    expect(ahead(comparison(ours, batches, calm))).toBe(
      '**Ahead of Trunkline at the same survival:** calm, w (kill): 2 × sooner at p99.9, 4 × less CPU. Less memory: calm, w (kill).',
    );
    expect(ahead(comparison(ours, batches, peer('more', 300, 10)))).toContain('more, w (kill): 3 × the events/s');
    expect(ahead(comparison(peer('alone', 1, 1)))).toMatch(/^Trunkline was not measured/);
  });

  test('holds its targets against what was measured, round by round', () => {
    const named = (id: string, perSecond: number): Peer => ({ ...peer(id, perSecond, 10), id });
    const lines = (theirs: number): string =>
      comparisonTable(comparison(named('trunkline-written', 100), named('pekko-leveldb', theirs))).join('\n');
    expect(lines(20)).toMatch(/the events\/s \| ≥ 4 × \| 5 × \[.*\] \| holds \|/);
    expect(lines(50)).toMatch(/\| ≥ 4 × \| 2 × \[.*\] \| missed by 50 % \|/);
  });

  test('compares only what survives the same', () => {
    expect(ahead(comparison(peer('Trunkline, written', 100, 10), peer('fast', 200, 1, 'nothing')))).toMatch(
      /^No system here is ahead/,
    );
  });

  test('draws who does more as the longer bar, whatever the order', () => {
    const svg = peersPlot(comparison(peer('slow', 20, 1), peer('Trunkline, written', 4000, 1)), 'a machine');
    const [longer, shorter] = [...svg.matchAll(/<rect x="330" y="[\d.]+" width="([\d.]+)"/g)].map(([, length]) =>
      Number(length),
    );
    expect(longer).toBeGreaterThan(shorter!);
    expect(svg.indexOf('Trunkline')).toBeLessThan(svg.indexOf('slow'));
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  });

  test('names what could not be measured', () => {
    expect(comparisonTable(comparison(peer('Trunkline, written', 100, 10))).at(-1)).toBe('- m: r');
  });
});
