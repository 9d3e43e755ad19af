// Timers in the test kit: what a command has set is shown, and executed as virtual time moves on.
import { describe, expect, test, vi } from 'vitest';
import { Rejected } from '../../src/index.ts';
import { given } from '../../src/testing.ts';
import { Auction, SlowAuction } from './auctions.ts';

const expired = (bid: string) => ({ type: 'BidExpired' as const, data: { bid } });
const reminded = (round: number) => ({ type: 'Reminded' as const, data: { round } });

test('timers that wait are shown as timers, and not as messages', () => {
  const { sent, timers } = given(Auction).when.bidAndCancel().then([]);
  expect(sent).toEqual([{ aggregateType: 'auction', id: 'other', command: 'open', input: [] }]);
  expect(timers).toEqual([{ name: 'kept', dueInMs: 100, command: 'expire', input: ['kept'] }]);
  const unnamed = given(Auction).when.open().then(['Opened']);
  expect(unnamed.sent).toEqual([]);
  expect(unnamed.timers).toEqual([{ dueInMs: 200, command: 'expire', input: ['a'] }]);
  expect(unnamed.timers[0]).not.toHaveProperty('name');
});

test('a timer is executed once virtual time has come to its date, and not before', () => {
  given(Auction).when.open().after(199).then([]);
  given(Auction).when.open().after(199.5).then([]);
  const { state, version, timers, value } = given(Auction)
    .when.open()
    .after(200)
    .then([expired('a')]);
  expect({ state, version, timers, value }).toEqual({
    ...{ state: { seen: ['opened', 'a'] }, version: 2 },
    ...{ timers: [], value: undefined },
  });
  expect(() => given(Auction).when.open().after(199).then(['BidExpired'])).toThrow();
  expect(() => given(Auction).when.open().after(200).then(['Opened', 'BidExpired'])).toThrow();
});

test('in the order of their dates; those of one date in the order in which they were set', () => {
  given(Auction)
    .when.bid({ c: 300, a: 100, b: 200, a2: 100, late: 301 })
    .after(300)
    .then(['a', 'a2', 'b', 'c'].map(expired));
});

test('of one name there is the one that was set last; that one has the place of then', () => {
  given(Auction)
    .when.bid({ first: 10, second: 100 }, 'bid')
    .after(1_000)
    .then([expired('second')]);
  given(Auction)
    .when.bidAndCancel()
    .after(1_000)
    .then([expired('kept')]);
});

test('what the commands of timers set counts, and what they cancel is not executed', () => {
  const { timers } = given(Auction)
    .when.remind(0)
    .after(350)
    .then([reminded(1), reminded(2), reminded(3)]);
  expect(timers).toEqual([{ name: 'reminder', dueInMs: 50, command: 'remind', input: [4] }]);
  const { sent } = given(Auction).when.closeEarly().after(1_000).then([]);
  expect(sent).toEqual([{ aggregateType: 'auction', id: 'other', command: 'open', input: [] }]);
});

test('spans follow each other: each has its own events', () => {
  given(Auction).when.remind(0).after(100).after(99).then([]);
  given(Auction)
    .when.remind(0)
    .after(100)
    .after(0)
    .after(100)
    .then([reminded(2)]);
});

test('a test may go on from one moment more than once', () => {
  const trial = given(Auction).when.remind(0);
  const once = trial.after(100);
  once.after(100).then([reminded(2)]);
  once.after(200).then([reminded(2), reminded(3)]);
  expect(once.then([reminded(1)]).state).toEqual({ seen: ['reminded 1'] });
  expect(trial.then([]).state).toEqual({ seen: [] });
});

test('events bear the date on which their timer was due, or of the moment, if that had passed', () => {
  vi.useFakeTimers({ toFake: ['Date'], now: 1_000_000 });
  try {
    const datesOf = (events: readonly { occurredAt: Date }[]) => events.map(({ occurredAt }) => occurredAt.getTime());
    const { events } = given(Auction).when.remind(0).after(300).then(['Reminded', 'Reminded', 'Reminded']);
    expect(datesOf(events)).toEqual([1_000_100, 1_000_200, 1_000_300]);
    const past = given(Auction).when.bidAt(5, 'a');
    expect(past.then([]).timers).toEqual([{ dueInMs: 0, command: 'expire', input: ['a'] }]);
    expect(datesOf(past.after(0).then([expired('a')]).events)).toEqual([1_000_000]);
    given(Auction).when.bidAt(1_000_050, 'a').after(49).then([]);
    given(Auction)
      .when.bidAt(1_000_050, 'a')
      .after(50)
      .then([expired('a')]);
  } finally {
    vi.useRealTimers();
  }
});

test('their commands have the metadata of the one that has set them', () => {
  const { events } = given(Auction, [], { metadata: { tenantId: 't' } })
    .when.open()
    .after(200)
    .then(['BidExpired']);
  expect(events[0]!.metadata).toMatchObject({ tenantId: 't', causationId: expect.any(String) });
});

describe.each([
  ['at once', () => given(Auction).when.refuseLater()],
  ['asynchronously', () => given(SlowAuction).when.refuseLater()],
] as const)('a command of a timer that fails %s', (_, trial) => {
  test('is expected as that of a command is; it ends the span, and has raised nothing', async () => {
    const { state, events, timers } = await trial()
      .after(1_000)
      .then(new Rejected('not-now', { at: 200 }));
    expect({ state, types: events.map(({ type }) => type) }).toEqual({
      state: { seen: ['before'] },
      types: ['BidExpired'],
    });
    expect(timers).toEqual([{ dueInMs: 100, command: 'expire', input: ['behind'] }]);
    await trial()
      .after(199)
      .then([expired('before')]);
    await expect(trial().after(1_000).outcome()).rejects.toThrow('not-now');
  });
  test('is told where events were expected, or another failure', async () => {
    const told = (promise: () => unknown) => expect((async () => promise())()).rejects;
    await told(() => trial().after(1_000).then(['BidExpired'])).toThrow(
      `expected the events [BidExpired]; the timer's command 'refuse' failed with Rejected 'not-now' { at: 200 }`,
    );
    await told(() => trial().after(1_000).then(new Rejected('other'))).toThrow();
    await told(() => trial().after(100).then(Rejected)).toThrow(/the timers' commands to fail.*\[BidExpired\]/);
    await told(() => trial().after(1_000).after(1).then(Rejected)).toThrow(
      /before this span; the timer's command 'refuse'/,
    );
  });
});

test('where the command itself has failed nothing is expected of its timers', () => {
  expect(() => given(Auction).when.refuse().after(10).then(Rejected)).toThrow(
    "expected nothing to fail before this span; the command failed with Rejected 'not-now' { at: 200 }",
  );
  expect(given(Auction).when.refuse().then(Rejected).timers).toEqual([]);
});

test('asynchronous commands: a promise, whichever of the chain is one', async () => {
  const opened = given(SlowAuction).when.openSlowly();
  await opened.then(['Opened']);
  const { state } = await opened.after(100).then(['Closed']);
  expect(state).toEqual({ seen: ['opened', 'closed'] });
  await opened
    .after(100)
    .after(100)
    .then([expired('a')]);
  await opened.after(200).then(['Closed', 'BidExpired']);
  const closed = given(SlowAuction).when.closeSoon().after(100);
  expect(closed.then(['Closed', 'BidExpired'])).toBeInstanceOf(Promise);
  await closed.then(['Closed', 'BidExpired']);
  await expect((async () => closed.then(['BidExpired']))()).rejects.toThrow();
  expect(((await (opened.after(200) as unknown)) as { version: number }).version).toBe(3);
});

test('what is no time is refused; timers without end are found', () => {
  for (const delayMs of [-1, Number.NaN, Number.POSITIVE_INFINITY, '5' as never])
    expect(() => given(Auction).when.open().after(delayMs)).toThrow(
      expect.objectContaining({ code: 'InvalidOptions' }),
    );
  expect(() => given(Auction).when.spin().after(0).then([])).toThrow(/without end/);
});
