// What issues 3 and 7 ask of us against a peer, and whether it holds.
import { median } from '../median.ts';
import type { Comparison } from './comparison.ts';

/** `atLeast` times as much of `of`; for latencies, as little. */
const targets: readonly { ours: string; theirs: string; of: 'perSecond' | 'p50'; atLeast: number }[] = [
  { ours: 'trunkline-written', theirs: 'pekko-leveldb', of: 'perSecond', atLeast: 4 },
  { ours: 'trunkline-written-100', theirs: 'pekko-leveldb', of: 'perSecond', atLeast: 4 },
  { ours: 'trunkline-synced', theirs: 'pekko-leveldb-fsync', of: 'perSecond', atLeast: 35 },
  { ours: 'trunkline-synced-100', theirs: 'pekko-leveldb-fsync', of: 'perSecond', atLeast: 35 },
  { ours: 'trunkline-postgresql', theirs: 'pekko-postgresql', of: 'perSecond', atLeast: 2 },
  { ours: 'trunkline-postgresql-100', theirs: 'pekko-postgresql', of: 'perSecond', atLeast: 2 },
  { ours: 'trunkline-postgresql', theirs: 'emmett-postgresql', of: 'perSecond', atLeast: 20 },
  { ours: 'trunkline-postgresql-100', theirs: 'emmett-postgresql', of: 'perSecond', atLeast: 20 },
  { ours: 'trunkline-written', theirs: 'pekko-leveldb', of: 'p50', atLeast: 1 },
  { ours: 'trunkline-raised', theirs: 'piscina', of: 'perSecond', atLeast: 3 },
];

/** Asked, measured, verdict: round by round, so that both sides saw the same minutes. */
export function targetTable({ peers }: Comparison): string[] {
  const rows = targets.flatMap(({ ours, theirs, of, atLeast }) => {
    const [own, other] = [ours, theirs].map((id) => peers.find((peer) => peer.id === id));
    if (own === undefined || other === undefined) return [];
    const ratios = own.rounds.slice(0, other.rounds.length).map((round, i) => {
      const [a, b] = [round[of], other.rounds[i]![of]];
      return of === 'p50' ? b / a : a / b;
    });
    const ratio = median(ratios);
    const what = of === 'p50' ? 'as soon, one at a time, p50' : 'the events/s';
    const name = `${own.system}, ${own.work}, against ${other.system}, ${other.work}`;
    const range = `[${Math.min(...ratios).toPrecision(2)} … ${Math.max(...ratios).toPrecision(2)}]`;
    const verdict = ratio >= atLeast ? 'holds' : `missed by ${Math.round((1 - ratio / atLeast) * 100)} %`;
    return [`| ${name}: ${what} | ≥ ${atLeast} × | ${Number(ratio.toPrecision(3))} × ${range} | ${verdict} |`];
  });
  return rows.length === 0 ? [] : ['| against a peer | asked | measured | verdict |', '|---|---|---|---|', ...rows, ''];
}
