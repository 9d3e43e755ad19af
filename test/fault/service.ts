// A service under random load, to be struck at any instant. Tells its parent, line by line and at once, what it is about to
// send, what was acknowledged at which level, and what its listeners heard. What has been said
// outlives the process. Ends by itself after so many commands, when the log has failed, and with its parent.
import {
  createRuntime,
  isError,
  type Level,
  type Logger,
  type Receipt,
  type RecoveryReport,
  type Runtime,
  TrunklineError,
} from '../../src/index.ts';
import { integerFrom, oneOf, randomFrom } from '../random.ts';
import { Counter } from '../runtime/aggregates.ts';
import type { Told } from './audit.ts';
import { type ElsewhereSettings, storeAndStream } from './elsewhere.ts';
import { recorder } from './handled.ts';
import { type Mischief, Victim } from './mischief.ts';
import { argumentFromParent, say, wordFromParent } from './parent.ts';
import type { SinkOptions } from './sink.ts';

export interface ServiceSettings {
  dataDir: string;
  seed: number;
  /** Names this run: command names and idempotency keys begin with it. */
  name: string;
  commands: number;
  clients: number;
  /** Commands that an earlier run sent under an idempotency key, to be sent again. */
  again: KeyedCommand[];
  bootId?: string;
  whenFull?: 'wait' | 'reject';
  /** What a shard or the flush thread suffers, after so many commands or batches. */
  mischief?: { thread: 'shard' | 'flush'; kind: Mischief; at: number };
  /** Where events, and what the durable handler keeps, go beyond `dataDir`; default: nowhere. */
  elsewhere?: ElsewhereSettings;
  /** Each client's pause after a command, milliseconds; default 0. */
  pauseMs?: number;
}

/** A command as it is sent, so that it can be sent again. */
export interface KeyedCommand {
  command: string;
  id: string;
  method: 'add' | 'addMany' | 'addSlowly' | 'label' | 'sendOther';
  input: unknown[];
  events: number;
}

export type ServiceLine =
  | Told
  | { kind: 'process'; pid: number }
  | ({ kind: 'started' } & Pick<RecoveryReport, 'lastEnd' | 'leftOut'>)
  | { kind: 'keyed'; keyed: KeyedCommand }
  /** A handler has done its work with an event; its effects are not committed yet. */
  | { kind: 'handled' }
  /** Told to the logger. */
  | { kind: 'trouble'; what: string }
  /** A command was rejected; `typed`: by an error of the closed list. */
  | { kind: 'rejected'; command: string; code: string; typed: boolean }
  /** The log has failed, and whatever was acknowledged before has been told. */
  | { kind: 'poisoned' }
  | { kind: 'ended'; code: string; typed: boolean; state: string };

const settings = await argumentFromParent<ServiceSettings>();
const random = randomFrom(settings.seed);
const integer = (low: number, high: number): number => integerFrom(random, low, high);
const tell = (line: ServiceLine): void => say(JSON.stringify(line));

const levels = ['raised', 'written', 'written', 'written', 'synced', 'stored'] as const;
const acks: readonly Level[] = settings.elsewhere ? [...levels, 'published'] : levels;
// Certain not to have been carried out, whatever happens later.
const refusals = ['NotExecuted', 'RingFull', 'MailboxFull', 'TooManyInFlight', 'TooManyUnstored', 'LogFull'] as const;
let sent = 0;
let failed = false;
// Whatever the parent says after its argument: it is enough.
let isEnough = false;
void wordFromParent().then(() => {
  isEnough = true;
});

const { mischief } = settings;
const sinkOptions: SinkOptions = mischief?.thread === 'flush' ? { mischief: mischief.kind, at: mischief.at } : {};
const hear = (details: object, what: string): void =>
  tell({ kind: 'trouble', what: `${what}: ${(details as { err?: Error }).err?.message}` });
const logger: Logger = { debug() {}, info() {}, warn: hear, error: hear };

tell({ kind: 'process', pid: process.pid });
try {
  const runtime = await createRuntime({
    dataDir: settings.dataDir,
    logger: false,
    aggregates: [Counter, Victim],
    shards: 2,
    flush: { syncIntervalMs: integer(0, 20), ringBytes: 1 << 18, whenFull: settings.whenFull ?? 'wait' },
    log: { maxBytes: 32 << 20, retainBytes: 1 << 17 },
    sinks: [{ name: 'file', module: import.meta.resolve('./sink.ts'), options: sinkOptions }],
    bootId: settings.bootId,
    ...(settings.elsewhere && { ...storeAndStream(settings.elsewhere), logger }),
  });
  runtime.subscribe(recorder(settings.elsewhere ? () => tell({ kind: 'handled' }) : () => {}));
  const { lastEnd, leftOut } = runtime.recovery;
  tell({ kind: 'started', lastEnd, leftOut });
  runtime.bus.on('*', ({ aggregateType, aggregateId, version, id }) =>
    tell({ kind: 'heard', aggregateType, aggregateId, version, id }),
  );
  for (const keyed of settings.again) await actor(runtime, keyed, true);
  await Promise.all([
    ...Array.from({ length: settings.clients }, () => client(runtime)),
    ...Array.from({ length: 2 }, (_, number) => entities(runtime, number)),
  ]);
  const { state } = runtime.status();
  await runtime.close();
  tell({ kind: 'ended', code: '', typed: true, state });
} catch (error) {
  tell({ kind: 'ended', code: codeOf(error), typed: error instanceof TrunklineError, state: 'none' });
}
process.exit(0);

function goesOn(): boolean {
  return sent < settings.commands && !failed && !isEnough;
}

async function client(runtime: Runtime): Promise<void> {
  while (goesOn()) {
    if (mischief?.thread === 'shard' && sent === mischief.at)
      runtime
        .ref(Victim, 'v')
        .suffer(mischief.kind)
        .catch(() => {});
    const command = `${settings.name}/${sent++}`;
    const many = integer(1, 5);
    const id = `c${integer(0, 40)}`;
    const choices: Omit<KeyedCommand, 'command' | 'id'>[] = [
      { method: 'add', input: [1], events: 1 },
      { method: 'add', input: [2], events: 1 },
      { method: 'addMany', input: [many], events: many },
      { method: 'addSlowly', input: [1, integer(0, 2)], events: 1 },
      { method: 'label', input: ['x'.repeat(integer(1, 5000))], events: 1 },
      { method: 'sendOther', input: [`s${integer(0, 5)}`, 1], events: 1 },
    ];
    await actor(runtime, { command, id, ...oneOf(random, choices) }, random() < 0.4);
  }
}

async function actor(runtime: Runtime, keyed: KeyedCommand, isKeyed: boolean): Promise<void> {
  const { command, id, method, input, events } = keyed;
  const ack = oneOf(random, acks);
  if (isKeyed) tell({ kind: 'keyed', keyed });
  const metadata = { commandId: command, commandEvents: events, ...(method === 'sendOther' ? { sends: 2 } : {}) };
  const ref = runtime.ref(Counter, id).with({ ack, idempotencyKey: isKeyed ? command : undefined, metadata });
  const methods = ref as unknown as Record<string, (...input: unknown[]) => Promise<Receipt<unknown>>>;
  await tellAbout(command, events, ack, 'counter', id, () => methods[method]!(...input));
}

/** Entities in this thread: one group may hold events of two of them, and enters the log whole. */
async function entities(runtime: Runtime, number: number): Promise<void> {
  const metadataOf = (command: string, commandEvents: number) => ({ commandId: command, commandEvents });
  while (goesOn()) {
    const command = `${settings.name}/${sent++}`;
    const count = integer(1, 4);
    const ack = oneOf(random, acks);
    const ids = Array.from({ length: count }, () => `e${number}-${integer(0, 3)}`);
    const batch = ids.map((aggregateId) => ({
      aggregateType: 'stock',
      aggregateId,
      type: 'Repriced',
      data: { price: String(integer(1, 1000)) },
      metadata: metadataOf(command, count),
    }));
    await tellAbout(command, count, ack, 'stock', ids, () => runtime.publisher.publishBatch(batch, { ack }));
  }
}

async function tellAbout(
  command: string,
  events: number,
  ack: Level,
  aggregateType: string,
  ids: string | string[],
  send: () => Promise<Receipt<unknown>>,
): Promise<void> {
  tell({ kind: 'sent', command, events });
  try {
    const { version, events: raised } = await send();
    const refs = raised.map(({ id, version, aggregateId }) => ({ id, version, aggregateId }));
    // An acknowledgement speaks of one aggregate; a group of several is told as several.
    for (const aggregateId of new Set(typeof ids === 'string' ? [ids] : ids)) {
      const own = refs.filter((ref) => ref.aggregateId === aggregateId);
      tell({ kind: 'acknowledged', command, ack, aggregateType, aggregateId, version, events: own });
    }
  } catch (error) {
    const code = codeOf(error);
    if (isError(error, 'LogPoisoned') || isError(error, 'RuntimeClosed')) failed = true;
    // One turn of the runtime settles many promises, whose awaiters speak in an order of their own.
    if (isError(error, 'LogPoisoned')) setImmediate(() => tell({ kind: 'poisoned' }));
    tell({ kind: 'rejected', command, code, typed: error instanceof TrunklineError });
    if (refusals.some((refusal) => code === refusal)) tell({ kind: 'refused', command });
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  if (settings.pauseMs) await new Promise((resolve) => setTimeout(resolve, settings.pauseMs));
}

function codeOf(error: unknown): string {
  if (error instanceof TrunklineError) return error.code;
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
