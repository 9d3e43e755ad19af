// A release to come, tried on what the running one is sent: what is compared, and what is left out.
import { writeFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { isInShare } from '../../../src/rehearsal/compare/share.ts';
import type {
  LiveDifference,
  LiveRehearsalOptions,
  LiveRehearsalStatus,
} from '../../../src/rehearsal/live/contract.ts';
import type { RunningRehearsal } from '../../../src/rehearsal/live/rehearsals.ts';
import type { Runtime } from '../../../src/runtime/runtime.ts';
import { scratchFolder, startRuntime } from '../../runtime/scratch.ts';
import { Till } from './tills.ts';
import { Till as Next } from './tills-next.ts';

let runtime: Runtime;
const differences: LiveDifference[] = [];
afterEach(() => {
  differences.length = 0;
});

async function rehearsed(
  options: Partial<LiveRehearsalOptions> = {},
  dataDir = scratchFolder(),
): Promise<RunningRehearsal> {
  runtime = await startRuntime({ dataDir, aggregates: [Till], shards: 2 });
  return runtime.rehearse({
    new: [Next],
    share: 1,
    budgetMicros: 100_000,
    maxErrorShare: 1,
    on: (difference) => differences.push(difference),
    ...options,
  });
}

/** Resolves when so many commands have been judged. */
async function judged(rehearsal: RunningRehearsal, count: number): Promise<LiveRehearsalStatus> {
  const total = ({ commands, leftOut: { budget, queue, state, notExecuted } }: LiveRehearsalStatus): number =>
    commands + budget + queue + state + notExecuted;
  await expect.poll(() => total(rehearsal.status()), { timeout: 20_000 }).toBe(count);
  return rehearsal.status();
}

const places = (): unknown =>
  differences.map(({ command, changes }) => [command, ...changes.map(({ path }) => path).sort()]);

test('commands that both answer alike: events, values, rejections, failures, questions and messages', async () => {
  const rehearsal = await rehearsed();
  const [a, b] = [runtime.ref(Till, 'a'), runtime.ref(Till, 'b')];
  await a.sell(500);
  await a.sell(300);
  await a.sell(0).catch(() => {});
  await a.fail('as it is').catch(() => {});
  await b.sellLikewise('a');
  await a.passOn('b');
  await b.sellLikewise('a');
  await a.empty();
  await a.empty().catch(() => {});
  await runtime.state(Till, 'a'); // no command
  // `average` and the message's `sell` are commands as well.
  const status = await judged(rehearsal, 12);
  expect(places()).toEqual([]);
  expect(status).toMatchObject({ commands: 12, different: 0, ignored: 0, errors: 0, state: 'running' });
  const ended = await rehearsal.stop();
  expect(ended).toMatchObject({ state: 'ended', endedBy: 'stopped', commands: 12 });
  await a.sell(1);
  expect(rehearsal.status()).toEqual(ended);
});

test('what differs is told by its place', async () => {
  const rehearsal = await rehearsed();
  const [a, b, c] = [runtime.ref(Till, 'a'), runtime.ref(Till, 'b'), runtime.ref(Till, 'c')];
  await a.sell(13);
  await a.sell(1);
  await a.sell(99);
  await a.sell(777);
  await a.average();
  await b.sell(100);
  await c.sell(100);
  await a.sellLikewise('b');
  await a.passOn('lost');
  const status = await judged(rehearsal, 11);
  expect(places()).toEqual([
    ['sell', 'events[0].data.cents', 'value.total'],
    ['sell', 'events[0]', 'rejection', 'value'],
    ['sell', 'events[1]', 'value.total'],
    ['average', 'value.average'],
    ['sellLikewise', 'asked[0].aggregateId', 'error', 'events[0]', 'value'],
    ['passOn', 'sent[0].aggregateId'],
  ]);
  expect(differences[0]).toMatchObject({ aggregateType: 'till', aggregateId: 'a', version: 0, changeCount: 2 });
  expect(differences[0]!.changes[1]).toEqual({ path: 'events[0].data.cents', old: '13', new: '12' });
  expect(status).toMatchObject({ commands: 11, different: 6, errors: 1, unusedIgnore: [] });
  expect(differences[4]!.failure).toMatchObject({ code: 'NotAsked', message: expect.stringContaining('till/c') });
});

test('state goes by what has happened, not by what the candidate would have made of it', async () => {
  const rehearsal = await rehearsed();
  const a = runtime.ref(Till, 'a');
  await a.sell(13);
  for (let i = 0; i < 20; i++) await a.sell(50);
  expect(await judged(rehearsal, 21)).toMatchObject({ commands: 21, different: 1 });
});

test('an aggregate with a history is loaded, by the reducers of the release to come', async () => {
  const dataDir = scratchFolder();
  {
    await using before = await startRuntime({ dataDir, aggregates: [Till], shards: 2 });
    const a = before.ref(Till, 'a');
    for (let i = 0; i < 150; i++) await a.sell(100);
    for (let i = 0; i < 3; i++) await a.sell(777);
  }
  const rehearsal = await rehearsed({}, dataDir);
  await runtime.ref(Till, 'a').average();
  await runtime.ref(Till, 'a').sell(5);
  expect(await judged(rehearsal, 2)).toMatchObject({ commands: 2, different: 1, leftOut: { state: 0 } });
  expect(differences[0]).toMatchObject({ command: 'average', version: 153 });
});

test('differences that are meant are counted apart', async () => {
  const rehearsal = await rehearsed({ ignore: ['till:events[*].data.cents', 'value.total', 'valeu'] });
  expect(rehearsal.status().unusedIgnore).toHaveLength(3);
  await runtime.ref(Till, 'a').sell(13);
  await runtime.ref(Till, 'a').sell(1);
  expect(await judged(rehearsal, 2)).toMatchObject({ commands: 2, ignored: 1, different: 1, unusedIgnore: ['valeu'] });
  expect(differences).toMatchObject([{ command: 'sell', version: 1 }]);
});

test('a repeated command is not rehearsed again, and one that was not executed is left out', async () => {
  const rehearsal = await rehearsed();
  const a = runtime.ref(Till, 'a').with({ idempotencyKey: 'k' });
  await a.sell(100);
  await a.sell(100);
  const b = runtime.ref(Till, 'b');
  const holds = b.hold(200);
  await expect(b.with({ deadlineMs: 20 }).sell(1)).rejects.toMatchObject({ code: 'DeadlineExceeded' });
  await holds;
  expect(await judged(rehearsal, 4)).toMatchObject({ commands: 2, different: 0, leftOut: { notExecuted: 2 } });
});

test('a command that began before the rehearsal leaves no answers to the next one', async () => {
  runtime = await startRuntime({ dataDir: scratchFolder(), aggregates: [Till], shards: 2 });
  const [a, b] = [runtime.ref(Till, 'a'), runtime.ref(Till, 'b')];
  await a.sell(100);
  const file = scratchFolder(); // nothing is there yet
  const slow = b.askBehind(file, 'a');
  const rehearsal = await runtime.rehearse({ new: [Next], share: 1, budgetMicros: 100_000, maxErrorShare: 1 });
  writeFileSync(file, '');
  await slow;
  await a.sell(300);
  await b.sellLikewise('a');
  // The question of the first is one of a's commands, and is judged; the first itself is not.
  expect(await judged(rehearsal, 4)).toMatchObject({ commands: 4, different: 0 });
});

describe('bounds', () => {
  test('share 0 takes nothing, and a share takes the same aggregates each time', async () => {
    const rehearsal = await rehearsed({ share: 0 });
    await runtime.ref(Till, 'a').sell(13);
    await rehearsal.stop();
    expect(rehearsal.status()).toMatchObject({ commands: 0, hostMicros: 0 });
    const half = await runtime.rehearse({ new: [Next], share: 0.5, budgetMicros: 100_000 });
    for (let round = 0; round < 2; round++) for (let i = 0; i < 40; i++) await runtime.ref(Till, `t-${i}`).sell(10);
    const taken = Array.from({ length: 40 }, (_, i) => isInShare('till', `t-${i}`, 0.5)).filter(Boolean).length;
    expect(taken).toBeGreaterThan(5);
    expect(taken).toBeLessThan(35);
    expect((await judged(half, 2 * taken)).commands).toBe(2 * taken);
    await half.stop();
  });

  test('a command that costs more than its budget is left out', async () => {
    const rehearsal = await rehearsed({ budgetMicros: 1 });
    await runtime
      .ref(Till, 'a')
      .fail('x'.repeat(20_000))
      .catch(() => {});
    expect(await judged(rehearsal, 1)).toMatchObject({ commands: 0, leftOut: { budget: 1 } });
  });

  test('what waits is bounded by its bytes, which are given back', async () => {
    const rehearsal = await rehearsed();
    const text = 'x'.repeat(400_000);
    for (let i = 0; i < 100; i++) {
      await runtime
        .ref(Till, 'a')
        .fail(text)
        .catch(() => {});
      if (i % 20 === 19) await judged(rehearsal, i + 1);
    }
    expect(rehearsal.status()).toMatchObject({ commands: 100, different: 0, leftOut: { queue: 0 } });
  });

  test('one at a time', async () => {
    const rehearsal = await rehearsed();
    await expect(runtime.rehearse({ new: [Next] })).rejects.toMatchObject({ code: 'RehearsalRunning' });
    await rehearsal.stop();
    await using _ = await runtime.rehearse({ new: [Next] });
  });

  test('it ends itself when too much fails', async () => {
    const rehearsal = await rehearsed({ maxErrorShare: 0.5 });
    const a = runtime.ref(Till, 'a');
    for (let i = 0; i < 120; i++) await a.sell(666);
    const { endedBy, commands, errors } = await rehearsal.ended;
    expect(endedBy).toBe('errors');
    expect(errors).toBe(commands);
    expect(errors).toBeGreaterThanOrEqual(100);
    await a.sell(1);
  });
});
