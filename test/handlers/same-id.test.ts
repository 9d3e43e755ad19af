// Events with one id: who saves in a transaction chooses it. Each has effects and dead letters of its own.
import { randomUUID } from 'node:crypto';
import { cpSync } from 'node:fs';
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import type { StateTables } from '../../src/handler-state/handler-state.ts';
import { postgres, type Runtime } from '../../src/index.ts';
import { migratedDatabase } from '../postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, scratchFolder, startSmall as startRuntime, until } from '../runtime/scratch.ts';
import { startOn, stores } from './stores.ts';

const waitFor = (isSo: () => unknown): Promise<unknown> =>
  until(
    async () => Boolean(await isSo()),
    (is) => is,
  );

/** Of a runtime whose handler `charges` fails until it is mended; `saveAs` saves an event with the id of another. */
async function charging(more: object = {}): Promise<{
  runtime: Runtime;
  charged: string[];
  mend(): void;
  saveAs(id: string, aggregateId: string): Promise<void>;
}> {
  const url = await migratedDatabase();
  const runtime = await startRuntime({
    dataDir: scratchFolder(),
    shards: 1,
    store: postgres({ connectionString: url }),
  });
  const charged: string[] = [];
  const broken = new Set(['victim', 'other']);
  runtime.subscribe({
    name: 'charges',
    retry: { attempts: 1 },
    ...more,
    async handle(given: any, { effectKey }: any) {
      const events = [given].flat();
      for (const { aggregateId } of events) if (broken.has(aggregateId)) throw new Error('the bank is away');
      await runtime.effects.once(effectKey, () => charged.push(...events.map(({ aggregateId }: any) => aggregateId)));
    },
  } as never);
  const saveAs = async (id: string, aggregateId: string): Promise<void> => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(
      `select trunkline.save_event($1, 'note', $2, 'Made', 1, '2026-11-27 20:00Z', '{}', null, null)`,
      [id, aggregateId],
    );
    await client.end();
  };
  return { runtime, charged, mend: () => broken.clear(), saveAs };
}

test.each([{}, { batch: { max: 10 } }])('the effect of one is not taken for that of the other: %j', async (more) => {
  const { runtime, charged, mend, saveAs } = await charging(more);
  await runtime.ref(Counter, 'victim').add(1);
  await waitFor(async () => (await runtime.deadLetters.list()).length === 1);
  const [letter] = await runtime.deadLetters.list();
  await saveAs(letter!.event.id, 'evil');
  await waitFor(() => charged.length === 1);
  mend();
  await runtime.deadLetters.requeue({ handler: 'charges' });
  await waitFor(async () => (await runtime.deadLetters.list()).length === 0);
  expect(charged).toEqual(['evil', 'victim']);
});

test('the dead letter of one is not taken for that of the other', async () => {
  const { runtime, charged, mend, saveAs } = await charging();
  const { deadLetters } = runtime;
  await runtime.ref(Counter, 'victim').add(1);
  await waitFor(async () => (await deadLetters.list()).length === 1);
  const [first] = await deadLetters.list();
  const bare = `charges/${first!.event.id}`;
  expect((await deadLetters.show(bare)).id).toBe(first!.id);
  await saveAs(first!.event.id, 'other');
  await waitFor(async () => (await deadLetters.list()).length === 2);
  const error = await errorOf(deadLetters.discard(bare));
  const letters = await deadLetters.list();
  const ids = letters.map(({ id }) => id);
  expect(error).toMatchObject({ code: 'UnknownDeadLetter', message: expect.stringContaining(ids.join(', ')) });
  expect(new Set(ids).size).toBe(2);
  for (const { id, event } of letters) expect((await deadLetters.show(id)).event.aggregateId).toBe(event.aggregateId);
  expect(await errorOf(deadLetters.show(`${bare}@1000000`))).toMatchObject({ code: 'UnknownDeadLetter' });
  const other = letters.find(({ event }) => event.aggregateId === 'other')!;
  expect(await deadLetters.discard(other.id)).toEqual([{ id: other.id, outcome: 'discarded' }]);
  mend();
  await deadLetters.requeue(first!.id);
  await waitFor(async () => (await deadLetters.list()).length === 0);
  expect(charged).toEqual(['victim']);
});

test('what each may have ended the process by is told apart', async () => {
  const gate = Promise.withResolvers<void>();
  /** In the directory as a process leaves it that has ended now; returns what was found in hand, once both are again. */
  async function next(dataDir: string): Promise<{ dataDir: string; found: unknown }> {
    const image = scratchFolder();
    cpSync(dataDir, image, { recursive: true });
    let found: unknown;
    const warn = (details: { suspects?: unknown }): void => void (found ??= details.suspects);
    const logger = { debug() {}, info() {}, warn, error() {} };
    const runtime = await startRuntime({ dataDir: image, shards: 1, logger: logger as never });
    const inHand = new Set<string>();
    runtime.subscribe({
      name: 'h',
      timeoutMs: 600_000,
      handle({ aggregateId }) {
        inHand.add(aggregateId);
        return gate.promise;
      },
    });
    await waitFor(() => inHand.size === 2);
    return { dataDir: image, found };
  }
  const dataDir = scratchFolder();
  const first = await startRuntime({ dataDir, shards: 1 });
  const id = randomUUID();
  const event = { id, aggregateType: 'note', type: 'Made', data: {} };
  for (const aggregateId of ['a', 'b']) await first.publisher.publish({ ...event, aggregateId });
  await first.reached('synced');
  const second = await next(dataDir);
  const third = await next(second.dataDir);
  const fourth = await next(third.dataDir);
  gate.resolve();
  expect([third.found, fourth.found]).toEqual([
    [`h: ${id}@1`, `h: ${id}@2`],
    [`h: ${id}@1`, `h: ${id}@2`],
  ]);
});

describe.each(stores)('%s store', (store) => {
  test.each([
    ['an event', {}, 1],
    ['a batch', { batch: { max: 10, maxDelayMs: 500 } }, 2],
  ])('an effect that an earlier release has noted by ids alone has happened: of %s', async (_, more, count) => {
    const dataDir = scratchFolder();
    const start = (): Promise<Runtime> => startOn(store)({ dataDir, shards: 1 });
    let runtime = await start();
    for (let i = 0; i < count; i++) await runtime.ref(Counter, 'a').add(1);
    const ids: string[] = [];
    for await (const { id } of runtime.events()) ids.push(id);
    const { stage } = runtime.effects as unknown as { stage: { inbox: { handlerState: StateTables } } };
    const { handlerState } = stage.inbox;
    handlerState.stage('inbox', `${ids.join('-')}/sums`, { value: 'before' }); // as 0.1 noted it
    handlerState.stage('inbox', `mail ${ids.join('-')}/sums`, { value: 'mailed' });
    await handlerState.durable();
    // Now noted by a caller whose key looks like it: it says nothing of the event.
    await runtime.effects.once(`post ${ids.join('-')}/sums`, () => 'posted');
    await runtime.close();
    runtime = await start();
    const told: unknown[] = [];
    const sums = runtime.subscribe({
      name: 'sums',
      ...more,
      async handle(_given: unknown, { effectKey }: any) {
        for (const key of [effectKey, `mail ${effectKey}`, `post ${effectKey}`])
          told.push(await runtime.effects.once(key, () => 'again'));
      },
    } as never);
    await sums.caughtUpTo(runtime.status().written);
    expect(told).toEqual(['before', 'mailed', 'again']);
  });
});
