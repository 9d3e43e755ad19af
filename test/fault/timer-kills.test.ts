// A service whose commands set, replace and cancel timers is killed at random instants, again and again, on one data directory. In the
// end each timer that nothing has cancelled was executed once, whether the log or the tables had it when the process died.
import { expect, test } from 'vitest';
import { migrate, postgres } from '../../src/index.ts';
import { freshDatabase } from '../postgres.ts';
import { integerFrom, randomFrom } from '../random.ts';
import { Alarm } from '../runtime/alarm.ts';
import { scratchFolder, startRuntime, until } from '../runtime/scratch.ts';
import { runChild } from './child.ts';
import { alarms, type TimerOrder, type TimersLine, type TimersSettings } from './timers-child.ts';

/** Most of a life is its start. */
const lives = process.env.TRUNKLINE_LONG ? 50 : 6;
const boundMs = 60_000;
const linesMost = 400;

interface Told {
  /** In the order in which they were sent. */
  readonly orders: TimerOrder[];
  /** When. */
  readonly acknowledged: Map<string, number>;
}

async function killAgainAndAgain(count: number, settings: Omit<TimersSettings, 'life' | 'seed'>): Promise<Told> {
  const random = randomFrom(17);
  const orders: TimerOrder[] = [];
  const acknowledged = new Map<string, number>();
  for (let life = 1; life <= count; life++) {
    const last = integerFrom(random, 1, linesMost);
    const argument: TimersSettings = { ...settings, life, seed: integerFrom(random, 1, 2 ** 31) };
    const onLine = (_: TimersLine, count: number): boolean => count === last;
    const { lines, end, trouble } = await runChild<TimersLine>({
      ...{ program: './timers-child.ts', argument, onLine, boundMs },
    });
    expect([end, trouble]).toEqual(['SIGKILL', '']);
    for (const line of lines) {
      if (line.kind === 'sent') orders.push(line.order);
      else if (line.kind === 'acknowledged') acknowledged.set(line.id, line.at);
      else expect(line.kind).toBe('started');
    }
  }
  return { orders, acknowledged };
}

/** What is wrong with what was executed: by alarm, what has rung and when. */
function faults({ orders, acknowledged }: Told, rung: ReadonlyMap<string, Map<string, number[]>>): string[] {
  const wrong: string[] = [];
  for (const [at, { id, alarm, name, what, due }] of orders.entries()) {
    if (what === '') continue;
    const dates = rung.get(alarm)!.get(what) ?? [];
    const later =
      name === '' ? [] : orders.slice(at + 1).filter((other) => other.alarm === alarm && other.name === name);
    if (dates.length > 1) wrong.push(`${id} was executed ${dates.length} times`);
    if (dates.some((date) => date < due)) wrong.push(`${id} was executed early`);
    if (later.length === 0 && acknowledged.has(id) && dates.length === 0) wrong.push(`${id} was not executed`);
    const over = Math.min(...later.map((other) => acknowledged.get(other.id) ?? Number.POSITIVE_INFINITY));
    if (dates.some((date) => date > over)) wrong.push(`${id} was executed after it was cancelled`);
  }
  return wrong;
}

async function judge(count: number, connectionString?: string): Promise<void> {
  const dataDir = scratchFolder();
  const told = await killAgainAndAgain(count, { dataDir, connectionString });
  const store = connectionString === undefined ? {} : { store: postgres({ connectionString }) };
  for (let start = 1; start <= 2; start++) {
    const runtime = await startRuntime({ dataDir, aggregates: [Alarm], shards: 2, ...store });
    // Timers that are due behind all of them: then the others are under way, or done.
    const last = Math.max(Date.now(), ...told.orders.map(({ due }) => due)) + 1;
    await runtime.ref(Alarm, 'end').setAt(last, `end ${start}`);
    await until(
      async () => (await runtime.ref(Alarm, 'end').rung()).value.rung.length,
      (count) => count === start,
    );
    await until(
      () => runtime.status().messagesUnderWay,
      (count) => count === 0,
    );
    const rung = new Map<string, Map<string, number[]>>();
    for (let number = 0; number < alarms; number++) {
      const { rung: what, dates } = (await runtime.ref(Alarm, `a${number}`).rung()).value;
      const found = new Map<string, number[]>();
      for (const [i, each] of what.entries()) found.set(each, [...(found.get(each) ?? []), dates[i]!]);
      rung.set(`a${number}`, found);
    }
    expect(runtime.status()).toMatchObject({ messageDeadLetters: 0, messagesRefused: 0 });
    expect(faults(told, rung)).toEqual([]);
    await runtime.close();
  }
  expect(told.acknowledged.size).toBeGreaterThan(count * 20);
}

test('over kills each timer is executed once, unless it was cancelled', () => judge(lives), 60_000 + lives * 20_000);

test('the same where the store is elsewhere', { timeout: 60_000 + lives * 10_000 }, async () => {
  const connection = await freshDatabase();
  await migrate({ connection });
  await judge(lives / 2, connection);
});
