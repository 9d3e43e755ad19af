// Cycles of start and close, with commands under way, and closes within closes: descriptors and threads come back to where
// they were, memory has no slope over the second half, and what was acknowledged is there.
import { join } from 'node:path';
import { runChild } from './child.ts';
import type { CyclesLine, CyclesSettings } from './cycles-child.ts';
import type { Family } from './family.ts';
import { slopeOf } from './slope.ts';

const cycleBoundMs = 15_000;
const heapSlopeMost = 30_000; // bytes a cycle: what a garbage collector leaves, not what a runtime takes
const enoughForASlope = 40;

export const cycles: Family = {
  about: 'starts and closes, with commands under way and closes within closes: nothing is left behind',
  sizes: { cycles: 10 },
  missing: () => (process.platform === 'linux' ? undefined : 'needs Linux: it counts in /proc'),
  async run(run) {
    const argument: CyclesSettings = {
      dataDir: join(run.folder(), 'data'),
      cycles: run.size('cycles'),
      seed: run.seed,
    };
    const boundMs = 60_000 + cycleBoundMs * argument.cycles;
    const options = ['--expose-gc'];
    const { lines, end, timedOut, trouble } = await runChild<CyclesLine>({
      ...{ program: './cycles-child.ts', argument, options, boundMs },
    });
    if (timedOut || end !== 0) run.fail(`${timedOut ? 'it hangs' : `it ended with ${end}`} ${trouble}`);
    const seen = lines.filter((line) => line.kind === 'cycle');
    run.faults += seen.length;
    for (const line of lines) {
      if (line.kind === 'wrong') run.fail(line.what);
      if (line.kind !== 'done') continue;
      run.findings.acknowledged += line.acknowledged;
      if (line.version < line.acknowledged) run.findings.lost.push(`${line.version} of ${line.acknowledged} are there`);
    }
    const [early, last] = [seen[Math.min(2, seen.length - 1)], seen.at(-1)];
    if (!early || !last) return;
    for (const what of ['descriptors', 'threads'] as const) {
      if (last[what] > early[what])
        run.fail(`${what}: ${early[what]} after the third cycle, ${last[what]} after the last`);
    }
    const half = seen.slice(seen.length >> 1);
    const slope = slopeOf(half.map(({ heapBytes }) => heapBytes));
    run.notes.push(
      `heap ${Math.round(slope)} bytes a cycle, rss ${Math.round(slopeOf(half.map((line) => line.rssBytes)))}`,
    );
    if (seen.length >= enoughForASlope && slope > heapSlopeMost) run.fail(`the heap grows by ${slope} bytes a cycle`);
  },
};
