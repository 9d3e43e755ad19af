// Bytes: a log's files with one bit flipped or the end cut off, everywhere in a small one and anywhere in a large one.
// Detected or harmless: never a crash, a hang, a wrong event, or a loss without a word.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { SampleLog } from '../log/sample-log.ts';
import { integerFrom, randomFrom } from '../random.ts';
import type { BytesLine, BytesSettings, Sample } from './bytes-child.ts';
import { runChild } from './child.ts';
import type { Family, FaultRun } from './family.ts';

const caseMs = 400; // far more than one takes; a hang takes longer
const leastMs = 60_000;
const crashesMost = 20;

export const bytes: Family = {
  about: 'flipped bits and cuts: every stride-th of a small log, random ones of a large one',
  sizes: { stride: 1499, random: 60, largeChunks: 300 },
  async run(run) {
    const folder = run.folder();
    const small = await makeSample(join(folder, 'small'), 4, run.seed);
    const stride = run.size('stride');
    await strike(run, folder, small, { from: run.seed % stride, stride });
    const large = await makeSample(join(folder, 'large'), run.size('largeChunks'), run.seed);
    await strike(run, folder, large, { seed: run.seed, count: run.size('random') });
  },
};

/** A log that two runs wrote and left by a kill, some of it truncated, so that there are free pages in it. */
async function makeSample(folder: string, chunks: number, seed: number): Promise<Sample> {
  const random = randomFrom(seed);
  const lives: number[] = [];
  let floor = 1;
  for (let life = 1; life <= 2; life++) {
    const log = await SampleLog.open(folder);
    for (let i = 0; i < chunks; i++) {
      log.append([integerFrom(random, 1, 3), integerFrom(random, 1, 60)], floor);
      if (i % 4 !== 3) continue;
      floor = Math.floor(log.nextPosition * 0.6);
      log.writer.truncateBelow(floor, 100);
    }
    lives.push(log.nextPosition - 1);
    await log.close();
  }
  return { folder, lives, floor };
}

async function strike(run: FaultRun, folder: string, sample: Sample, cases: BytesSettings['cases']): Promise<void> {
  // Thousands of starts, each with its syncs: in memory, if the machine has a place for that.
  const work = existsSync('/dev/shm') ? `/dev/shm/trunkline-fault-${process.pid}` : join(folder, 'work');
  let todo = cases;
  for (let crashes = 0; crashes < crashesMost; crashes++) {
    let current = '';
    let done = false;
    let begun = 0;
    const { end, timedOut, trouble } = await runChild<BytesLine>({
      program: './bytes-child.ts',
      argument: { sample, work, cases: todo } satisfies BytesSettings,
      onLine(line) {
        if (line.kind === 'case') {
          current = line.damage;
          begun++;
          run.faults++;
        } else if (line.kind === 'wrong') run.fail(`${line.damage}: ${line.what}`);
        else {
          done = true;
          const { cases, refused, shortened, harmless } = line;
          run.notes.push(`${cases} cases: ${refused} refused, ${shortened} shortened, ${harmless} harmless`);
        }
        return false;
      },
      boundMs: leastMs + caseMs * ('count' in cases ? cases.count : 600_000 / cases.stride),
    });
    run.drop(work);
    if (done) return;
    run.fail(`${current}: ${timedOut ? 'it hangs' : `the process ended with ${end} ${trouble}`}`);
    // Go on behind the case that ended it.
    if ('count' in todo) todo = { seed: todo.seed + 1, count: todo.count - begun };
    else todo = { from: Number(current.split(':')[0]) + todo.stride, stride: todo.stride };
  }
}
