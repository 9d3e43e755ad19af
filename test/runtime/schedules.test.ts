// Commands that come by the clock: each slot once; what was missed, as it was said.
import { rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import type { Logger, Runtime, RuntimeOptions, ScheduleTarget } from '../../src/index.ts';
import { slotsOf } from '../../src/timers/cron.ts';
import { Alarm } from './alarm.ts';
import { errorOf, scratchFolder, startRuntime, until } from './scratch.ts';

const start = (options: Partial<RuntimeOptions> = {}): Promise<Runtime> =>
  startRuntime({ aggregates: [Alarm], shards: 1, logger: false, ...options });

const everySecond = '* * * * * *';
const second = (date: Date): string => date.toISOString().slice(0, 19);
const rung = async (runtime: Runtime, id: string): Promise<readonly string[]> =>
  (await runtime.ref(Alarm, id).rung()).value.rung;
const whenRung = (runtime: Runtime, count: number, id: string): Promise<readonly string[]> =>
  until(
    () => rung(runtime, id),
    ({ length }) => length >= count,
  );
/** The seconds from the first one to the last one, each once. */
function seconds(first: string, last: string): string[] {
  const all: string[] = [];
  for (let at = Date.parse(`${first}Z`); at <= Date.parse(`${last}Z`); at += 1000) all.push(second(new Date(at)));
  return all;
}

test('each slot is executed once and in order, over a restart; what was missed comes as it was said', async () => {
  const dataDir = scratchFolder();
  const missed = ['all', 'once', 'skip'] as const;
  const begin = async (runtime: Runtime): Promise<void> => {
    for (const kind of missed) {
      await runtime.schedule(kind, { cron: everySecond, missed: kind }, (to, slot) =>
        to(Alarm, kind).ring(second(slot)),
      );
    }
  };
  let runtime = await start({ dataDir });
  await begin(runtime);
  for (const kind of missed) await whenRung(runtime, 1, kind);
  await runtime.close();
  const closed = second(new Date());
  await until(
    () => second(new Date()),
    (now) => now > second(new Date(Date.parse(`${closed}Z`) + 2_000)),
  );
  runtime = await start({ dataDir });
  const before = Object.fromEntries(await Promise.all(missed.map(async (kind) => [kind, await rung(runtime, kind)])));
  await begin(runtime);
  for (const kind of missed) await whenRung(runtime, before[kind].length + 2, kind);
  const all = await rung(runtime, 'all');
  expect(all).toEqual(seconds(all[0]!, all.at(-1)!));
  for (const kind of ['once', 'skip'] as const) {
    const found = await rung(runtime, kind);
    const [last, next] = [found[before[kind].length - 1]!, found[before[kind].length]!];
    expect(found).toEqual([...new Set(found)].sort());
    expect(seconds(last, next).length).toBeGreaterThan(2); // one was left out at least
  }
});

test('two commands of a slot, one that gives none, one that throws; a schedule that has been stopped', async () => {
  const runtime = await start();
  const two = await runtime.schedule('two', { cron: everySecond }, (to, slot) => {
    to(Alarm, 'x').ring(second(slot));
    to(Alarm, 'y').ring(second(slot));
  });
  let calls = 0;
  await runtime.schedule('none', { cron: everySecond }, () => {
    if (++calls === 1) throw new Error('as it is');
  });
  await until(
    () => calls,
    (count) => count >= 2,
  );
  await whenRung(runtime, 2, 'x');
  two.stop();
  const again = await runtime.schedule('two', { cron: '0 0 1 1 *' }, (to) => to(Alarm, 'x').ring('never'));
  expect(again.next!.getTime()).toBeGreaterThan(Date.now());
  expect((await errorOf(runtime.schedule('two', { cron: everySecond }, () => {}))).code).toBe('InvalidOptions');
  const [x, y] = [await rung(runtime, 'x'), await rung(runtime, 'y')];
  expect(x.length - y.length).toBeLessThanOrEqual(1);
});

/** A logger, and what it was told as an error. */
function listener(): { logger: Logger; errors: string[] } {
  const errors: string[] = [];
  const logger = {
    debug() {},
    info() {},
    warn() {},
    error: ({ err }: { err: Error }) => void errors.push(err.message),
  };
  return { logger: logger as unknown as Logger, errors };
}

test('an async function gives nothing, neither before nor after it has returned', async () => {
  const { logger, errors } = listener();
  const runtime = await start({ logger });
  const late: Error[] = [];
  await runtime.schedule('async', { cron: everySecond }, async (to, slot) => {
    const alarm = to(Alarm, 'x');
    alarm.ring(second(slot));
    await Promise.resolve();
    try {
      alarm.ring(second(slot));
    } catch (error) {
      late.push(error as Error);
    }
    throw new Error('of the function');
  });
  await until(
    () => late.length,
    (count) => count >= 2,
  );
  expect(errors[0]).toMatch(/must not be async/);
  expect(late[0]).toMatchObject({ code: 'InvalidOptions', message: expect.stringMatching(/has returned/) });
  expect(await rung(runtime, 'x')).toEqual([]);
});

test('other commands after a restart in the middle of a slot: each is executed once, whatever stands beside it', async () => {
  const dataDir = scratchFolder();
  const file = join(dirname(dataDir), 'holds-the-slot');
  writeFileSync(file, '');
  const options = { dataDir, messages: { retry: { attempts: 1_000, minDelayMs: 20, maxDelayMs: 20 } } };
  const act =
    (...ids: string[]) =>
    (to: ScheduleTarget, slot: Date): void => {
      for (const id of ids) to(Alarm, id).ring(second(slot));
      to(Alarm, 'y').ringUnless(file);
    };
  let runtime = await start(options);
  await runtime.schedule('s', { cron: everySecond, missed: 'all' }, act('a', 'a'));
  const [slot] = await whenRung(runtime, 2, 'a');
  await runtime.close();
  rmSync(file);
  runtime = await start(options);
  await runtime.schedule('s', { cron: everySecond, missed: 'all' }, act('new', 'a', 'a'));
  await whenRung(runtime, 2, 'y');
  expect((await rung(runtime, 'new'))[0]).toBe(slot);
  expect((await rung(runtime, 'a')).filter((one) => one === slot)).toHaveLength(2);
});

test('a run without the schedule in between, in the middle of a slot: what was executed is not executed again', async () => {
  const dataDir = scratchFolder();
  const file = join(dirname(dataDir), 'holds-the-slot');
  writeFileSync(file, '');
  const options = { dataDir, messages: { retry: { attempts: 1_000, minDelayMs: 20, maxDelayMs: 20 } } };
  const act = (to: ScheduleTarget, slot: Date): void => {
    to(Alarm, 'x').ring(second(slot));
    to(Alarm, 'y').ringUnless(file);
  };
  let runtime = await start(options);
  await runtime.schedule('s', { cron: everySecond, missed: 'all' }, act);
  await whenRung(runtime, 1, 'x');
  await runtime.close();
  runtime = await start(options);
  await runtime.ref(Alarm, 'other').ring('');
  await runtime.close();
  rmSync(file);
  runtime = await start(options);
  await runtime.schedule('s', { cron: everySecond, missed: 'all' }, act);
  await whenRung(runtime, 2, 'y');
  const all = await whenRung(runtime, 2, 'x');
  expect(all).toEqual([...new Set(all)]);
});

test('what is no schedule is refused', async () => {
  const runtime = await start();
  const refused = async (options: object): Promise<string> =>
    (await errorOf(runtime.schedule('n', options as never, () => {}))).message;
  expect(await refused({ cron: 'now and then' })).toMatch(/cron/);
  expect(await refused({ cron: '0 0 31 2 *' })).toMatch(/cron/);
  expect(await refused({ cron: everySecond, timeZone: 'Europe/Atlantis' })).toMatch(/timeZone/);
  expect(await refused({ cron: everySecond, missed: 'some' })).toMatch(/missed/);
  expect(await refused({})).toMatch(/cron/);
});

test('at half past two, when clocks change: once in spring, at three, and once in autumn', async () => {
  const slots = await slotsOf('30 2 * * *', 'Europe/Berlin');
  const day = (after: string): string => new Date(slots.after(Date.parse(after))!).toISOString();
  expect(day('2026-03-28T12:00:00Z')).toBe('2026-03-29T01:00:00.000Z');
  expect(day('2026-03-29T01:00:00Z')).toBe('2026-03-30T00:30:00.000Z');
  expect(day('2026-10-24T12:00:00Z')).toBe('2026-10-25T00:30:00.000Z');
  expect(day('2026-10-25T00:30:00Z')).toBe('2026-10-26T01:30:00.000Z');
  const last = (upTo: string): string => new Date(slots.upTo(Date.parse(upTo))!).toISOString();
  expect(last('2026-06-02T00:30:00Z')).toBe('2026-06-02T00:30:00.000Z');
  expect(last('2026-06-02T00:29:59.999Z')).toBe('2026-06-01T00:30:00.000Z');
});
