// A wall clock that leaps both ways, by seconds to a month, also between two lives of a service: no command is given up before
// its time by the monotonic clock, no key is carried out twice within its time, no message or effect happens twice or not at
// all, and the audit finds every event where it belongs.
import { join } from 'node:path';
import { integerFrom, oneOf, randomFrom } from '../random.ts';
import { audit, isTold, survivesKill, type Told } from './audit.ts';
import { runChild } from './child.ts';
import { type ClocksLine, type ClocksSettings, type KeyedCommand, leapsMs } from './clock-settings.ts';
import type { Family, FaultRun } from './family.ts';
import { recoverPlaces } from './places.ts';

const boundMs = 180_000;
const livesPerRound = 4;
const keysAgain = 40;
const preload = ['--import', new URL('./leaping-clock.ts', import.meta.url).href];

/** What the lives of one data directory have told. */
class Knowledge {
  readonly told: Told[] = [];
  readonly keyed = new Map<string, KeyedCommand>();
  readonly outcomes = new Map<string, string>();
  readonly effects = new Set<string>();

  /** Returns what is wrong with it. */
  take(line: ClocksLine): string | undefined {
    if (line.kind === 'wrong') return line.what;
    if (line.kind === 'keyed') this.keyed.set(line.keyed.command, line.keyed);
    else if (line.kind === 'effect') this.effects.add(line.key);
    else if (line.kind === 'outcome') {
      const first = this.outcomes.get(line.command);
      if (first !== undefined && first !== line.outcome) return `key ${line.command}: ${line.outcome} after ${first}`;
      this.outcomes.set(line.command, line.outcome);
    } else if (line.kind === 'effects') {
      const lost = [...this.effects].filter((key) => line.counts[key] === undefined);
      const repeated = Object.keys(line.counts).filter((key) => line.counts[key] !== 1);
      if (lost.length + repeated.length > 0) return `effects lost: ${lost}; run more than once: ${repeated}`;
    } else if (isTold(line)) this.told.push(line);
    return undefined;
  }
}

export const clocks: Family = {
  about: 'a wall clock that leaps both ways, by seconds to 31 days, under load and over restarts and kills',
  sizes: { lives: 2, commands: 120 },
  async run(run) {
    for (let left = run.size('lives'), round = 0; left > 0; left -= livesPerRound, round++)
      await oneDirectory(run, round, Math.min(left, livesPerRound));
  },
};

async function oneDirectory(run: FaultRun, round: number, lives: number): Promise<void> {
  const random = randomFrom(run.seed + round);
  const dataDir = join(run.folder(), 'data');
  const known = new Knowledge();
  for (let life = 0; life < lives; life++) {
    const again = [...known.keyed.values()].filter(({ command }) => !known.outcomes.has(command));
    const answered = [...known.outcomes.keys()].map((command) => known.keyed.get(command)!);
    for (let i = 0; i < keysAgain && answered.length > 0; i++) again.push(oneOf(random, answered));
    const argument: ClocksSettings = {
      dataDir,
      seed: integerFrom(random, 1, 2 ** 31),
      name: `${run.seed}-${round}-${life}`,
      commands: run.size('commands'),
      again,
      effects: [...known.effects].slice(-keysAgain),
    };
    const aheadMs = oneOf(random, leapsMs) * (life % 2 === 0 ? 1 : -1);
    // Every other life is killed, if it lives that long.
    const killAt =
      life % 2 === 0 && life < lives - 1 ? integerFrom(random, 200, 4 * argument.commands) : Number.POSITIVE_INFINITY;
    const { lines, end, timedOut, trouble } = await runChild<ClocksLine>({
      ...{ program: './clocks-child.ts', argument, options: preload, boundMs },
      environment: { TRUNKLINE_CLOCK_AHEAD_MS: String(aheadMs) },
      onLine: (_, count) => count >= killAt,
    });
    if (timedOut || (end !== 0 && end !== 'SIGKILL'))
      run.fail(`${argument.name} ${timedOut ? 'hangs' : `ended with ${end}`} ${trouble}`);
    for (const line of lines) {
      if (line.kind === 'leapt') run.faults++;
      const wrong = known.take(line);
      if (wrong !== undefined) run.fail(`${argument.name}: ${wrong}`);
    }
  }
  const { places, recovery } = await recoverPlaces(dataDir, survivesKill);
  if (recovery.leftOut.length > 0) run.fail(`left out: ${JSON.stringify(recovery.leftOut)}`);
  run.add(await audit(known.told, places));
  run.notes.push(`${known.outcomes.size} keys and ${known.effects.size} effects, used again and again`);
  run.drop(dataDir);
}
