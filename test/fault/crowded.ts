// Crowded: bursts of messages that come to more than the log holds, between aggregates that are slow, or fail, for a while;
// killed at random instants, started again. At the end every message that a sender's command had sent was carried out once,
// in the order of its sender and target.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { integerFrom, type Random, randomFrom } from '../random.ts';
import { runChild } from './child.ts';
import type { CrowdedLine, CrowdedSettings } from './crowded-child.ts';
import type { Family, FaultRun } from './family.ts';

const boundMs = 90_000;
const killsPerWalk = 5;

export const crowded: Family = {
  about:
    'messages that come to more than the log holds, slow and failing targets, kills: each carried out once, in order',
  sizes: { walks: 1, commands: 50 },
  async run(run) {
    const random = randomFrom(run.seed);
    for (let walk = 0; walk < run.size('walks'); walk++) await walkOnce(run, random);
  },
};

async function walkOnce(run: FaultRun, random: Random): Promise<void> {
  const folder = run.folder();
  const files = join(folder, 'files');
  mkdirSync(files);
  /** By sender and target: how many at least. */
  const told = new Map<string, number>();
  for (let kill = 0; kill <= killsPerWalk; kill++) {
    const isLast = kill === killsPerWalk;
    const seed = integerFrom(random, 1, 2 ** 31);
    const argument: CrowdedSettings = {
      dataDir: join(folder, 'data'),
      folder: files,
      seed,
      commands: run.size('commands'),
      isLast,
    };
    const lines = integerFrom(random, 1, argument.commands);
    const ended = await runChild<CrowdedLine>({
      program: './crowded-child.ts',
      argument,
      boundMs,
      onLine: (_, count) => !isLast && count === lines,
    });
    const where = `seed ${seed}${isLast ? ', the last run' : ''}`;
    if (ended.timedOut) return run.fail(`${where}: it stands still`);
    if (ended.end === 'SIGKILL') run.faults++;
    else if (ended.end !== 0) return run.fail(`${where}: ended with ${ended.end} ${ended.trouble}`);
    for (const line of ended.lines) {
      if (line.kind === 'wrong') run.fail(`${where}: ${line.what}`);
      if (line.kind !== 'sent') continue;
      run.findings.acknowledged++;
      for (const to of line.to) told.set(`${line.from} ${to}`, (told.get(`${line.from} ${to}`) ?? 0) + line.count);
    }
    if (isLast) audit(run, told, ended.lines);
  }
}

function audit(run: FaultRun, told: ReadonlyMap<string, number>, lines: readonly CrowdedLine[]): void {
  const held = new Map(lines.filter((line) => line.kind === 'holds').map((line) => [line.id, line]));
  for (const [lane, count] of told) {
    const [from, to] = lane.split(' ') as [string, string];
    const sent = held.get(from)?.sent[to] ?? 0;
    if (sent < count) run.findings.lost.push(`${lane}: ${sent} sent, and ${count} were acknowledged`);
  }
  for (const [from, { sent }] of held) {
    for (const [to, count] of Object.entries(sent)) {
      const taken = held.get(to)?.taken[from] ?? [];
      const wanted = Array.from({ length: count }, (_, i) => i + 1);
      const [once, there] = [new Set(taken), new Set(wanted)];
      const missing = wanted.filter((number) => !once.has(number));
      if (missing.length > 0)
        run.findings.lost.push(`${from} to ${to}: ${missing.length} of ${count}, ${missing[0]} first`);
      if (once.size < taken.length) run.findings.duplicated.push(`${from} to ${to}: ${taken.length} of ${count}`);
      if (taken.some((number) => !there.has(number)))
        run.findings.invented.push(`${from} to ${to}: more than ${count}`);
      if (taken.some((number, i) => i > 0 && number < taken[i - 1]!)) run.fail(`${from} to ${to}: out of order`);
    }
  }
}
