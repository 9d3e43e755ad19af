// Messages that cannot be carried out: tried again, kept among the dead letters in their order, and delivered again on request.
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Runtime, RuntimeOptions, UndeliveredMessage } from '../../src/index.ts';
import { Courier } from './courier.ts';
import { errorOf, scratchFolder, startRuntime, until } from './scratch.ts';

const retry = { attempts: 2, minDelayMs: 1 };

function start(options: Partial<RuntimeOptions> = {}): Promise<Runtime> {
  return startRuntime({ aggregates: [Courier], shards: 1, messages: { retry }, logger: false, ...options });
}

const isIdle = (runtime: Runtime): Promise<number> =>
  until(
    () => runtime.status().messagesUnderWay,
    (count) => count === 0,
  );
const taken = async (runtime: Runtime, id = 'to'): Promise<readonly string[]> =>
  (await runtime.ref(Courier, id).taken()).value;
const parked = (runtime: Runtime, count: number): Promise<unknown> =>
  until(
    () => [runtime.status().messageDeadLetters, runtime.status().messagesUnderWay],
    ([letters, underWay]) => letters === count && underWay === 0,
  );

test('a message whose target fails for a moment is delivered all the same, before those behind it', async () => {
  const file = `${scratchFolder()}-fails`;
  const runtime = await start({ messages: { retry: { attempts: 1000, minDelayMs: 1, maxDelayMs: 5 } } });
  writeFileSync(file, 'a');
  await runtime.ref(Courier, 'from').send('to', ['a', 'b', 'c'], 'takeUnless', file);
  await runtime.ref(Courier, 'else').send('to', ['d']); // another sender's is not held up
  await until(
    () => taken(runtime),
    (what) => what.includes('d'),
  );
  rmSync(file);
  await isIdle(runtime);
  expect(await taken(runtime)).toEqual(['d', 'a', 'b', 'c']);
  expect(runtime.status()).toMatchObject({ messagesFailed: 0, messageDeadLetters: 0 });
});

test('one that goes on failing is a dead letter, holds later ones of its lane, and leaves with them in order', async () => {
  const dataDir = scratchFolder();
  const file = `${dataDir}-fails`;
  writeFileSync(file, 'a');
  const undelivered: UndeliveredMessage[] = [];
  const onUndelivered = (message: UndeliveredMessage): number => undelivered.push(message);
  const runtime = await start({ dataDir, messages: { retry, onUndelivered } });
  await runtime.ref(Courier, 'from').send('to', ['a', 'b'], 'takeUnless', file);
  await parked(runtime, 2);
  await runtime.ref(Courier, 'from').send('to', ['c'], 'takeUnless', file);
  await parked(runtime, 3);
  await runtime.ref(Courier, 'from').send('elsewhere', ['d'], 'takeUnless', file);
  await isIdle(runtime);
  expect([await taken(runtime), await taken(runtime, 'elsewhere')]).toEqual([[], ['d']]);
  const letters = await runtime.deadLetters.messages.list();
  const address = (aggregateId: string): object => ({ aggregateType: 'courier', aggregateId });
  const lane = { sender: address('from'), target: address('to'), command: 'takeUnless' };
  expect(letters).toMatchObject([
    { ...lane, reason: 'failed', attempts: 2, input: ['a', file], error: { name: 'CommandFailed' } },
    { ...lane, reason: 'behind', attempts: 0, input: ['b', file] },
    { ...lane, reason: 'behind', attempts: 0, input: ['c', file] },
  ]);
  expect(await runtime.deadLetters.messages.show(letters[1]!.id)).toEqual(letters[1]);
  expect(undelivered.map(({ id, outcome, error }) => [id, outcome, error !== undefined])).toEqual(
    letters.map(({ id, reason }) => [id, 'dead letter', reason === 'failed']),
  );
  expect(runtime.status()).toMatchObject({ messagesFailed: 1, messageDeadLetters: 3 });
  // The log may forget them: all that is settled is behind them.
  await runtime.close();

  const second = await start({ dataDir });
  await parked(second, 3); // one whose outcome the store had not noted may be asked for again
  // Still broken: it comes back to where it was, and so does nothing behind it overtake it.
  await second.deadLetters.messages.requeue(letters[0]!.id);
  await until(
    () => second.deadLetters.messages.show(letters[0]!.id),
    ({ attempts }) => attempts === 4,
  );
  expect(await taken(second)).toEqual([]);
  rmSync(file);
  await second.deadLetters.messages.requeue({ aggregateId: 'to' });
  await parked(second, 0);
  await second.ref(Courier, 'from').send('to', ['e'], 'takeUnless', file);
  await isIdle(second);
  expect(await taken(second)).toEqual(['a', 'b', 'c', 'e']);
  expect(await second.deadLetters.messages.list()).toEqual([]);
});

test('a discarded message is never delivered, and what waited behind it is', async () => {
  const dataDir = scratchFolder();
  const file = `${dataDir}-fails`;
  writeFileSync(file, 'a');
  const runtime = await start({ dataDir });
  await runtime.ref(Courier, 'from').send('to', ['a', 'b'], 'takeUnless', file);
  await parked(runtime, 2);
  const { messages } = runtime.deadLetters;
  expect((await errorOf(messages.discard({}))).code).toBe('InvalidOptions');
  expect((await errorOf(messages.discard({ aggregateId: undefined as never }))).code).toBe('InvalidOptions');
  expect((await errorOf(messages.requeue({ agregateId: 'to' } as never))).code).toBe('InvalidOptions');
  expect((await errorOf(messages.requeue('0198'))).code).toBe('UnknownDeadLetter');
  const [first] = await messages.list({ reason: 'failed' });
  expect(await messages.discard(first!.id)).toEqual([{ id: first!.id, outcome: 'discarded' }]);
  await parked(runtime, 0);
  expect(await taken(runtime)).toEqual(['b']);
  rmSync(file);
  await runtime.close();
  // The log still holds all of them: nothing was written since.
  const second = await start({ dataDir });
  await isIdle(second);
  expect(await taken(second)).toEqual(['b']);
});

test.each(['succeeds', 'fails'])(
  'a letter discarded while it is delivered again, which %s, holds nothing behind it',
  async (end) => {
    const file = `${scratchFolder()}-fails`;
    writeFileSync(file, '');
    const runtime = await start({ messages: { retry: { attempts: 1 } } });
    const { messages } = runtime.deadLetters;
    await runtime.ref(Courier, 'from').send('to', ['a', 'b'], 'takeWhen', file);
    await parked(runtime, 2);
    const [a] = await messages.list();
    rmSync(file);
    await messages.requeue(a!.id);
    await until(
      () => existsSync(`${file}-runs-a`),
      (runs) => runs,
    );
    expect(await messages.discard(a!.id)).toEqual([{ id: a!.id, outcome: 'discarded' }]);
    expect((await errorOf(messages.discard(a!.id))).code).toBe('UnknownDeadLetter');
    for (const what of ['b', 'c']) writeFileSync(`${file}-ends-${what}`, '');
    await runtime.ref(Courier, 'from').send('to', ['c'], 'takeWhen', file);
    expect(runtime.status().messageDeadLetters).toBe(1);
    writeFileSync(`${file}-end`, end);
    renameSync(`${file}-end`, `${file}-ends-a`); // seen with what is in it
    await parked(runtime, 0);
    expect(await taken(runtime)).toEqual([...(end === 'fails' ? [] : ['a']), 'b', 'c']);
    expect(await messages.list()).toEqual([]);
  },
);

test('a refusal is counted and told, and ends the message', async () => {
  const undelivered: UndeliveredMessage[] = [];
  const onUndelivered = (message: UndeliveredMessage): void => {
    undelivered.push(message);
    throw new Error('of the hook itself');
  };
  const runtime = await start({ messages: { onUndelivered } });
  await runtime.ref(Courier, 'from').send('to', ['a', 'b'], 'refuse');
  await isIdle(runtime);
  expect(runtime.status()).toMatchObject({ messagesRefused: 2, messagesFailed: 0, messageDeadLetters: 0 });
  expect(undelivered).toMatchObject([
    { outcome: 'refused', command: 'refuse', error: { code: 'not-wanted', details: { what: 'a' } } },
    { outcome: 'refused', target: { aggregateId: 'to' }, sender: { aggregateId: 'from' } },
  ]);
});

test('a message that kills its shard ends among the dead letters, and innocent ones are delivered', async () => {
  const runtime = await start();
  await runtime.ref(Courier, 'from').send('victim', ['x'], 'die');
  await until(
    () => runtime.status().shardRestarts,
    (restarts) => restarts > 0,
  );
  // While shards die under it, a user's command may have to be sent again, as its error says.
  const send = async (): Promise<unknown> =>
    runtime
      .ref(Courier, 'other')
      .with({ idempotencyKey: 'k' })
      .send('to', ['a', 'b'])
      .catch(() => undefined);
  await until(send, (receipt) => receipt !== undefined);
  await parked(runtime, 1);
  expect(await taken(runtime)).toEqual(['a', 'b']);
  const { shardRestarts } = runtime.status();
  expect(shardRestarts).toBeLessThanOrEqual(3);
  expect(await runtime.deadLetters.messages.list()).toMatchObject([
    { command: 'die', reason: 'failed', error: { name: 'OutcomeUnknown' } },
  ]);
});

test('messages of one sender to one target are carried out in its order, also by a target that awaits', async () => {
  const runtime = await start({ mailboxLimit: 1 });
  const what = Array.from({ length: 20 }, (_, i) => `${i}`);
  const busy = runtime.ref(Courier, 'to').takeSlowly('first');
  await runtime.ref(Courier, 'from').send('to', what);
  await busy;
  await isIdle(runtime);
  expect(await taken(runtime)).toEqual(['first', ...what]);
});

test('while dead letters cannot be read, messages wait, and everything else goes on; then they come in their order', async () => {
  const dataDir = scratchFolder();
  const fails = `${dataDir}-fails`;
  writeFileSync(fails, 'a');
  const runtime = await start({ dataDir });
  await runtime.ref(Courier, 'from').send('to', ['a'], 'takeUnless', fails);
  await parked(runtime, 1);
  await runtime.close();
  const file = join(dataDir, 'handlers', 'handlers.mdb');
  const whole = readFileSync(file);
  writeFileSync(file, 'something else');

  const second = await start({ dataDir });
  const { position } = await second.ref(Courier, 'from').send('to', ['b'], 'takeUnless', fails);
  await second.ref(Courier, 'to').with({ ack: 'stored' }).take('of a user');
  expect([await taken(second), second.status().messagesUnderWay > 0]).toEqual([['of a user'], true]);
  expect(second.status().stored).toBeGreaterThan(position);
  await second.close();

  writeFileSync(file, whole);
  rmSync(fails);
  const third = await start({ dataDir });
  await parked(third, 2);
  await third.deadLetters.messages.requeue({ aggregateId: 'to' });
  await parked(third, 0);
  expect(await taken(third)).toEqual(['of a user', 'a', 'b']);
});
