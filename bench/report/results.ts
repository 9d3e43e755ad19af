// bench/RESULTS.md and its plots, from what was kept: npm run bench -- --report.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { noise, type Row } from '../budget.ts';
import { describe, type Machine } from '../machine.ts';
import type { Curve, Told } from '../measure.ts';
import { type Comparison, comparisonTable, latencyCurves } from '../peers/comparison.ts';
import { kept, type Taken } from '../results.ts';
import { keptAs } from '../scale/run.ts';
import { exponent, type Scale } from '../scale/scale.ts';
import { scales, suites } from '../suites.ts';
import { judgement } from '../table.ts';
import { latencyPlot, peersPlot, scalePlot } from './plots.ts';

const bench = new URL('../', import.meta.url);
const present = <T>(value: T | undefined): value is T => value !== undefined;
const day = ({ at }: Taken): string => at.slice(0, 16).replace('T', ' ');
/** When, and on what, what a command makes was measured: each has its own time, and its own noise. */
function taken(command: string, figures: readonly Taken[]): string[] {
  if (figures.length === 0) return [];
  const days = figures.map(day).sort();
  const busiest = figures.reduce((a, b) => (b.machine.load > a.machine.load ? b : a));
  const when = days[0] === days.at(-1) ? `ended ${days[0]}` : `ended from ${days[0]} to ${days.at(-1)}`;
  return [
    `- \`${command}\`: ${when} (UTC); at its busiest on`,
    ...describe(busiest.machine).map((line) => `  - ${line}`),
  ];
}
const short = ({ cpu, cores, node }: Machine): string => `${cpu}, ${cores} cores, Node ${node}`;
const cell = (text: string): string => text.replaceAll('|', '\\|');

/** Writes what there is; says what is missing. */
export function writeReport(): void {
  const results = suites.map((name) => kept<Told>(name)).filter(present);
  const scaled = scales.map((name) => ({ name, scale: kept<Scale>(keptAs(name)) }));
  const peers = kept<Comparison>('peers');
  const oldest = [...results].sort((a, b) => a.at.localeCompare(b.at))[0];
  if (oldest === undefined) throw new Error('nothing has been measured yet: npm run bench');
  mkdirSync(new URL('plots/', bench), { recursive: true });
  const plots = [
    ...drawLatency([...results.flatMap(({ curves }) => curves), ...latencyCurves(peers)], oldest),
    ...(peers
      ? [
          draw(
            'peers.svg',
            'Events per second, all systems',
            peersPlot(peers, `${short(peers.machine)}, ${peers.at.slice(0, 10)}`),
          ),
        ]
      : []),
    ...scaled.flatMap(({ name, scale }) => (scale ? [drawScale(name, scale)] : [])),
  ];
  const text = [
    '# What it costs',
    '',
    'Written by `npm run bench -- --report`; every figure comes from a run on the machine named here.',
    '',
    ...taken('npm run bench', results),
    ...taken('npm run bench -- --scale', scaled.map(({ scale }) => scale).filter(present)),
    ...taken('npm run bench:peers', peers ? [peers] : []),
    '',
    '## The promise',
    '',
    ...promiseTable(results.flatMap(({ rows }) => rows)),
    '',
    `Each figure is the median of its rounds, their range in brackets. Each ratio has its own noise margin, ±${Math.round(noise.share * 100)} % in the middle (${noise.from})`,
    '',
    ...plots.map(({ file, title }) => `![${title}](plots/${file})\n`),
    '## How costs grow',
    '',
    ...scaleTable(scaled.map(({ scale }) => scale).filter(present)),
    '',
    '## Beside what a user would pick instead',
    '',
    ...(peers ? comparisonTable(peers) : ['Not measured yet: `npm run bench:peers`.']),
    '',
  ];
  writeFileSync(new URL('RESULTS.md', bench), text.join('\n'));
  showInDocuments(plots);
  const missing = [
    ...suites.filter((name) => kept(name) === undefined),
    ...scales.map(keptAs).filter((name) => kept(name) === undefined),
    ...(peers ? [] : ['peers']),
  ];
  console.log(`bench/RESULTS.md and ${plots.length} plots written`);
  if (missing.length > 0) console.log(`not measured yet: ${missing.join(', ')}`);
}

/** The plots that docs/reference/benchmarks.md shows stand between two marks. */
function showInDocuments(plots: readonly Drawn[]): void {
  const path = new URL('../docs/reference/benchmarks.md', bench);
  const images = ['peers.svg', 'latency.svg', 'in-flight.svg', 'log-size.svg'].flatMap((file) => {
    const drawn = plots.find((candidate) => candidate.file === file);
    return drawn ? [`![${drawn.title}](../../bench/plots/${file})`] : [];
  });
  const shown = [...images, 'All figures: [bench/RESULTS.md](../../bench/RESULTS.md).'].join('\n\n');
  const text = readFileSync(path, 'utf8');
  writeFileSync(path, text.replace(/(<!-- plots -->)[\s\S]*(<!-- end of plots -->)/, `$1\n\n${shown}\n\n$2`));
}

interface Drawn {
  file: string;
  title: string;
}

function draw(file: string, title: string, svg: string): Drawn {
  writeFileSync(new URL(`plots/${file}`, bench), svg);
  return { file, title };
}

const drawLatency = (curves: Curve[], { machine, at }: Taken & { machine: Machine }): Drawn[] =>
  curves.length === 0
    ? []
    : [draw('latency.svg', 'Latency distribution', latencyPlot(curves, `${short(machine)}, ${at.slice(0, 10)}`))];

const drawScale = (name: string, scale: Scale & Taken): Drawn =>
  draw(
    `${name}.svg`,
    scale.title,
    scalePlot(scale, `${short(scale.machine)}, ${scale.at.slice(0, 10)}`, name === 'log-size'),
  );

const promiseTable = (rows: readonly Row[]): string[] => [
  '| measure | asked | measured | verdict | how |',
  '|---|---|---|---|---|',
  ...rows.map(
    (row) => `| ${[row.measure, row.asked, row.measured, judgement(row), row.detail].map(cell).join(' | ')} |`,
  ),
];

const scaleTable = (taken: readonly Scale[]): string[] => [
  '| what | grows with | from | to | time of each ~ |',
  '|---|---|---|---|---|',
  ...taken.flatMap(({ title, grows, series }) =>
    series.map(({ label, points }) => {
      const at = ([x, perSecond]: readonly [number, number]): string =>
        `${Math.round(perSecond).toLocaleString('en')}/s at ${x.toLocaleString('en')}`;
      const cells = [
        `${title}: ${label}`,
        grows,
        at(points[0]!),
        at(points.at(-1)!),
        `n^${exponent(points).toFixed(2)}`,
      ];
      return `| ${cells.map(cell).join(' | ')} |`;
    }),
  ),
];
