// Damages a log's files, one bit or one cut at a time, starts it, goes on writing, reads everything, and says what was not
// as it should be. In a process of its own: should one of the cases end it, or hold it for ever, the parent knows which.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TrunklineError } from '../../src/index.ts';
import { boot, nextBoot, readAll, SampleLog, textAt } from '../log/sample-log.ts';
import { randomFrom } from '../random.ts';
import { argumentFromParent, say } from './parent.ts';

/** A log to be damaged, and what it held: life k wrote the positions up to `lives[k - 1]`. */
export interface Sample {
  folder: string;
  lives: number[];
  floor: number;
}

export interface BytesSettings {
  sample: Sample;
  work: string;
  /** End after so many: each environment that lmdb-js opens leaves some 4 KB behind. */
  most: number;
  /** Which damages, by their numbers: every `stride`-th from `from`, or so many at random. */
  cases: { from: number; stride: number } | { seed: number; count: number };
}

export type BytesLine =
  | { kind: 'case'; damage: string }
  | { kind: 'wrong'; damage: string; what: string }
  | ({ kind: 'done' } & BytesCounts);

export interface BytesCounts {
  cases: number;
  refused: number;
  shortened: number;
  harmless: number;
}

const files = ['log.mdb', 'log.json', 'floor'] as const;

const { sample, work, most, cases } = await argumentFromParent<BytesSettings>();
const originals = files.map((name) => readFileSync(join(sample.folder, name)));
// Of each file first every bit, then every length that it can be cut to.
const sizes = originals.map(({ length }) => length * 8 + length);
const space = sizes.reduce((sum, size) => sum + size, 0);
const count: BytesCounts = { cases: 0, refused: 0, shortened: 0, harmless: 0 };

if ('stride' in cases) {
  for (let n = cases.from; n < space && count.cases < most; n += cases.stride) await one(n);
} else {
  const random = randomFrom(cases.seed);
  for (let i = 0; i < cases.count && count.cases < most; i++) await one(Math.floor(random() * space));
}
say(JSON.stringify({ kind: 'done', ...count } satisfies BytesLine));
process.exit(0);

async function one(number: number): Promise<void> {
  const damage = plant(number);
  say(JSON.stringify({ kind: 'case', damage } satisfies BytesLine));
  count.cases++;
  try {
    const wrong = await judge(number % 3 === 0 ? nextBoot : boot);
    for (const what of wrong) say(JSON.stringify({ kind: 'wrong', damage, what } satisfies BytesLine));
  } catch (error) {
    if (error instanceof TrunklineError) count.refused++;
    else {
      const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
      say(JSON.stringify({ kind: 'wrong', damage, what } satisfies BytesLine));
    }
  }
}

function plant(number: number): string {
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work);
  let rest = number;
  let damage = '';
  for (const [i, name] of files.entries()) {
    const original = originals[i]!;
    if (rest < 0 || rest >= sizes[i]!) writeFileSync(join(work, name), original);
    else if (rest < original.length * 8) {
      const bytes = Buffer.from(original);
      bytes[rest >> 3]! ^= 1 << (rest & 7);
      writeFileSync(join(work, name), bytes);
      damage = `${number}: bit ${rest & 7} of byte ${rest >> 3} of ${name}`;
    } else {
      const length = rest - original.length * 8;
      writeFileSync(join(work, name), original.subarray(0, length));
      damage = `${number}: ${name} cut to ${length} bytes`;
    }
    rest -= sizes[i]!;
  }
  return damage;
}

async function judge(bootId: string): Promise<string[]> {
  const log = await SampleLog.open(work, { bootId }, 64 << 10); // small buffers: it is opened very often
  const { report, nextPosition } = log.recovered;
  log.append([2, 1]);
  await log.close();
  const found = await readAll(work);
  const wrong: string[] = [];
  const last = sample.lives.at(-1)!;
  const lifeOf = (position: number): number => 1 + sample.lives.findIndex((end) => position <= end);
  for (const [position, text] of found) {
    const life = position <= report.lastPosition ? lifeOf(position) : log.life;
    if (text !== textAt(position, life)) wrong.push(`position ${position} holds ${text.slice(0, 20)}`);
  }
  for (let i = 0; i < 3; i++)
    if (!found.has(nextPosition + i)) wrong.push(`${nextPosition + i} was written and is lost`);
  const lost: number[] = [];
  for (let position = sample.floor; position <= last; position++) if (!found.has(position)) lost.push(position);
  if (lost.length === 0) count.harmless++;
  else {
    count.shortened++;
    // After power loss a file that ends early is as good as one that was never written further.
    if (report.leftOut.length === 0 && report.lastEnd !== 'power loss')
      wrong.push(`${lost.length} lost without a word`);
    if (report.damagedFile !== undefined && !existsSync(report.damagedFile)) wrong.push('the damaged file is not kept');
    if (report.lastEnd !== 'power loss' && nextPosition <= last)
      wrong.push(`position ${nextPosition} is given out twice`);
  }
  return wrong;
}
