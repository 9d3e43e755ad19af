// Threads: a shard's or the flush thread's own code throws, rejects, exits, runs out of heap, or blocks for five seconds,
// under load. Whoever waits is told by a typed error or gets what it waits for; nobody waits for ever; nothing acknowledged
// is lost.
import { join } from 'node:path';
import { integerFrom, type Random, randomFrom } from '../random.ts';
import { audit, isTold, survivesKill, type Told } from './audit.ts';
import { runChild } from './child.ts';
import type { Family, FaultRun } from './family.ts';
import { type Mischief, mischiefs } from './mischief.ts';
import { recoverPlaces } from './places.ts';
import type { ServiceLine, ServiceSettings } from './service.ts';

const heap = '--max-old-space-size=160'; // megabytes: enough for the service, soon spent by who spends it
const runBoundMs = 90_000;

export const threads: Family = {
  about: 'shard and flush threads that throw, reject, exit, run out of heap, block',
  sizes: { rounds: 1, commands: 400 },
  async run(run) {
    const random = randomFrom(run.seed);
    for (let round = 0; round < run.size('rounds'); round++) {
      for (const kind of mischiefs) {
        for (const thread of ['shard', 'flush'] as const) await strike(run, random, thread, kind);
      }
    }
  },
};

async function strike(run: FaultRun, random: Random, thread: 'shard' | 'flush', kind: Mischief): Promise<void> {
  const folder = run.folder();
  const dataDir = join(folder, 'data');
  const commands = run.size('commands');
  const where = `the ${thread} thread ${kind}`;
  const at = thread === 'shard' ? integerFrom(random, 1, commands / 2) : integerFrom(random, 1, 5);
  const argument: ServiceSettings = {
    ...{ dataDir, commands, again: [], name: `${run.seed}`, mischief: { thread, kind, at } },
    seed: integerFrom(random, 1, 2 ** 31),
    clients: integerFrom(random, 5, 30),
  };
  const { lines, end, timedOut, trouble } = await runChild<ServiceLine>({
    program: './service.ts',
    argument,
    options: [heap],
    boundMs: runBoundMs,
  });
  run.faults++;
  if (timedOut) run.fail(`${where}: it hangs`);
  else if (end === 'SIGABRT' && trouble.includes('heap out of memory')) {
    run.notes.push(`${where}: V8 ended the whole process before Node could end the thread`);
  } else if (end !== 0) run.fail(`${where}: the process ended with ${end} ${trouble}`);
  const told: Told[] = [];
  for (const line of lines) {
    if (line.kind === 'rejected' && !line.typed) run.fail(`${where}: ${line.command} was rejected by ${line.code}`);
    if (line.kind === 'ended' && line.code !== '') run.fail(`${where}: ended by ${line.code}`);
    if (isTold(line)) told.push(line);
  }
  try {
    const { places } = await recoverPlaces(dataDir, survivesKill);
    run.add(await audit(told, places));
  } catch (error) {
    run.fail(`${where}: the next start: ${error}`);
  }
  run.drop(folder);
}
