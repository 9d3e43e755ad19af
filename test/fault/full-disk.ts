// A full disk: a small one of its own, in memory, filled from outside to its last byte in the middle of a run, again and
// again. Whatever the rest of the disk does, the process lives, nothing that was acknowledged is lost, refusals are typed, and
// the service goes on as soon as there is room. Needs root, to mount the disk: without it the family fails.
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { createRuntime, isError, type Runtime, TrunklineError } from '../../src/index.ts';
import { integerFrom, oneOf, type Random, randomFrom } from '../random.ts';
import { Counter } from '../runtime/aggregates.ts';
import { SmallDisk } from '../small-disk.ts';
import { audit, isTold, survivesKill, type Told } from './audit.ts';
import { runChild } from './child.ts';
import type { Family, FaultRun } from './family.ts';
import { recoverPlaces } from './places.ts';
import type { ServiceLine, ServiceSettings } from './service.ts';

const diskBytes = 40 << 20;
const ballastBytes = 20 << 20;
const commandsAtOnce = 64;
const boundMs = 60_000;
const runBoundMs = 90_000;

/**
 * `freed`: the other writer gives back what it took, and the service goes on. `kept`: it ends, in order, on the full disk.
 * `killed`: it is killed there, and started there.
 */
type Course = 'freed' | 'kept' | 'killed';
const courses: readonly Course[] = ['freed', 'killed', 'kept'];

export const fullDisk: Family = {
  about: 'a disk that others fill to its last byte in the middle of a run, and free again',
  sizes: { rounds: 3, commands: 200 },
  async run(run) {
    const random = randomFrom(run.seed);
    await onSmallDisk(run, (disk) => onDisk(run, disk));
    for (let round = 0; round < run.size('rounds'); round++) {
      await onSmallDisk(run, (disk) => besideAnother(run, random, disk, round));
    }
  },
};

async function onSmallDisk(run: FaultRun, work: (disk: SmallDisk) => Promise<void>): Promise<void> {
  using disk = SmallDisk.mount(diskBytes, run.folder());
  await work(disk);
}

/** Another writer takes what is left while a service runs, with handlers and the store at work. */
async function besideAnother(run: FaultRun, random: Random, disk: SmallDisk, round: number): Promise<void> {
  const dataDir = join(disk.path, 'data');
  // Each course in turn, so that a few rounds see all of them.
  const course = courses[round % courses.length]!;
  const fillAt = integerFrom(random, 1, 300);
  const thenAt = fillAt + integerFrom(random, 50, 300);
  const where = `round ${round}, ${course}, filled at line ${fillAt}, then at ${thenAt}`;
  const told: Told[] = [];
  const live = async (name: string, isStruck: boolean): Promise<void> => {
    const argument: ServiceSettings = {
      dataDir,
      seed: integerFrom(random, 1, 2 ** 31),
      name: `${run.seed}-${round}-${name}`,
      commands: run.size('commands'),
      clients: integerFrom(random, 1, 30),
      again: [],
      // On a disk that stays full, a client that waits for room waits for ever.
      whenFull: course === 'freed' ? oneOf(random, ['wait', 'reject']) : 'reject',
    };
    const onLine = (_: ServiceLine, count: number): boolean => {
      if (!isStruck) return false;
      if (count === fillAt) {
        disk.fill();
        run.faults++;
      }
      if (count === thenAt && course === 'freed') disk.free();
      return count === thenAt && course === 'killed';
    };
    const service = await runChild<ServiceLine>({ program: './service.ts', argument, onLine, boundMs: runBoundMs });
    told.push(...service.lines.filter(isTold));
    const isKilled = isStruck && course === 'killed' && service.end === 'SIGKILL';
    if (service.timedOut) run.fail(`${where}: ${name} hangs`);
    else if (service.end !== 0 && !isKilled) run.fail(`${where}: ${name} ended with ${service.end} ${service.trouble}`);
    for (const line of service.lines) {
      if (line.kind === 'poisoned') run.fail(`${where}: ${name} was poisoned`);
      if ((line.kind === 'rejected' || line.kind === 'ended') && !line.typed) run.fail(`${where}: ${line.code}`);
    }
  };
  await live('struck', true);
  if (course === 'killed') await live('on the full disk', false);
  disk.free();
  const { places, recovery } = await recoverPlaces(moved(run, dataDir), survivesKill);
  if (recovery.leftOut.length > 0) run.fail(`${where}: left out ${JSON.stringify(recovery.leftOut)}`);
  run.add(await audit(told, places));
}

/** The data directory where there is room: what reads it adds a sink, which holds every event once more. */
function moved(run: FaultRun, dataDir: string): string {
  const roomy = join(run.folder(), 'data');
  cpSync(dataDir, roomy, { recursive: true });
  return roomy;
}

async function onDisk(run: FaultRun, disk: SmallDisk): Promise<void> {
  disk.fill(ballastBytes);
  const dataDir = join(disk.path, 'data');
  const said: string[] = [];
  const hear = (_: object, what: string): void => void said.push(what);
  const runtime = await createRuntime({
    logger: { debug() {}, info() {}, warn: hear, error: hear },
    ...{ dataDir, aggregates: [Counter], shards: 1 },
    flush: { whenFull: 'reject', ringBytes: 1 << 21 },
    log: { maxBytes: 64 << 20, retainBytes: 32 << 20 },
  });
  const told: Told[] = [];
  let sent = 0;
  let isNamed = false;
  const label = async (text: string): Promise<string> => {
    const [command, id] = [`full-${sent}`, `c${sent++ % 20}`];
    told.push({ kind: 'sent', command, events: 1 });
    const metadata = { commandId: command, commandEvents: 1 };
    try {
      const { version, events } = await runtime.ref(Counter, id).with({ metadata, deadlineMs: 2_000 }).label(text);
      const refs = events.map((event) => ({ id: event.id, version: event.version }));
      const ack = 'written';
      told.push({
        kind: 'acknowledged',
        command,
        ack,
        aggregateType: 'counter',
        aggregateId: id,
        version,
        events: refs,
      });
      return '';
    } catch (error) {
      if (isError(error, 'LogFull') && error.details.diskIsFull) isNamed = true;
      if (error instanceof TrunklineError) return error.code;
      run.fail(`full disk: rejected by ${error}`);
      return 'untyped';
    }
  };
  const batch = (): Promise<string[]> =>
    Promise.all(Array.from({ length: commandsAtOnce }, () => label('x'.repeat(8000))));
  try {
    const refusals = await repeat(batch, (codes) => codes.includes('LogFull'));
    if (!refusals) run.fail('full disk: nobody was refused');
    if (!isNamed) run.fail('full disk: LogFull does not say that the disk is full');
    run.faults++;
    const written = runtime.status().written;
    if ((await count(runtime, written)) !== told.filter(({ kind }) => kind === 'acknowledged').length) {
      // Commands whose deadline has passed may have been carried out: at least what was acknowledged is there.
      if ((await count(runtime, written)) < told.filter(({ kind }) => kind === 'acknowledged').length) {
        run.fail('full disk: reading does not find what was acknowledged');
      }
    }
    if (runtime.status().state !== 'open') run.fail(`full disk: the runtime is ${runtime.status().state}`);
    disk.free();
    if (!(await repeat(batch, (codes) => codes.every((code) => code === ''))))
      run.fail('full disk: it does not come back');
    for (const what of ['the disk is full', 'the disk has room again'])
      if (!said.some((one) => one.startsWith(what))) run.fail(`full disk: the log says nothing of '${what}': ${said}`);
    await runtime.reached('stored', { signal: AbortSignal.timeout(boundMs) });
  } finally {
    await runtime.close();
  }
  const { places } = await recoverPlaces(moved(run, dataDir), survivesKill, {
    hasHandler: false,
    hasSink: false,
    log: { maxBytes: 64 << 20, retainBytes: 32 << 20 },
  });
  run.add(await audit(told, places));
}

async function repeat(batch: () => Promise<string[]>, holds: (codes: string[]) => boolean): Promise<boolean> {
  for (const until = Date.now() + boundMs; Date.now() < until; ) {
    const codes = await batch();
    if (holds(codes)) return true;
  }
  return false;
}

async function count(runtime: Runtime, to: number): Promise<number> {
  let events = 0;
  for await (const _ of runtime.events({ to })) events++;
  return events;
}
