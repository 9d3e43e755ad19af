// Kills at named points of what follows the log: PostgreSQL, Kafka, handlers. The proxy before a server knows the request
// that makes a point: it kills the service before the server hears of it, or when the server has answered and the service
// does not know it yet.
import { asks, commits } from '../proxy.ts';
import { integerFrom, oneOf, type Random, randomFrom } from '../random.ts';
import { Elsewhere, withoutServers } from './elsewhere.ts';
import type { Family } from './family.ts';
import { type Blow, killAgainAndAgain } from './kill-rounds.ts';
import type { ServiceLine } from './service.ts';

/** The n-th such request to a server. */
interface Point {
  name: string;
  where: 'postgres' | 'kafka';
  matches(request: Buffer): boolean;
  at: 'before' | 'after';
  /** The highest n worth trying. */
  most: number;
}

const says =
  (text: string) =>
  (request: Buffer): boolean =>
    request.includes(text);

// Positions in the list are part of what a seed means: add at the end.
const points: readonly Point[] = [
  { name: 'between COPY and COMMIT', where: 'postgres', matches: commits, at: 'before', most: 12 },
  { name: 'between COMMIT and checkpoint', where: 'postgres', matches: commits, at: 'after', most: 12 },
  { name: 'before COPY', where: 'postgres', matches: says('copy "'), at: 'before', most: 8 },
  { name: 'in partition making', where: 'postgres', matches: says('make_partition'), at: 'before', most: 2 },
  {
    name: 'between partition making and its COMMIT',
    where: 'postgres',
    matches: says('make_partition'),
    at: 'after',
    most: 2,
  },
  { name: 'at the checkpoint of a start', where: 'postgres', matches: says('flush_checkpoints'), at: 'after', most: 2 },
  { name: 'at a new Kafka producer', where: 'kafka', matches: asks(22), at: 'after', most: 1 },
  { name: 'inside a Kafka transaction, partitions added', where: 'kafka', matches: asks(24), at: 'after', most: 8 },
  { name: 'inside a Kafka transaction, records written', where: 'kafka', matches: asks(0), at: 'after', most: 8 },
  { name: 'between records and the end of the transaction', where: 'kafka', matches: asks(26), at: 'before', most: 8 },
  {
    name: 'between the end of the transaction and checkpoint',
    where: 'kafka',
    matches: asks(26),
    at: 'after',
    most: 8,
  },
];

export const downstream: Family = {
  about: 'SIGKILL at named points of PostgreSQL, Kafka and handlers, under random load',
  sizes: { kills: 10, commands: 300 },
  missing: withoutServers,
  async run(run) {
    const random = randomFrom(run.seed);
    await using world = await Elsewhere.start();
    let turn = integerFrom(random, 0, points.length);
    await killAgainAndAgain(run, random, {
      kills: run.size('kills'),
      commands: run.size('commands'),
      elsewhere: () => world.fresh(oneOf(random, ['kafkajs', 'platformatic'] as const)),
      // On a busy machine an answer takes longer than an impatient service waits for it.
      allowed: ['StoreUnavailable'],
      blow: () => blow(random, world, turn++ % (points.length + 1)),
    });
  },
};

/** Each point in turn, and one of the handlers. */
function blow(random: Random, world: Elsewhere, turn: number): Blow {
  const point = points[turn];
  for (const way of [world.ways.postgres, world.ways.kafka]) way.set(undefined);
  if (point) return { name: point.name, meanwhile: ({ kill }) => setTrap(world, point, random, kill) };
  let left = integerFrom(random, 1, 300);
  const onLine = ({ kind }: ServiceLine): boolean => kind === 'handled' && --left === 0;
  return { name: 'between handling and checkpoint', onLine };
}

async function setTrap({ ways }: Elsewhere, point: Point, random: Random, kill: () => void): Promise<void> {
  let left = integerFrom(random, 1, point.most);
  ways[point.where].set({
    matches: (request) => point.matches(request) && --left === 0,
    at: point.at,
    spring(cut) {
      kill();
      cut();
    },
  });
}
