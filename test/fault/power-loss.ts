// Power loss: commits of all sizes go on during syncs, truncation far behind; then the disk holds any part of what was
// written since the last completed sync, torn at its sectors. The log recovers under another boot id, runs on, and the power
// goes a second time. Nothing synced is lost; what was only written is lost as one suffix, at the end of a command; stale
// bytes of an earlier run are never taken for current ones.
//
// Controls, over fixed seeds, show that the images are worth something: each leaves out one of the rules that the log
// keeps, and must lose in at least the stated share of its images.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { boot, nextBoot, readAll, SampleLog, textAt } from '../log/sample-log.ts';
import { type Random, randomFrom } from '../random.ts';
import type { Family, FaultRun } from './family.ts';
import { holdSyncs } from './held-sync.ts';
import { type Expectation, Recording } from './recording.ts';

export const powerLoss: Family = {
  about:
    'nobody is told what a power loss could take; images of what a disk may hold after one, and after a second; controls',
  sizes: { images: 40, controls: 20 },
  async run(run) {
    await holdSyncs(run);
    for (let image = 0; image < run.size('images'); image++) {
      await twice(run, image);
      await setImmediate();
    }
    const total = run.size('controls');
    for (const [name, { least, fails }] of Object.entries(controls)) {
      let failed = 0;
      for (let image = 0; image < total; image++) if (await fails(run, randomFrom(7_000 + image))) failed++;
      run.notes.push(`control, ${name}: ${failed} of ${total} images fail`);
      if (failed < Math.floor(total * least)) run.fail(`control, ${name}: fails in ${failed} of ${total} images only`);
    }
  },
};

/** Live for a while. `ends`: the positions that close a command. */
function live(log: SampleLog, steps: number, random: Random, ends: Set<number>): Recording {
  const recording = new Recording(log);
  let floor = 1;
  for (let i = 0; i < steps; i++) {
    const kind = random();
    if (kind < 0.8) {
      const sizes = [random() < 0.6 ? 1 : Math.ceil(random() * 120), 1 + Math.floor(random() * 3)];
      let end = log.nextPosition - 1;
      for (const size of sizes) ends.add((end += size));
      log.append(sizes, floor);
    } else if (kind < 0.9) {
      // Nobody is further than what is synced; so nobody needs less.
      floor = Math.max(floor, Math.ceil(random() * (recording.synced + 1)));
      log.writer.truncateBelow(floor, 1 + Math.floor(random() * 40));
    }
    recording.step(floor);
    if (random() < 0.3) recording.beginSync(Math.floor(random() * 4));
  }
  return recording;
}

const anyMoment = (recording: Recording, random: Random): number => 1 + Math.floor(random() * (recording.length - 1));

async function twice(run: FaultRun, image: number): Promise<void> {
  const random = randomFrom(run.seed * 100_000 + image);
  const fail = (what: string): void => run.fail(`image ${image}: ${what}`);
  const lose = (what: string): void => void run.findings.lost.push(`image ${image}: ${what}`);
  const check = (next: number, { synced, written }: Expectation): void => {
    if (next <= synced) lose(`next is ${next}, synced was ${synced}`);
    if (next > written + 1) run.findings.invented.push(`image ${image}: up to ${next - 1}, written was ${written}`);
  };
  /** life that wrote the position, for what must still be there */
  const history = new Map<number, number>();
  const ends = new Set<number>([0]);
  const folders = [run.folder(), join(run.folder(), 'log'), join(run.folder(), 'log')] as const;
  const first = await SampleLog.open(folders[0]);
  const firstRun = live(first, 60, random, ends);
  const stale = readFileSync(first.writer.dataFile);
  await first.close();

  const before = firstRun.lose(folders[1], anyMoment(firstRun, random), random);
  run.faults++;
  for (let position = 1; position <= before.written; position++) history.set(position, 1);
  const second = await SampleLog.open(folders[1], { bootId: nextBoot });
  const { report } = second.recovered;
  if (report.lastEnd !== 'power loss') fail(`ended by ${report.lastEnd}`);
  check(second.nextPosition, before);
  if (!ends.has(report.lastPosition)) run.findings.torn.push(`image ${image}: ends at ${report.lastPosition}`);
  for (let p = second.nextPosition; p <= before.written; p++) history.delete(p);

  const secondRun = live(second, 40, random, ends);
  for (let p = second.recovered.nextPosition; p < second.nextPosition; p++) history.set(p, second.life);
  await second.close();
  const after = secondRun.lose(folders[2], anyMoment(secondRun, random), random, stale);
  run.faults++;
  run.findings.acknowledged += after.synced;
  const third = await SampleLog.open(folders[2], { bootId: boot });
  await third.close();
  check(third.nextPosition, after);

  const found = await readAll(folders[2]);
  run.findings.events += found.size;
  let previous = 0;
  for (const [position, text] of found) {
    if (previous > 0 && position !== previous + 1) run.findings.gapped.push(`image ${image}: before ${position}`);
    previous = position;
    if (text === textAt(position, history.get(position) ?? 0)) continue;
    run.findings.invented.push(`image ${image}: at ${position}: ${text.slice(0, 12)}, kept ${report.lastPosition}`);
    break;
  }
  for (let p = Math.max(before.floor, after.floor); p <= after.synced; p++) {
    if (found.has(p)) continue;
    lose(`${p}, of what was synced up to ${after.synced}`);
    break;
  }
  for (const folder of folders) run.drop(folder);
}

interface Control {
  /** The share of images that must fail. */
  least: number;
  /** One image: whether something synced is missing or wrong, or the process that opened it ended. */
  fails(run: FaultRun, random: Random): Promise<boolean>;
}

const controls: Record<string, Control> = {
  'fsync does nothing': {
    least: 0.5,
    async fails(run, random) {
      const { image, expected } = await lostOnce(run, random, { syncsDoNothing: true });
      return !(await holdsAll(image, expected));
    },
  },
  'chunks are small enough to be stored inline': {
    least: 0.5,
    async fails(run, random) {
      const { image, expected } = await lostOnce(run, random, { unpadded: true });
      return !(await holdsAll(image, expected));
    },
  },
  'LMDB is asked': {
    least: 0.25,
    async fails(run, random) {
      const { image, expected } = await lostOnce(run, random, {});
      const positions = await openedByLmdb(image);
      // It walks to a wrong end, or the process does not live to tell.
      return positions === undefined || (positions.at(-1) ?? 0) < expected.lastSyncedChunk;
    },
  },
};

interface LostOnce {
  image: string;
  expected: Expectation & { lastSyncedChunk: number };
}

async function lostOnce(
  run: FaultRun,
  random: Random,
  { syncsDoNothing = false, unpadded = false },
): Promise<LostOnce> {
  const log = await SampleLog.open(run.folder());
  const recording = new Recording(log);
  const chunks: number[] = [];
  for (let i = 0; i < 60; i++) {
    chunks.push(log.nextPosition);
    log.append([1 + Math.floor(random() * 3)], 1, unpadded);
    recording.step(1);
    if (random() < 0.3) recording.beginSync(Math.floor(random() * 4));
  }
  await log.close();
  const image = join(run.folder(), 'log');
  const expected = recording.lose(image, anyMoment(recording, random), random, undefined, syncsDoNothing);
  const lastSyncedChunk = chunks.findLast((position) => position <= expected.synced) ?? 0;
  return { image, expected: { ...expected, lastSyncedChunk } };
}

async function holdsAll(image: string, { synced }: Expectation): Promise<boolean> {
  try {
    const log = await SampleLog.open(image, { bootId: nextBoot });
    await log.close();
    const found = await readAll(image);
    for (let p = 1; p <= synced; p++) if (found.get(p) !== textAt(p, 1)) return false;
    return true;
  } catch {
    return false;
  }
}

/** First positions of the chunks that LMDB itself finds, or undefined if it has ended the process that let it look. */
async function openedByLmdb(image: string): Promise<number[] | undefined> {
  const program = fileURLToPath(new URL('../log/opening-process.ts', import.meta.url));
  const words = ['--conditions=trunkline-source', program];
  const child = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'ignore'] });
  const bound = setTimeout(() => child.kill('SIGKILL'), 20_000);
  child.stdin.end(`${image}\n`);
  let found: number[] | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    found = (JSON.parse(line) as { found: number[] }).found;
  }
  clearTimeout(bound);
  return found;
}
