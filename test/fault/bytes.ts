// Bytes: a log's files with one bit flipped or the end cut off, everywhere in a small one and anywhere in a large one.
// Detected or harmless: never a crash, a hang, a wrong event, or a loss without a word.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { SampleLog } from '../log/sample-log.ts';
import { integerFrom, randomFrom } from '../random.ts';
import type { BytesCounts, BytesLine, BytesSettings, Sample } from './bytes-child.ts';
import { runChild } from './child.ts';
import type { Family, FaultRun } from './family.ts';

const caseMs = 400; // far more than one takes; a hang takes longer
const leastMs = 60_000;
const crashesMost = 20;
const casesInChild = 5_000;

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
  const all: BytesCounts = { cases: 0, refused: 0, shortened: 0, harmless: 0 };
  let todo = cases;
  for (let crashes = 0; crashes < crashesMost; ) {
    let current = '';
    let done = false;
    let begun = 0;
    const { end, timedOut, trouble } = await runChild<BytesLine>({
      program: './bytes-child.ts',
      argument: { sample, work, most: casesInChild, cases: todo } satisfies BytesSettings,
      onLine(line) {
        if (line.kind === 'case') {
          current = line.damage;
          begun++;
          run.faults++;
        } else if (line.kind === 'wrong') run.fail(`${line.damage}: ${line.what}`);
        else {
          done = true;
          for (const name in all) all[name as keyof BytesCounts] += line[name as keyof BytesCounts];
        }
        return false;
      },
      boundMs: leastMs + caseMs * casesInChild,
    });
    run.drop(work);
    if (!done) {
      run.fail(`${current}: ${timedOut ? 'it hangs' : `the process ended with ${end} ${trouble}`}`);
      crashes++;
    } else if (begun < casesInChild) break;
    // Go on behind the last case, also if that ended the child.
    if ('count' in todo) todo = { seed: todo.seed + 1, count: todo.count - begun };
    else todo = { from: Number(current.split(':')[0]) + todo.stride, stride: todo.stride };
  }
  run.notes.push(`${all.cases} cases: ${all.refused} refused, ${all.shortened} shortened, ${all.harmless} harmless`);
}
