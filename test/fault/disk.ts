// Disk: system calls on the data directory fail, at the n-th call, once or from then on, with EIO, ENOSPC, EINTR, or fall
// short. Whatever happens, it is told by a typed error; after a failed write or sync of the log nothing is acknowledged any
// more; and the next start, on a healed disk, finds everything that was.
import { join } from 'node:path';
import { integerFrom, oneOf, type Random, randomFrom } from '../random.ts';
import { audit, isTold, survivesKill, type Told } from './audit.ts';
import { runChild } from './child.ts';
import type { Family, FaultRun } from './family.ts';
import { recoverPlaces } from './places.ts';
import type { ServiceLine, ServiceSettings } from './service.ts';
import { injected, withoutStrace } from './strace.ts';

interface Place {
  calls: string;
  file: string;
  faults: readonly string[];
  /** The highest n worth trying. */
  most: number;
  /** Fails for good as well as once: what is retried for ever (the store, sinks) only once. */
  forGood: boolean;
}

const errors = ['error=EIO', 'error=ENOSPC', 'error=EINTR'] as const;
const short = 'retval=512'; // nothing written, and 512 bytes told

// Positions in the list are part of what a seed means: add at the end.
const places: readonly Place[] = [
  { calls: 'pwrite64,pwritev', file: 'log/log.mdb', faults: [...errors, short], most: 150, forGood: true },
  { calls: 'fdatasync', file: 'log/log.mdb', faults: errors, most: 40, forGood: true },
  { calls: 'openat', file: 'log/log.mdb', faults: [...errors, 'error=EMFILE'], most: 6, forGood: true },
  { calls: 'openat,write,fsync,rename', file: 'log/log.json.new', faults: errors, most: 3, forGood: true },
  { calls: 'pwrite64,write,fdatasync,openat', file: 'log/floor', faults: errors, most: 6, forGood: true },
  { calls: 'pwrite64,pwritev', file: 'store/store.mdb', faults: [...errors, short], most: 40, forGood: false },
  { calls: 'fdatasync,fsync', file: 'store/store.mdb', faults: errors, most: 15, forGood: false },
  { calls: 'openat', file: 'store/store.mdb', faults: errors, most: 4, forGood: false },
  { calls: 'openat,ftruncate,write', file: 'file-sink.jsonl', faults: errors, most: 15, forGood: false },
  { calls: 'openat,write,fsync', file: 'trunkline.json.new', faults: errors, most: 3, forGood: true },
  { calls: 'pwrite64,pwritev', file: 'handlers/handlers.mdb', faults: errors, most: 40, forGood: false },
  { calls: 'fdatasync,fsync', file: 'handlers/handlers.mdb', faults: errors, most: 15, forGood: false },
];

const runBoundMs = 90_000;

export const disk: Family = {
  about: 'failing and short writes, syncs and opens on the data directory',
  /** `everyNth`: instead, every so many-th call of each kind, from the first until there is no such call any more. */
  sizes: { runs: 14, commands: 200, everyNth: 0 },
  missing: withoutStrace,
  async run(run) {
    const random = randomFrom(run.seed);
    const step = run.size('everyNth');
    let number = 0;
    if (step === 0) {
      // Each place in turn, so that a few runs see all of them.
      for (; number < run.size('runs'); number++) {
        const place = places[number % places.length]!;
        const n = integerFrom(random, 1, place.most);
        await strike(run, random, number, { place, fault: oneOf(random, place.faults), n });
      }
    } else {
      for (const place of places) {
        for (const fault of place.faults) {
          for (let n = 1; (await strike(run, random, number++, { place, fault, n })) > 0; n += step);
        }
      }
    }
  },
};

interface Strike {
  place: Place;
  fault: string;
  n: number;
}

/** An honest run, a run with the fault, and a start on a healed disk. Returns how many calls have failed. */
async function strike(run: FaultRun, random: Random, number: number, { place, fault, n }: Strike): Promise<number> {
  const folder = run.folder();
  const dataDir = join(folder, 'data');
  const trace = join(folder, 'trace');
  // An interrupted call is begun again, for ever if need be: that is no fault of ours.
  const isForGood = place.forGood && fault !== 'error=EINTR' && random() < 0.5;
  const when = isForGood ? `${n}+` : String(n);
  const where = `${fault} at call ${when} of ${place.calls} on ${place.file}`;
  const told: Told[] = [];
  const service = (name: string): ServiceSettings => ({
    dataDir,
    seed: integerFrom(random, 1, 2 ** 31),
    name: `${run.seed}-${number}-${name}`,
    commands: run.size('commands'),
    clients: integerFrom(random, 1, 30),
    again: [],
    whenFull: oneOf(random, ['wait', 'reject'] as const),
  });
  // Half of the faults meet a start that has something to recover.
  if (random() < 0.5) {
    const argument = service('before');
    const killAt = integerFrom(random, 50, 400);
    const onLine = (_: ServiceLine, count: number): boolean => count === killAt;
    const before = await runChild<ServiceLine>({ program: './service.ts', argument, onLine, boundMs: runBoundMs });
    told.push(...before.lines.filter(isTold));
  }
  const struck = await runChild<ServiceLine>({
    program: './service.ts',
    argument: service('struck'),
    injection: { calls: place.calls, fault, when, files: [join(dataDir, place.file)], trace },
    boundMs: runBoundMs,
  });
  const failed = injected(trace).length;
  run.faults += failed;
  judge(run, where, struck.lines);
  // Pages that a failed sync has dropped come back by no second one: the log must not go on after it.
  if (isSyncOfLog(place, fault) && failed > 0 && !hasGivenUp(struck.lines)) run.fail(`${where}: it went on`);
  if (struck.timedOut) run.fail(`${where}: it hangs`);
  else if (
    (failed > 0 && isUpstreamAbort(place, struck.end, struck.trouble)) ||
    isUpstreamCrash({ place, fault, n }, struck.end)
  )
    run.notes.push(`ended by lmdb-js itself: ${where}`);
  else if (struck.end !== 0) run.fail(`${where}: ended with ${struck.end} ${struck.trouble}`);
  told.push(...struck.lines.filter(isTold));
  try {
    const { places: held, recovery } = await recoverPlaces(dataDir, survivesKill);
    if (recovery.leftOut.length > 0) run.fail(`${where}: left out ${JSON.stringify(recovery.leftOut)}`);
    const findings = await audit(told, held);
    for (const kind of ['lost', 'duplicated', 'reordered', 'gapped', 'torn', 'invented'] as const) {
      findings[kind] = findings[kind].map((what) => `${where}: ${what}`);
    }
    run.add(findings);
  } catch (error) {
    run.fail(`${where}: the start on a healed disk: ${error}`);
  }
  run.drop(folder);
  return failed;
}

/**
 * lmdb-js 3.5.6 words the failed write of a page in 100 bytes that it may overrun (mdb_page_flush): then glibc ends the
 * process, whether the words came out or not. To us that is a kill; what was acknowledged is audited as after any other.
 */
const isUpstreamAbort = ({ calls, file }: Place, end: unknown, trouble: string): boolean =>
  end === 'SIGABRT' &&
  calls.startsWith('pwrite64') &&
  file.endsWith('.mdb') &&
  /corrupt|double free|malloc|free\(\)|invalid (size|pointer)/.test(trouble);

/** lmdb-js 3.5.6 goes on with an environment that it could not open: to us that is a kill, too. */
const isUpstreamCrash = ({ place: { calls, file } }: Strike, end: unknown): boolean =>
  end === 'SIGSEGV' && calls === 'openat' && file.endsWith('.mdb');

const isSyncOfLog = ({ calls, file }: Place, fault: string): boolean =>
  calls === 'fdatasync' && file === 'log/log.mdb' && fault !== 'error=EINTR';

const hasGivenUp = (lines: readonly ServiceLine[]): boolean =>
  lines.some((line) => line.kind === 'poisoned' || (line.kind === 'ended' && line.code !== ''));

/** What a service may say under a failing disk: typed errors, and nothing acknowledged once the log has failed. */
function judge(run: FaultRun, where: string, lines: readonly ServiceLine[]): void {
  let poisoned = false;
  for (const line of lines) {
    if (line.kind === 'rejected') {
      if (!line.typed) run.fail(`${where}: ${line.command} was rejected by ${line.code}`);
    } else if (line.kind === 'poisoned') poisoned = true;
    else if (line.kind === 'acknowledged' && poisoned) run.fail(`${where}: ${line.command} acknowledged afterwards`);
    else if (line.kind === 'ended' && !line.typed) run.fail(`${where}: ended by ${line.code}`);
  }
}
