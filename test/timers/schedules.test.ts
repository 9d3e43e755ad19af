// A schedule that is stopped in the middle of a slot, or does not begin; and one of the same name behind it.
import { expect, onTestFinished, test } from 'vitest';
import { LmdbTables } from '../../src/adapters/lmdb/handlers/tables.ts';
import type { Watch } from '../../src/dispatch/relief.ts';
import { StateTables } from '../../src/handler-state/handler-state.ts';
import { Schedules } from '../../src/timers/schedules.ts';
import type { Message } from '../../src/wire/message.ts';
import { Alarm } from '../runtime/alarm.ts';
import { scratchFolder, until } from '../runtime/scratch.ts';

const everySecond = { cron: '* * * * * *' };

interface Due {
  readonly message: Message;
  /** Its outcome lasts. */
  end(): Promise<void>;
}

/** Schedules over tables; what is due is ended by the test. */
function world(): { schedules: Schedules; tables: StateTables; due: Due[] } {
  const folder = scratchFolder();
  const open = (): Promise<LmdbTables> => LmdbTables.open(folder);
  const tables = new StateTables(open, { checkpointDelayMs: 0, stagedChangesLimit: 1_000, onError() {} });
  onTestFinished(() => tables.close());
  const due: Due[] = [];
  const take = (message: Message, watch: Watch): void => {
    due.push({ message, end: () => watch.release(message).then(() => watch.ended()) });
  };
  const schedules = new Schedules({
    delivery: { hasRoom: true, due: take },
    tables,
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    definition: () => Alarm,
    position: () => 0,
  });
  onTestFinished(() => schedules.close());
  return { schedules, tables, due };
}

test('the end of a slot that was begun before a stop does not take back what came since', async () => {
  const { schedules, tables, due } = world();
  const whenDue = (id: string, count: number): Promise<Due[]> =>
    until(
      () => due.filter(({ message }) => message.aggregateId === id),
      ({ length }) => length >= count,
    );
  const old = await schedules.start('s', everySecond, (to) => to(Alarm, 'old').ring(''));
  const [first] = await whenDue('old', 1);
  old.stop();
  const second = await schedules.start('s', everySecond, (to) => to(Alarm, 'new').ring(''));
  for (const count of [1, 2]) await (await whenDue('new', count))[count - 1]!.end();
  await whenDue('new', 3);
  const before = await tables.get('schedules', 's');
  await first!.end();
  expect(await tables.get('schedules', 's')).toEqual(before);
  old.stop(); // ends nothing of another's
  await expect(schedules.start('s', everySecond, () => {})).rejects.toMatchObject({ code: 'InvalidOptions' });
  second.stop();
});

test('a name is free again when its schedule could not begin', async () => {
  const { schedules, tables } = world();
  const { json } = tables;
  tables.json = () => Promise.reject(new Error('not now'));
  await expect(schedules.start('s', everySecond, () => {})).rejects.toThrow('not now');
  tables.json = json;
  expect((await schedules.start('s', everySecond, () => {})).name).toBe('s');
});
