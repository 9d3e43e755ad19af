// A timer that the last run has carried out, and that the log says again: it ends now, whatever its date.
import { expect, test } from 'vitest';
import { TimerTables } from '../../src/timers/timer-tables.ts';
import { Timers, type TimersParts } from '../../src/timers/timers.ts';
import { laneOf, type Message } from '../../src/wire/message.ts';

const message: Message = {
  ...{ id: '00000000-0000-7000-8000-000000000001', position: 1, sender: { aggregateType: '', aggregateId: 'x' } },
  ...{ aggregateType: 'A', aggregateId: '1', command: 'c', inputJson: '[]', metadataJson: '' },
};

test('it is delivered in the turn in which that is asked, where nothing is in the tables', async () => {
  const due: string[] = [];
  const timers = new Timers({
    feed: { follow() {} } as unknown as TimersParts['feed'],
    delivery: { hasRoom: false, due: ({ id }) => due.push(id) },
    tables: new TimerTables(
      {} as never,
      () => false,
      {} as never,
      () => {},
    ),
    synced: async () => {},
    keptAfterMs: 60_000,
  });
  await timers.begin((take) =>
    take({ key: laneOf(message), position: 1, timer: { message, dueMs: Date.now() + 3_600_000 }, release() {} }),
  );
  expect(due).toEqual([]);
  const finished = timers.finish((id) => id === message.id);
  expect(due).toEqual([message.id]);
  await finished;
  timers.close();
});
