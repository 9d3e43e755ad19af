import { readFileSync, rmSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { randomFrom } from '../random.ts';
import { Recording } from './power-loss.ts';
import { boot, nextBoot, readAll, removeTemporaryFolders, SampleLog, temporaryFolder, textAt } from './sample-log.ts';

afterEach(removeTemporaryFolders);

const images = Number(process.env.TRUNKLINE_IMAGES ?? 40);
const seed = Number(process.env.TRUNKLINE_SEED ?? 1);

/** Live for a while: commits of all sizes, syncs that overlap them, truncation far behind. */
function live(log: SampleLog, steps: number, random: () => number): Recording {
  const recording = new Recording(log);
  let floor = 1;
  for (let i = 0; i < steps; i++) {
    const kind = random();
    if (kind < 0.8) {
      const size = random() < 0.6 ? 1 : Math.ceil(random() * 120);
      log.append([size, 1 + Math.floor(random() * 3)], floor);
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

test(
  `nothing synced is lost in ${images} images of power loss, each followed by a second one`,
  async () => {
    const failures: string[] = [];
    for (let image = 0; image < images; image++) {
      const random = randomFrom(seed * 100_000 + image);
      const fail = (what: string): void => void failures.push(`image ${image}: ${what}`);
      /** life that wrote the position, for what must still be there */
      const history = new Map<number, number>();
      const first = await SampleLog.open(temporaryFolder());
      const firstRun = live(first, 60, random);
      const stale = readFileSync(first.writer.dataFile);
      await first.close();

      const folder = temporaryFolder();
      const before = firstRun.lose(folder, 1 + Math.floor(random() * (firstRun.length - 1)), random);
      for (let position = 1; position <= before.written; position++) history.set(position, 1);
      const second = await SampleLog.open(folder, { bootId: nextBoot });
      const { report } = second.recovered;
      if (report.lastEnd !== 'power loss') fail(`ended by ${report.lastEnd}`);
      if (second.nextPosition <= before.synced) fail(`next is ${second.nextPosition}, synced was ${before.synced}`);
      if (second.nextPosition > before.written + 1) fail(`invented up to ${second.nextPosition - 1}`);
      for (let p = second.nextPosition; p <= before.written; p++) history.delete(p);
      const kept = report.lastPosition;

      const secondRun = live(second, 40, random);
      for (let p = second.recovered.nextPosition; p < second.nextPosition; p++) history.set(p, second.life);
      await second.close();
      const again = temporaryFolder();
      const after = secondRun.lose(again, 1 + Math.floor(random() * (secondRun.length - 1)), random, stale);
      const third = await SampleLog.open(again, { bootId: boot });
      await third.close();
      if (third.nextPosition <= after.synced) fail(`second: next is ${third.nextPosition}, synced was ${after.synced}`);
      if (third.nextPosition > after.written + 1) fail(`second: invented up to ${third.nextPosition - 1}`);

      const found = await readAll(again);
      const positions = [...found.keys()];
      for (const [i, position] of positions.entries()) {
        if (i > 0 && position !== positions[i - 1]! + 1) fail(`gap before ${position}`);
        if (found.get(position) !== textAt(position, history.get(position) ?? 0)) {
          fail(`at ${position}: ${found.get(position)?.slice(0, 12)}, kept ${kept}`);
          break;
        }
      }
      const floor = Math.max(before.floor, after.floor);
      for (let p = floor; p <= after.synced; p++) {
        if (found.has(p)) continue;
        fail(`${p} of ${floor} to ${after.synced} is lost`);
        break;
      }
      await setImmediate();
      for (const used of [first.folder, folder, again]) rmSync(used, { recursive: true, force: true });
    }
    expect(failures).toEqual([]);
  },
  60_000 + images * 200,
);
