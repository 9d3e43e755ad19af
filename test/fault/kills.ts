// Kills: a service under random load is killed, at a random instant or at a named point, started again, killed again; then
// everything that anyone was told is held against what each place holds.
//
// Named points need nothing in the product: strace delivers the SIGKILL as a thread enters its n-th call of one kind on one
// file. What is beyond the data directory: downstream.ts.
import { join } from 'node:path';
import { integerFrom, oneOf, type Random, randomFrom } from '../random.ts';
import type { Family } from './family.ts';
import { type Blow, killAgainAndAgain } from './kill-rounds.ts';
import { hasStrace } from './strace.ts';

/** A moment in the life of the service that has a name: the n-th call of a kind on a file. */
interface Point {
  name: string;
  calls: string;
  file?: string;
  /** The highest n worth trying. */
  most: number;
  /** Only a start that rebuilds the log comes here. */
  rebuilds?: boolean;
}

const writes = 'pwrite64,pwritev,write';
const syncs = 'fdatasync,fsync,msync';
const slowWriteMicros = 2_000;

// Positions in the list are part of what a seed means: add at the end.
const points: readonly Point[] = [
  // Ring drained, nothing written yet; or pages written, and the meta page that makes them count not.
  { name: 'between ring and log, in commit', calls: writes, file: 'log/log.mdb', most: 300 },
  { name: 'in the sync of the log', calls: syncs, file: 'log/log.mdb', most: 60 },
  // The log thread wakes the caller by writing to an eventfd; the caller tells its parent by writing to a pipe.
  { name: 'between commit and acknowledgement', calls: 'write', most: 400 },
  { name: 'in the store commit', calls: `${writes},${syncs}`, file: 'store/store.mdb', most: 60 },
  { name: 'in truncation, at the floor file', calls: `${writes},${syncs}`, file: 'log/floor', most: 12 },
  { name: 'in the marker of a start', calls: `${writes},${syncs},openat`, file: 'log/log.json.new', most: 3 },
  {
    name: 'in recovery, rebuilding',
    calls: `${writes},${syncs},openat`,
    file: 'log/rebuilt/log.mdb',
    most: 12,
    rebuilds: true,
  },
  { name: 'in recovery, exchanging', calls: 'rename,link,fsync', most: 8, rebuilds: true },
  { name: 'in a sink of the user', calls: 'write', file: 'file-sink.jsonl', most: 40 },
  { name: 'in the commit of a handler', calls: `${writes},${syncs}`, file: 'handlers/handlers.mdb', most: 60 },
];
/** So many kills come to every point: at the latest the last ones are kept for those that have killed nobody. */
const killsForAll = 1.5 * points.length;

export const kills: Family = {
  about: 'SIGKILL at random instants and named points under random load',
  sizes: { kills: 30, commands: 150 },
  async run(run) {
    const random = randomFrom(run.seed);
    const commands = run.size('commands');
    const tries = new Map<string, number>();
    const hits = await killAgainAndAgain(run, random, {
      kills: run.size('kills'),
      commands,
      blow(dataDir, sofar) {
        const left = run.size('kills') - [...sofar.values()].reduce((sum, count) => sum + count, 0);
        return blow(random, { commands, left }, dataDir, sofar, tries);
      },
    });
    if (hasStrace && run.size('kills') >= killsForAll) {
      for (const { name } of points) if (!hits.has(name)) run.fail(`nothing was killed ${name}`);
    }
    if (!hasStrace) run.notes.push('without strace (apt-get install strace): random instants only');
  },
};

function blow(
  random: Random,
  { commands, left }: { commands: number; left: number },
  dataDir: string,
  hits: ReadonlyMap<string, number>,
  tries: Map<string, number>,
): Blow {
  // Those first that have killed nobody yet, with an n that falls from try to try.
  const unhit = points.filter(({ name }) => !hits.has(name));
  const isNamed = hasStrace && (random() < 0.6 || unhit.length >= left);
  const point = isNamed ? oneOf(random, unhit.length > 0 ? unhit : points) : undefined;
  if (!point) {
    const lines = integerFrom(random, 1, 3 * commands);
    const onLine: Blow['onLine'] = (_, count) => count === lines;
    // Some of them while commits are slow: whatever is told before its commit is then told long before.
    if (!hasStrace || random() < 0.7) return { name: 'at random', onLine };
    const files = [join(dataDir, 'log/log.mdb')];
    return {
      name: 'at random, while commits are slow',
      onLine,
      injection: { calls: writes, fault: `delay_enter=${slowWriteMicros}`, when: '1+', files },
    };
  }
  const { name, calls, file, most, rebuilds } = point;
  const tried = hits.has(name) ? 0 : (tries.get(name) ?? 0);
  tries.set(name, tried + 1);
  const when = String(integerFrom(random, 1, Math.max(1, most >> tried)));
  const files = file === undefined ? [] : [join(dataDir, file)];
  return { name, rebuilds, injection: { calls, fault: 'signal=SIGKILL', when, files } };
}
