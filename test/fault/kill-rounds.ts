// Kills in rounds: a service under load is killed, started again, killed again, on one data directory; then everything that
// anyone was told is held against what each place holds. Commands that were sent under an idempotency key and not answered
// are sent again after the restart, and so are some that were answered.
import { join } from 'node:path';
import type { RecoveryReport } from '../../src/index.ts';
import { integerFrom, type Random } from '../random.ts';
import { audit, isTold, survivesKill, type Told } from './audit.ts';
import { type ChildSettings, runChild } from './child.ts';
import type { ElsewhereSettings } from './elsewhere.ts';
import type { FaultRun } from './family.ts';
import { recoverPlaces } from './places.ts';
import type { KeyedCommand, ServiceLine, ServiceSettings } from './service.ts';

/** How a service is killed. It may happen that it ends before: then it is another one's turn. */
export interface Blow extends Pick<ChildSettings<ServiceLine>, 'injection' | 'onLine' | 'meanwhile'> {
  name: string;
  /** Only a start that rebuilds the log comes to this point. */
  rebuilds?: boolean | undefined;
}

export interface Killing {
  kills: number;
  /** That a service sends if it is let live. */
  commands: number;
  /** `hits`: how often each name has killed so far. */
  blow(dataDir: string, hits: ReadonlyMap<string, number>): Blow;
  /** A place of its own for each round's events. */
  elsewhere?(): Promise<ElsewhereSettings>;
  /** Rejections by these codes are no fault. */
  allowed?: readonly string[];
}

const killsPerRound = 10;
const runBoundMs = 60_000;

/** Returns how often each name has killed. */
export async function killAgainAndAgain(
  run: FaultRun,
  random: Random,
  killing: Killing,
): Promise<ReadonlyMap<string, number>> {
  const hits = new Map<string, number>();
  for (let left = killing.kills; left > 0; left -= killsPerRound) {
    await round(run, random, { ...killing, kills: Math.min(left, killsPerRound) }, hits);
  }
  run.notes.push([...hits].map(([name, count]) => `${name}: ${count}`).join('; '));
  return hits;
}

/** One data directory, so many kills, one audit. */
async function round(run: FaultRun, random: Random, killing: Killing, hits: Map<string, number>): Promise<void> {
  const folder = run.folder();
  const dataDir = join(folder, 'data');
  const elsewhere = await killing.elsewhere?.();
  const told: Told[] = [];
  const keyed = new Map<string, KeyedCommand>();
  let boots = 1;
  for (let killed = 0, attempt = 0; killed < killing.kills && attempt < killing.kills * 3; attempt++) {
    const { name, rebuilds, ...blow } = killing.blow(dataDir, hits);
    // Another boot: the start takes it for a power loss that took nothing, and rebuilds the log.
    if (rebuilds && attempt > 0) boots++;
    const argument: ServiceSettings = {
      dataDir,
      seed: integerFrom(random, 1, 2 ** 31),
      name: `${run.seed}-${attempt}`,
      commands: killing.commands,
      clients: integerFrom(random, 1, 40),
      again: [...keyed.values()],
      bootId: `boot ${boots}`,
      ...(elsewhere && { elsewhere }),
    };
    keyed.clear();
    const ended = await runChild<ServiceLine>({ program: './service.ts', argument, boundMs: runBoundMs, ...blow });
    const where = `${name}, run ${argument.name}`;
    const wasKilled = ended.end === 'SIGKILL';
    if (ended.timedOut) run.fail(`${where}: it hangs`);
    else if (wasKilled) {
      killed++;
      run.faults++;
      hits.set(name, (hits.get(name) ?? 0) + 1);
    } else if (ended.end !== 0) run.fail(`${where}: ended with ${ended.end} ${ended.trouble}`);
    for (const line of ended.lines) {
      const wrong = take(line, told, keyed, random, killing.allowed ?? []);
      if (wrong) run.fail(`${where}: ${wrong}`);
    }
  }
  try {
    const settings = { bootId: `boot ${boots}`, ...(elsewhere && { elsewhere }) };
    const { places, recovery, quarantined } = await recoverPlaces(dataDir, survivesKill, settings);
    const leftOut = leftOutWrongly(recovery);
    if (leftOut) run.fail(leftOut);
    if (quarantined > 0) run.fail(`${quarantined} events in quarantine`);
    run.add(await audit(told, places));
  } catch (error) {
    run.fail(`the last start: ${error}`);
  }
  run.drop(folder);
}

/**
 * A start after a kill has LMDB's word for what was committed, and finds all of that whole. One after (what it takes for) power
 * loss sees only pages: a chunk that the kill caught half written counts as left out, though nobody was told of it; that
 * nothing else is missing is for the audit to see.
 */
function leftOutWrongly({ lastEnd, leftOut }: Pick<RecoveryReport, 'lastEnd' | 'leftOut'>): string | undefined {
  if (leftOut.length === 0) return undefined;
  if (lastEnd === 'power loss' && leftOut.every(({ reason }) => reason === 'torn or altered')) return undefined;
  return `left out after '${lastEnd}': ${JSON.stringify(leftOut)}`;
}

/** What the service has told; into `keyed` what is to be sent again. Returns what is wrong with it. */
function take(
  line: ServiceLine,
  told: Told[],
  keyed: Map<string, KeyedCommand>,
  random: Random,
  allowed: readonly string[],
): string | undefined {
  if (line.kind === 'keyed') keyed.set(line.keyed.command, line.keyed);
  else if (line.kind === 'started') {
    return leftOutWrongly(line);
  } else if (line.kind === 'rejected') {
    if (!allowed.includes(line.code)) return `${line.command} was rejected: ${line.code}`;
  } else if (line.kind === 'ended') {
    if (line.code !== '') return `ended by ${line.code}`;
  } else if (isTold(line)) {
    told.push(line);
    // Answered at a level that the kill did not touch: now and then ask again all the same.
    if (line.kind === 'acknowledged' && random() < 0.9) keyed.delete(line.command!);
  }
  return undefined;
}
