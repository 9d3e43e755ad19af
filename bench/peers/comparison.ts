// Trunkline beside its peers: one table, ordered by what an acknowledgement survives.

import type { Curve, Point } from '../measure.ts';
import { median } from '../median.ts';
import { targetTable } from './targets.ts';

/** What an acknowledgement survives. */
export const survivals = ['nothing', 'kill', 'power loss', 'database'] as const;
type Survives = (typeof survivals)[number];

/** One round of one system, in a process of its own. */
export interface Round {
  /** With many in flight; events, not calls. */
  perSecond: number;
  events: number;
  /** One at a time, microseconds a call. */
  p50: number;
  p99: number;
  p999: number;
  points: Point[];
  /** Of the process and of its server, by the kernel's account. */
  cpuSeconds: number;
  /** Most resident memory of both. */
  memoryMiB: number;
}

export interface Peer {
  id: string;
  system: string;
  version: string;
  work: string;
  survives: Survives;
  /** What the acknowledgement is worth, in words. */
  durability: string;
  eventsPerCall: number;
  rounds: Round[];
}

export interface Comparison {
  command: string;
  peers: Peer[];
  /** What could not be measured, and why. */
  missing: { system: string; reason: string }[];
}

export const isOurs = ({ system }: Peer): boolean => system.startsWith('Trunkline');
export const middle = ({ rounds }: Peer, of: keyof Omit<Round, 'points'>): number =>
  median(rounds.map((round) => round[of]));

const perMillion = ({ rounds }: Peer): number =>
  median(rounds.map(({ cpuSeconds, events }) => (cpuSeconds / events) * 1e6));

/** What is compared: more is better, or less. */
const respects: readonly { says: string; less: boolean; of(peer: Peer): number }[] = [
  { says: 'the events/s', less: false, of: (peer) => middle(peer, 'perSecond') },
  { says: 'sooner at p50', less: true, of: (peer) => middle(peer, 'p50') },
  { says: 'sooner at p99', less: true, of: (peer) => middle(peer, 'p99') },
  { says: 'sooner at p99.9', less: true, of: (peer) => middle(peer, 'p999') },
  { says: 'less CPU', less: true, of: perMillion },
];

/** Ours that a peer is held against: same survival, as many events a call where we have that; latencies, the quickest. */
function against(peer: Peer, ours: readonly Peer[]): readonly Peer[] {
  const alike = ours.filter(({ eventsPerCall }) => eventsPerCall === peer.eventsPerCall);
  return alike.length > 0 ? alike : ours;
}

/** Where another system is ahead, or that none is: the table's first line. */
export function ahead({ peers }: Comparison): string {
  if (!peers.some(isOurs)) return 'Trunkline was not measured in this run: nothing is said about who is ahead.';
  const found: string[] = [];
  const leaner: string[] = [];
  for (const survives of survivals) {
    const level = peers.filter((peer) => peer.survives === survives);
    const ours = level.filter(isOurs);
    if (ours.length === 0) continue;
    for (const peer of level) {
      if (isOurs(peer)) continue;
      const rivals = against(peer, ours);
      const says = respects.flatMap(({ says: what, less, of }) => {
        const best = less ? Math.min(...rivals.map(of)) : Math.max(...rivals.map(of));
        const by = less ? best / of(peer) : of(peer) / best;
        return by > 1 ? [`${Number(by.toPrecision(3))} × ${what}`] : [];
      });
      const name = `${peer.system}, ${peer.work} (${survives})`;
      if (says.length > 0) found.push(`${name}: ${says.join(', ')}`);
      if (middle(peer, 'memoryMiB') < Math.min(...rivals.map((rival) => middle(rival, 'memoryMiB')))) leaner.push(name);
    }
  }
  if (found.length === 0 && leaner.length === 0) return 'No system here is ahead of Trunkline at what it survives.';
  const lines = found.length === 0 ? [] : [`**Ahead of Trunkline at the same survival:** ${found.join('; ')}.`];
  if (leaner.length > 0) lines.push(`Less memory: ${leaner.join('; ')}.`);
  return lines.join(' ');
}

export function comparisonTable(comparison: Comparison): string[] {
  const { peers, missing, command } = comparison;
  const sorted = survivals.flatMap((survives) =>
    peers
      .filter((peer) => peer.survives === survives)
      .sort((a, b) => Number(isOurs(b)) - Number(isOurs(a)) || middle(b, 'perSecond') - middle(a, 'perSecond')),
  );
  return [
    ahead(comparison),
    '',
    ...targetTable(comparison),
    '| survives | system | work | events/s | p50 | p99 | p99.9 | CPU s per million | most MiB | the acknowledgement |',
    '|---|---|---|---:|---:|---:|---:|---:|---:|---|',
    ...sorted.map((peer) => {
      const name = isOurs(peer) ? `**${peer.system}**` : `${peer.system} ${peer.version}`;
      const figures = [
        Math.round(middle(peer, 'perSecond')).toLocaleString('en'),
        ...(['p50', 'p99', 'p999'] as const).map((of) => time(middle(peer, of))),
        Number(perMillion(peer).toPrecision(2)).toLocaleString('en'),
        Math.round(middle(peer, 'memoryMiB')).toLocaleString('en'),
      ];
      return `| ${peer.survives} | ${name} | ${peer.work} | ${figures.join(' | ')} | ${peer.durability} |`;
    }),
    '',
    `Medians of ${Math.max(0, ...peers.map(({ rounds }) => rounds.length))} rounds, all systems in turn, a process of its own each, its server emptied before; every server as it comes; p50, p99, p99.9 one call at a time, with all its events; CPU and memory include a server of its own. Made by \`${command}\`.`,
    ...(missing.length === 0 ? [] : ['', 'Not measured:', ...missing.map((m) => `- ${m.system}: ${m.reason}`)]),
  ];
}

const time = (micros: number): string =>
  micros < 1000 ? `${Number(micros.toPrecision(2))} µs` : `${Number((micros / 1000).toPrecision(3))} ms`;

/** One line a kind, so that the plot stays legible: what Node users know best. */
const drawn = ['piscina', 'sqlite-full', 'pekko-leveldb', 'emmett-postgresql', 'bullmq'];

export const latencyCurves = (comparison: Comparison | undefined): Curve[] =>
  (comparison?.peers ?? [])
    .filter(({ id }) => drawn.includes(id))
    .map(({ system, rounds }) => ({ label: system, points: rounds[rounds.length >> 1]!.points }));
