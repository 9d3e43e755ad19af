// Kills: a service under random load is killed, at a random instant or at a named point, started again, killed again; then
// everything that anyone was told is held against what each place holds.
//
// Named points need nothing in the product: strace delivers the SIGKILL as a thread enters its n-th call of one kind on one
// file. Commands that were sent under an idempotency key and not answered are sent again after the restart, and so are
// some that were answered.
import { join } from 'node:path';
import { integerFrom, oneOf, type Random, randomFrom } from '../random.ts';
import { audit, isTold, survivesKill, type Told } from './audit.ts';
import { runChild } from './child.ts';
import type { Family, FaultRun } from './family.ts';
import { recoverPlaces } from './places.ts';
import type { KeyedCommand, ServiceLine, ServiceSettings } from './service.ts';
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

// Positions in the list are part of what a seed means: add at the end.
export const points: readonly Point[] = [
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
];

const killsPerRound = 10;
const runBoundMs = 60_000;

export const kills: Family = {
  about: 'SIGKILL at random instants and named points under random load',
  sizes: { kills: 30, commands: 300 },
  async run(run) {
    const random = randomFrom(run.seed);
    const hits = new Map<string, number>();
    for (let left = run.size('kills'); left > 0; ) {
      const planned = Math.min(left, killsPerRound);
      await round(run, random, planned, hits);
      left -= planned;
    }
    run.notes.push([...hits].map(([name, count]) => `${name}: ${count}`).join('; '));
    if (!hasStrace) run.notes.push('without strace (apt-get install strace): random instants only');
  },
};

/** One data directory, so many kills, one audit. */
async function round(run: FaultRun, random: Random, planned: number, hits: Map<string, number>): Promise<void> {
  const folder = run.folder();
  const dataDir = join(folder, 'data');
  const told: Told[] = [];
  const keyed = new Map<string, KeyedCommand>();
  let boots = 1;
  for (let killed = 0, attempt = 0; killed < planned && attempt < planned * 3; attempt++) {
    const point = hasStrace && random() < 0.6 ? oneOf(random, points) : undefined;
    // Another boot: the start takes it for a power loss that took nothing, and rebuilds the log.
    if (point?.rebuilds && attempt > 0) boots++;
    const settings: ServiceSettings = {
      dataDir,
      seed: integerFrom(random, 1, 2 ** 31),
      name: `${run.seed}-${attempt}`,
      commands: run.size('commands'),
      clients: integerFrom(random, 1, 40),
      again: [...keyed.values()],
      bootId: `boot ${boots}`,
    };
    keyed.clear();
    const killAfterLines = point ? 0 : integerFrom(random, 1, 3 * run.size('commands'));
    const { lines, end, timedOut, trouble } = await runChild<ServiceLine>({
      program: './service.ts',
      argument: settings,
      injection: point && {
        calls: point.calls,
        fault: 'signal=SIGKILL',
        when: String(integerFrom(random, 1, point.most)),
        files: point.file === undefined ? [] : [join(dataDir, point.file)],
      },
      onLine: (_, count) => count === killAfterLines,
      boundMs: runBoundMs,
    });
    const where = `${point?.name ?? 'a random instant'}, run ${settings.name}`;
    if (timedOut) run.fail(`${where}: it hangs`);
    const wasKilled = end === 'SIGKILL';
    if (!wasKilled && end !== 0) run.fail(`${where}: ended with ${end} ${trouble}`);
    if (wasKilled && !timedOut) {
      killed++;
      run.faults++;
      hits.set(point?.name ?? 'at random', (hits.get(point?.name ?? 'at random') ?? 0) + 1);
    }
    take(run, where, lines, told, keyed, random);
  }
  try {
    const { places, recovery } = await recoverPlaces(dataDir, survivesKill, { bootId: `boot ${boots}` });
    if (recovery.leftOut.length > 0) run.fail(`left out: ${JSON.stringify(recovery.leftOut)}`);
    run.add(await audit(told, places));
  } catch (error) {
    run.fail(`the last start: ${error}`);
  }
  run.drop(folder);
}

/** What one run of the service has told; into `keyed` what is to be sent again. */
function take(
  run: FaultRun,
  where: string,
  lines: readonly ServiceLine[],
  told: Told[],
  keyed: Map<string, KeyedCommand>,
  random: Random,
): void {
  for (const line of lines) {
    if (line.kind === 'keyed') keyed.set(line.keyed.command, line.keyed);
    else if (line.kind === 'started') {
      if (line.leftOut.length > 0) run.fail(`${where}: left out ${JSON.stringify(line.leftOut)}`);
    } else if (line.kind === 'rejected') run.fail(`${where}: ${line.command} was rejected: ${line.code}`);
    else if (line.kind === 'ended') {
      if (line.code !== '') run.fail(`${where}: ended by ${line.code}`);
    } else if (isTold(line)) {
      told.push(line);
      // Answered at a level that the kill did not touch: now and then ask again all the same.
      if (line.kind === 'acknowledged' && random() < 0.9) keyed.delete(line.command!);
    }
  }
}
