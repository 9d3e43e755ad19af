// Network: the way to PostgreSQL, Kafka and the registry fails as ways do, and the servers are killed, stopped, continued;
// all under load. Nobody is refused but by a typed error; after each fault events are stored and published again; at the end
// every place holds what it should.
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Level } from '../../src/index.ts';
import { asks, commits, type TcpProxy } from '../proxy.ts';
import { integerFrom, oneOf, type Random, randomFrom } from '../random.ts';
import { audit, isTold, survivesKill, type Told } from './audit.ts';
import { runChild } from './child.ts';
import { Elsewhere, transactionTimeoutMs, withoutServers } from './elsewhere.ts';
import type { Family, FaultRun } from './family.ts';
import { recoverPlaces } from './places.ts';
import type { ServiceLine, ServiceSettings } from './service.ts';

type Server = 'postgres' | 'kafka';

/** Something that happens to a way or to a server, and is over when it resolves. */
interface Fault {
  name: string;
  strike(world: Elsewhere, random: Random): Promise<void>;
}

const endTransaction = asks(26);
const trapBoundMs = 20_000;
const recoveryBoundMs = 60_000;
const runBoundMs = 600_000;
const faultsPerRound = 10;

const moment = (random: Random): Promise<void> => pause(integerFrom(random, 100, 1_500));

/** The request that commits, at whichever server. */
async function atCommit(
  world: Elsewhere,
  where: Server,
  at: 'before' | 'after',
  spring?: (cut: () => void) => Promise<void>,
): Promise<void> {
  const way = world.ways[where];
  const matches = where === 'postgres' ? commits : endTransaction;
  let over: () => void;
  const sprung = new Promise<void>((resolve) => {
    over = resolve;
  });
  const act = spring ?? (async (cut: () => void) => cut());
  way.set({ matches, at, spring: (cut) => act(cut).finally(over) });
  const late = AbortSignal.timeout(trapBoundMs);
  await Promise.race([sprung, pause(trapBoundMs, undefined, { signal: late }).catch(() => {})]);
  if (way.isSet) throw new Error(`no commit came to ${where}`);
}

const whileIt = async (way: TcpProxy, weather: TcpProxy['weather'], random: Random): Promise<void> => {
  way.weather = weather;
  await moment(random);
  way.weather = {};
};

function faultsOfTheWay(where: Server): Fault[] {
  const name = where === 'postgres' ? 'PostgreSQL' : 'Kafka';
  const way = (world: Elsewhere): TcpProxy => world.ways[where];
  const longMs = 1.5 * transactionTimeoutMs;
  return [
    { name: `${name}: cut before the commit`, strike: (world) => atCommit(world, where, 'before') },
    { name: `${name}: cut after the commit`, strike: (world) => atCommit(world, where, 'after') },
    {
      name: `${name}: the commit held for longer than its time-out`,
      strike: (world, random) => atCommit(world, where, 'before', () => pause(integerFrom(random, longMs, 3 * longMs))),
    },
    {
      name: `${name}: the commit's answer held for longer than its time-out`,
      strike: (world, random) => atCommit(world, where, 'after', () => pause(integerFrom(random, longMs, 2 * longMs))),
    },
    { name: `${name}: cut`, strike: async (world) => way(world).cut() },
    { name: `${name}: half-closed`, strike: async (world) => way(world).halfClose() },
    {
      name: `${name}: delayed`,
      strike: (world, random) => whileIt(way(world), { delayMs: integerFrom(random, 5, 300) }, random),
    },
    {
      name: `${name}: throttled`,
      strike: (world, random) => whileIt(way(world), { bytesPerSecond: integerFrom(random, 2_000, 200_000) }, random),
    },
    {
      name: `${name}: answers get lost`,
      strike: (world, random) => whileIt(way(world), { losesAnswers: true }, random),
    },
    { name: `${name}: unreachable`, strike: (world, random) => whileIt(way(world), { isClosed: true }, random) },
  ];
}

// Positions in the list are part of what a seed means: add at the end.
const faults: readonly Fault[] = [
  ...faultsOfTheWay('postgres'),
  ...faultsOfTheWay('kafka'),
  {
    name: 'PostgreSQL: killed',
    async strike({ postgres }, random) {
      await postgres.kill(oneOf(random, ['SIGKILL', 'SIGQUIT'] as const));
      await moment(random);
      await postgres.restart();
    },
  },
  {
    name: 'PostgreSQL: stopped and continued',
    async strike({ postgres }, random) {
      postgres.hold();
      await moment(random);
      postgres.release();
    },
  },
  {
    name: 'Kafka: killed',
    async strike({ kafka }, random) {
      await kafka.kill();
      await moment(random);
      await kafka.restart();
    },
  },
  {
    name: 'Kafka: stopped and continued',
    async strike({ kafka }, random) {
      kafka.freeze();
      await pause(integerFrom(random, 100, 3 * transactionTimeoutMs));
      kafka.thaw();
    },
  },
];

/** Met by a start, which is when schemas are registered. */
const faultsOfTheRegistry: readonly Fault[] = [
  ['cut', { isClosed: true }],
  ['throttled', { bytesPerSecond: 2_000 }],
  ['delayed', { delayMs: 150 }],
  ['answers get lost', { losesAnswers: true }],
].map(([name, weather]) => ({
  name: `registry: ${name}`,
  strike: (world, random) => whileIt(world.ways.registry!, weather as TcpProxy['weather'], random),
}));

export const network: Family = {
  about: 'the ways to PostgreSQL, Kafka and registry cut, held, half-closed, slow, silent; servers killed and stopped',
  sizes: { faults: 27, clients: 12 }, // so many are one of each
  missing: withoutServers,
  async run(run) {
    const random = randomFrom(run.seed);
    const hits = new Map<string, number>();
    await using world = await Elsewhere.start({ registry: true });
    let turn = integerFrom(random, 0, faults.length - 1);
    for (let left = run.size('faults'), number = 0; left > 0; number++) {
      const plan: Fault[] = [oneOf(random, faultsOfTheRegistry)];
      // Every one in turn, with a step that has no common divisor with their number: a few rounds see all of them.
      for (; plan.length < Math.min(left, faultsPerRound); turn += 7) plan.push(faults[turn % faults.length]!);
      await round(run, random, world, plan, number);
      left -= plan.length;
      for (const { name } of plan) hits.set(name, (hits.get(name) ?? 0) + 1);
    }
    run.notes.push([...hits].map(([name, count]) => `${name}: ${count}`).join('; '));
  },
};

/** One service under load, so many faults, one audit. */
async function round(
  run: FaultRun,
  random: Random,
  world: Elsewhere,
  plan: readonly Fault[],
  number: number,
): Promise<void> {
  const folder = run.folder();
  const dataDir = join(folder, 'data');
  const client = oneOf(random, ['kafkajs', 'platformatic'] as const);
  const elsewhere = await world.fresh(client);
  const argument: ServiceSettings = {
    ...{ dataDir, elsewhere, name: `${run.seed}-${number}`, commands: Number.MAX_SAFE_INTEGER, again: [] },
    seed: integerFrom(random, 1, 2 ** 31),
    clients: run.size('clients'),
    pauseMs: 20,
  };
  const flow = new Flow();
  let where = plan[0]!.name;
  const { lines, end, timedOut, trouble } = await runChild<ServiceLine>({
    ...{ program: './service.ts', argument, boundMs: runBoundMs },
    onLine(line) {
      flow.see(line);
      return false;
    },
    async meanwhile({ say }) {
      for (const fault of plan) {
        where = `${fault.name}, ${client}, round ${number}`;
        await fault.strike(world, random);
        run.faults++;
        if (await flow.comesBack(['stored', 'published'], recoveryBoundMs)) continue;
        run.fail(`${where}: nothing is stored or published any more; ${flow.trouble}`);
        break;
      }
      say('enough');
    },
  });
  if (timedOut) run.fail(`${where}: it hangs`);
  else if (end !== 0) run.fail(`${where}: the process ended with ${end} ${trouble}`);
  const told: Told[] = [];
  for (const line of lines) {
    if (line.kind === 'rejected' && !line.typed) run.fail(`round ${number}: ${line.command}: rejected by ${line.code}`);
    else if (line.kind === 'ended' && line.code !== '') run.fail(`round ${number}: ended by ${line.code}`);
    if (isTold(line)) told.push(line);
  }
  try {
    const { places, quarantined } = await recoverPlaces(dataDir, survivesKill, { elsewhere });
    if (quarantined > 0) run.fail(`round ${number}: ${quarantined} events in quarantine`);
    run.add(await audit(told, places));
  } catch (error) {
    run.fail(`round ${number}: the last start: ${error}`);
  }
  run.drop(folder);
}

/** Whether acknowledgements come, of commands that were sent after the world was whole again. */
class Flow {
  private sent = new Set<string>();
  private readonly reached = new Set<Level>();
  private onLine: () => void = () => {};
  private isOver = false;
  trouble = '';

  see(line: ServiceLine): void {
    if (line.kind === 'trouble') this.trouble = line.what;
    if (line.kind === 'ended') this.isOver = true;
    if (line.kind === 'sent') this.sent.add(line.command);
    if (line.kind !== 'acknowledged' || !this.sent.has(line.command!)) return;
    this.reached.add(line.ack);
    this.onLine();
  }

  async comesBack(levels: readonly Level[], boundMs: number): Promise<boolean> {
    this.sent = new Set();
    this.reached.clear();
    const isBack = (): boolean => levels.every((level) => this.reached.has(level));
    for (const until = Date.now() + boundMs; !isBack(); ) {
      if (this.isOver || Date.now() > until) return false;
      await Promise.race([new Promise<void>((resolve) => (this.onLine = resolve)), pause(1_000)]);
    }
    return true;
  }
}
