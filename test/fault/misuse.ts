// Misuse: hostile values at every door of an embedded runtime, between commands that are in order, with a handler and a live
// listener that throw, and a sink that refuses some events. Every hostile call gets a typed error; nothing else is lost, and
// no shard dies. What each place holds afterwards is audited. The seed makes the order.
import { join } from 'node:path';
import { createRuntime, type Receipt, type Runtime, TrunklineError } from '../../src/index.ts';
import { hostileData, hostileMetadata, hostileTexts } from '../hostile.ts';
import { integerFrom, oneOf, type Random, randomFrom } from '../random.ts';
import { Counter } from '../runtime/aggregates.ts';
import { audit, survivesKill, type Told } from './audit.ts';
import { Elsewhere, withoutServers } from './elsewhere.ts';
import type { Family, FaultRun } from './family.ts';
import { Victim } from './mischief.ts';
import { type OptionsDoor, plainDoors, runtimeDoors, runtimeOptions, tryDoor } from './misuse-options.ts';
import { misuseServices } from './misuse-services.ts';
import { recoverPlaces } from './places.ts';

const values = (of: Readonly<Record<string, unknown>>): readonly [string, unknown][] => Object.entries(of);
const entity = { aggregateType: 'stock', aggregateId: 'x', type: 'Repriced', data: { n: 1 } };

/** A door, and one way to misuse it. */
type Misuse = (runtime: Runtime, random: Random) => { what: string; call: Promise<unknown> };

const door =
  (
    name: string,
    hostile: Readonly<Record<string, unknown>>,
    call: (runtime: Runtime, value: any, random: Random) => unknown,
  ): Misuse =>
  (runtime, random) => {
    const [what, value] = oneOf(random, values(hostile));
    return { what: `${name}: ${what}`, call: (async () => call(runtime, value, random))() };
  };

// Keys are bytes: U+0000 is one of them.
const { 'text with U+0000': _, ...hostileKeys } = hostileTexts;

const misspelt = { akc: 'written', metdata: {}, idempotencykey: 'k', deadlineMS: 5 };

const misuses: readonly Misuse[] = [
  door('id', hostileTexts, (runtime, id) => runtime.ref(Counter, id).add(1)),
  door('arguments', hostileData, (runtime, data) => runtime.ref(Counter, 'h').raiseAnything('Added', data)),
  door('metadata', hostileMetadata, (runtime, metadata) => runtime.ref(Counter, 'h').with({ metadata }).add(1)),
  door('key', hostileTexts, (runtime, idempotencyKey) => runtime.ref(Counter, 'h').with({ idempotencyKey }).add(1)),
  door('principal', hostileTexts, (runtime, principal) =>
    runtime.ref(Counter, 'h').with({ idempotencyKey: 'k', principal }).add(1),
  ),
  door('event data', hostileData, (runtime, data) => runtime.publisher.publish({ ...entity, data })),
  door('event metadata', hostileMetadata, (runtime, metadata) => runtime.store.save([{ ...entity, metadata }])),
  door('event names', hostileTexts, (runtime, text, random) => {
    const field = oneOf(random, ['aggregateType', 'aggregateId', 'type', 'id']);
    return runtime.publisher.publish({ ...entity, [field]: text });
  }),
  door('once', hostileKeys, (runtime, key) => runtime.once(key, () => {})),
  door('options', misspelt, (runtime, value, random) =>
    runtime.ref(Counter, 'h').with({ [oneOf(random, Object.keys(misspelt))]: value } as never),
  ),
];

export const misuse: Family = {
  about: 'hostile values and options at every door, callbacks that throw, poison events, with and without servers',
  sizes: { calls: 300, lives: 2, served: 200 },
  async run(run) {
    const random = randomFrom(run.seed);
    for (const door of [...plainDoors, runtimeOptions]) await tryOptions(run, door);
    const dataDir = join(run.folder(), 'data');
    const told: Told[] = [];
    for (let life = 0; life < run.size('lives'); life++) await live(run, dataDir, random, told);
    const { places } = await recoverPlaces(dataDir, survivesKill, { hasHandler: false });
    run.add(await audit(told, places));
    if (withoutServers() !== undefined || run.size('served') === 0) return;
    await using world = await Elsewhere.start({ registry: true });
    for (const client of ['kafkajs', 'platformatic'] as const) {
      const { database, topics: prefix } = await world.fresh(client);
      const broker = `127.0.0.1:${world.ways.kafka.port}`;
      await misuseServices(run, { database, broker, registry: world.registry!.url, prefix, client });
    }
  },
};

async function live(run: FaultRun, dataDir: string, random: Random, told: Told[]): Promise<void> {
  const refusing = { name: 'refusing', module: import.meta.resolve('./refusing-sink.ts') };
  const sinks = [{ name: 'file', module: import.meta.resolve('./sink.ts') }, refusing];
  const aggregates = [Counter, Victim];
  const runtime = await createRuntime({ dataDir, aggregates, shards: 1, sinks, logger: false });
  runtime.bus.on('*', () => {
    throw Object.create(null);
  });
  runtime.subscribe({
    name: 'thrower',
    retry: { attempts: 1 },
    handle() {
      throw undefined;
    },
  });
  for (const door of runtimeDoors(runtime)) await tryOptions(run, door);
  for (let i = 0; i < run.size('calls'); i++) {
    if (random() < 0.3) {
      const receipt = await runtime.ref(Counter, `c${integerFrom(random, 0, 5)}`).addMany(integerFrom(random, 1, 3));
      told.push(acknowledged(receipt));
      continue;
    }
    const { what, call } = oneOf(random, misuses)(runtime, random);
    run.faults++;
    await call.then(
      () => run.fail(`${what}: taken`),
      (error: unknown) => {
        if (!(error instanceof TrunklineError)) run.fail(`${what}: ${name(error)} is no error of ours`);
      },
    );
  }
  await runtime.reached('stored');
  const { shardRestarts, state } = runtime.status();
  if (shardRestarts > 0 || state !== 'open') run.fail(`${shardRestarts} shards died, the runtime is ${state}`);
  await runtime.close();
}

async function tryOptions(run: FaultRun, door: OptionsDoor): Promise<void> {
  const { tries, wrong } = await tryDoor(door);
  run.faults += tries;
  for (const what of wrong) run.fail(what);
}

function acknowledged(receipt: Receipt<unknown>): Told {
  const events = receipt.events.map(({ id, version }) => ({ id, version }));
  const { aggregateId, version } = receipt.events.at(-1)!;
  return { kind: 'acknowledged', ack: 'written', aggregateType: 'counter', aggregateId, version, events };
}

function name(error: unknown): string {
  try {
    return String(error).slice(0, 100);
  } catch {
    return 'what cannot be shown';
  }
}
