// The report's plots, from what was kept: one line a system.
import type { Curve } from '../measure.ts';
import { type Comparison, isOurs, middle, survivals } from '../peers/comparison.ts';
import type { Scale } from '../scale/scale.ts';
import { bars } from './bars.ts';
import { type Plot, plot, type Tick } from './plot.ts';

const isStrong = (label: string): boolean => label.startsWith('Trunkline');

const compact = (value: number): string =>
  new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 }).format(value);

function duration(micros: number): string {
  if (micros < 1) return `${Math.round(micros * 1000)} ns`;
  if (micros < 1000) return `${Number(micros.toPrecision(3))} µs`;
  return micros < 1e6 ? `${Number((micros / 1000).toPrecision(3))} ms` : `${Number((micros / 1e6).toPrecision(3))} s`;
}

/** The axis of a distribution: how many of all calls are slower, one in so many. */
const oneIn = (share: number): number => 1 / (1 - share);
const shareTicks: readonly Tick[] = [0, 0.5, 0.9, 0.99, 0.999, 0.9999].map((share) => ({
  at: oneIn(share),
  text: `${Number((share * 100).toFixed(2))} %`,
}));

export const latencyPlot = (curves: readonly Curve[], subtitle: string): string =>
  plot({
    title: 'Latency: so many of all calls are at least as fast',
    subtitle,
    xTitle: 'share of calls',
    yTitle: 'latency',
    xTicks: shareTicks,
    yText: duration,
    lines: curves.map(({ label, points }) => ({
      label,
      strong: isStrong(label),
      points: points.filter(([share]) => share <= 0.9999).map(([share, micros]) => [oneIn(share), micros] as const),
    })),
  });

/** Operations per second, or with `cost` the time of each, over what grows. */
export function scalePlot({ title, grows, counts, series }: Scale, subtitle: string, cost: boolean): string {
  const all = [...new Set(series.flatMap(({ points }) => points.map(([x]) => x)))].sort((a, b) => a - b);
  const shown: Plot = {
    title,
    subtitle,
    xTitle: grows,
    yTitle: cost ? 'time of each' : counts,
    xTicks: all.map((at) => ({ at, text: compact(at) })),
    yText: cost ? duration : compact,
    lines: series.map(({ label, points }) => ({
      label,
      strong: isStrong(label),
      points: points.map(([x, perSecond]) => [x, cost ? 1e6 / perSecond : perSecond] as const),
    })),
  };
  return plot(shown);
}

/** Commands or events per second of all systems, by what the acknowledgement survives. */
export const peersPlot = ({ peers }: Comparison, subtitle: string): string =>
  bars(
    'Events per second, by what the acknowledgement survives',
    `${subtitle}; logarithmic`,
    survivals.map((survives) => ({
      title: survives === 'database' ? 'in PostgreSQL' : `survives ${survives}`,
      bars: peers
        .filter((peer) => peer.survives === survives)
        .map((peer) => ({
          label: peer.id.endsWith('-100') || peer.id.endsWith('-sync') ? `${peer.system}, by 100` : peer.system,
          value: middle(peer, 'perSecond'),
          strong: isOurs(peer),
        }))
        .sort((a, b) => b.value - a.value),
    })),
    compact,
  );
