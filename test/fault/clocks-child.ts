// One life of a service whose wall clock leaps (leaping-clock.ts) while commands with and without deadlines, idempotency keys,
// asks, messages, effects and a handler that fails at first run on it. Tells its parent line by line what it sends and what
// comes of it; may be killed at any time.
import { createRuntime, type Receipt, type StoredEvent, TrunklineError } from '../../src/index.ts';
import { integerFrom, oneOf, randomFrom } from '../random.ts';
import { Counter } from '../runtime/aggregates.ts';
import { type ClocksLine, type ClocksSettings, dayMs, type KeyedCommand, leapsMs } from './clock-settings.ts';
import { recorder } from './handled.ts';
import { leapTo } from './leaping-clock.ts';
import { argumentFromParent, say } from './parent.ts';

const clients = 12;
const commandsPerLeap = 6;
const longMs = 120_000;
const roundingMs = 2;
const controlMs = 300 * dayMs;

const settings = await argumentFromParent<ClocksSettings>();
const random = randomFrom(settings.seed);
const integer = (low: number, high: number): number => integerFrom(random, low, high);
const tell = (line: ClocksLine): void => say(JSON.stringify(line));
const wrong = (what: string): void => tell({ kind: 'wrong', what });
let sent = 0;
const answered: KeyedCommand[] = [];
const effects = [...settings.effects];
const calls = new Map<string, number>();

const runtime = await createRuntime({
  logger: false,
  dataDir: settings.dataDir,
  aggregates: [Counter],
  shards: 2,
  // So few, for so short a time, that outcomes of keys are looked for in the log and in the store, too.
  actorLimit: 32,
  actorIdleMs: 100,
  flush: { ringBytes: 1 << 18 },
  log: { maxBytes: 32 << 20, retainBytes: 1 << 17 },
  sinks: [{ name: 'file', module: import.meta.resolve('./sink.ts') }],
});
const subscription = runtime.subscribe({ ...recorder(() => {}), retry: { minDelayMs: 10 }, handle });
await theThreadsLeap();
await tellEffects();
await Promise.all([...settings.again.map(keyedCommand), ...settings.effects.map(effect)]);
await Promise.all(Array.from({ length: clients }, client));
await Promise.all([...answered.map(keyedCommand), ...effects.map(effect)]);
await tellEffects();
while (runtime.status().messagesUnderWay > 0) await pause();
leap();
await subscription.caughtUpTo(runtime.status().written, { timeoutMs: longMs });
await runtime.close();
process.exit(0);

/** A control: without it the family would show nothing. */
async function theThreadsLeap(): Promise<void> {
  leapTo(controlMs);
  const control = runtime.ref(Counter, 'control');
  await control.add(1);
  const last = (await runtime.store.getByAggregate(Counter, 'control')).at(-1)!;
  if (Math.abs(Date.now() - last.occurredAt.getTime()) > dayMs) wrong('the clock of a shard does not leap');
  leap();
}

function leap(): void {
  leapTo(oneOf(random, leapsMs) * (random() < 0.5 ? 1 : -1));
  tell({ kind: 'leapt' });
}

/** Fails once or twice at first, for some of the events; nobody calls it more often than that. */
async function handle(event: StoredEvent, delivery: Parameters<ReturnType<typeof recorder>['handle']>[1]) {
  const failures = event.position % 13 === 0 ? 1 + (event.position % 2) : 0;
  const call = (calls.get(event.id) ?? 0) + 1;
  calls.set(event.id, call);
  if (call > failures + 1) wrong(`a handler's call ${call} for an event that it fails ${failures} times`);
  if (call <= failures) throw new Error('it fails at first, on purpose');
  await recorder(() => {}).handle(event, delivery);
}

async function client(): Promise<void> {
  while (sent < settings.commands) {
    if (sent % commandsPerLeap === 0) leap();
    const command = `${settings.name}/${sent++}`;
    const id = `c${integer(0, 20)}`;
    const many = integer(1, 4);
    const choices: (() => Promise<unknown>)[] = [
      () => keyedCommand({ command, id, method: 'add', input: [1], events: 1 }),
      () => keyedCommand({ command, id, method: 'addMany', input: [many], events: many }),
      () => keyedCommand({ command, id, method: 'sendOther', input: [`s${integer(0, 5)}`, 1], events: 1 }),
      () => keyedCommand({ command, id, method: 'addSlowly', input: [1, integer(0, 4)], events: 1 }),
      () => (answered.length === 0 ? pause() : keyedCommand(oneOf(random, answered))),
      () => effect(random() < 0.5 && effects.length > 0 ? oneOf(random, effects) : command),
      () => plain(command, id, 'addSlowly', [1, integer(0, 4)], 1, longMs),
      () => plain(command, `asks${many}`, 'askSlowly', [id, 2, longMs], 0, longMs),
      () => plain(command, `asks${many}`, 'askSlowly', [`slow${many}`, 100, 60], 0, 60),
      () => plain(command, `waits${many}`, 'waitForAbort', [], 1, 60),
    ];
    await oneOf(random, choices)();
  }
}

/** Sent with a key, the first time or again, also while it is being carried out: its outcome is always the same. */
async function keyedCommand(keyed: KeyedCommand): Promise<void> {
  tell({ kind: 'keyed', keyed });
  const { command, id, method, input, events } = keyed;
  const [one, other] = [0, 1].map(() => send(command, id, method, input, events, longMs, command));
  if (random() < 0.5) leap();
  for (const receipt of [await one, await other]) {
    if (receipt === undefined) continue;
    const outcome = JSON.stringify([receipt.version, receipt.value, receipt.events.map((event) => event.id)]);
    tell({ kind: 'outcome', command, outcome });
    if (!answered.includes(keyed)) answered.push(keyed);
  }
}

async function plain(command: string, id: string, method: string, input: unknown[], events: number, dueMs: number) {
  const hasDeadline = method !== 'askSlowly';
  await send(command, id, method, input, events, dueMs, undefined, hasDeadline);
}

/** The command may be given up when it is due, and not before, by the clock that does not leap. */
async function send(
  command: string,
  id: string,
  method: string,
  input: unknown[],
  events: number,
  dueMs: number,
  idempotencyKey?: string,
  hasDeadline = true,
): Promise<Receipt<unknown> | undefined> {
  const sends = method === 'sendOther' ? { sends: 2 } : {};
  // What an asked aggregate raises belongs to a command of another aggregate: no count is given for it.
  const metadata = events === 0 ? {} : { commandId: command, commandEvents: events, ...sends };
  const options = { ack: 'written', idempotencyKey, metadata, ...(hasDeadline && { deadlineMs: dueMs }) } as const;
  const ref = runtime.ref(Counter, id).with(options);
  const methods = ref as unknown as Record<string, (...input: unknown[]) => Promise<Receipt<unknown>>>;
  if (events > 0) tell({ kind: 'sent', command, events });
  const began = performance.now();
  try {
    const receipt = await methods[method]!(...input);
    const refs = receipt.events.map(({ id, version }) => ({ id, version }));
    const { version } = receipt;
    const about = { command, ack: 'written', aggregateType: 'counter', aggregateId: id, version } as const;
    tell({ kind: 'acknowledged', ...about, events: refs });
    return receipt;
  } catch (error) {
    const lastedMs = performance.now() - began;
    const isDue = isGivenUp(error) && lastedMs >= dueMs - roundingMs;
    if (!isDue) wrong(`${command}, ${method}, due after ${dueMs} ms, failed after ${Math.round(lastedMs)}: ${error}`);
    return undefined;
  }
}

function isGivenUp(error: unknown): boolean {
  return error instanceof TrunklineError && `${error.code} ${error.message}`.includes('DeadlineExceeded');
}

async function effect(key: string): Promise<void> {
  const run = runtime.once(key, async (tx) => {
    const count = ((await tx.get<number>('counted', key)) ?? 0) + 1;
    tx.put('counted', key, count);
    return count;
  });
  if (random() < 0.5) leap();
  const count = await run;
  if (count !== 1) wrong(`effect ${key}: run ${count}`);
  tell({ kind: 'effect', key });
  if (!effects.includes(key)) effects.push(key);
}

async function tellEffects(): Promise<void> {
  const found = await runtime.effects.range('counted', { limit: Number.MAX_SAFE_INTEGER });
  tell({ kind: 'effects', counts: Object.fromEntries(found.map(({ key, value }) => [key, value as number])) });
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}
