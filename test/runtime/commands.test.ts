import { inspect } from 'node:util';
import { beforeEach, describe, expect, test } from 'vitest';
import { isError, Rejected, TrunklineError } from '../../src/index.ts';
import { Counter } from './aggregates.ts';
import { errorOf, scratchFolder, sharedRuntime, startRuntime, until } from './scratch.ts';

const shared = sharedRuntime();
let turn = 0;
beforeEach(() => void turn++);

/** An aggregate of this test's own. */
const own = (name: string): string => `${name}-${turn}`;

describe('a command', () => {
  test('answers with a receipt: value, version, position, events', async () => {
    const runtime = await shared();
    const counter = runtime.ref(Counter, own('a'));
    const first = await counter.add(2);
    const second = await counter.add(3);
    expect([first.value, second.value]).toEqual([2, 5]);
    expect([first.version, second.version]).toEqual([1, 2]);
    expect(second.position).toBeGreaterThan(first.position);
    const [event] = second.events;
    expect(second.events).toHaveLength(1);
    expect(event).toMatchObject({
      type: 'Added',
      data: { amount: 3 },
      version: 2,
      aggregateId: own('a'),
      aggregateType: 'counter',
    });
    expect(event!.position).toBe(second.position);
    expect(event!.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    expect(Math.abs(event!.occurredAt.getTime() - Date.now())).toBeLessThan(60_000);
    expect(Object.isFrozen(event!.data)).toBe(true);
  });

  test('is shown with its receipt: value, version, position, and how far it has come', async () => {
    const runtime = await shared();
    const counter = runtime.ref(Counter, own('42'));
    const receipt = await counter.with({ idempotencyKey: 'k' }).add(2);
    const { position } = receipt;
    await receipt.reached('stored');
    expect(inspect(receipt)).toBe(`{ value: 2, version: 1, position: ${position}, level: 'stored' }`);
    expect(JSON.parse(JSON.stringify(receipt))).toEqual({ value: 2, version: 1, position, level: 'stored' });
    const raised = await counter.with({ ack: 'raised' }).add(1);
    expect(inspect(raised)).toMatch(/value: 3, version: 2, position: \d+, level: '(raised|written|synced|stored)'/);
    const repeated = await counter.with({ idempotencyKey: 'k' }).add(2);
    expect(inspect(repeated)).toContain('value: 2, version: 1');
  });

  test('is sent through a ref that shows whose it is', async () => {
    const ref = (await shared()).ref(Counter, own('42'));
    expect([`${ref}`, String(ref), inspect(ref)]).toEqual([
      `counter/${own('42')}`,
      `counter/${own('42')}`,
      `Ref counter/${own('42')}`,
    ]);
    // What a ref holds for itself stands before no command.
    expect(['id', 'options', 'send', 'method'].map((name) => name in Object(ref))).toEqual([
      false,
      false,
      false,
      false,
    ]);
  });

  test('that raises nothing answers too, and leaves the version', async () => {
    const runtime = await shared();
    const counter = runtime.ref(Counter, own('a'));
    await counter.add(1);
    const read = await counter.total();
    expect(read).toMatchObject({ value: 1, version: 1, events: [] });
    expect((await counter.label('x')).value).toBeUndefined();
  });

  test('metadata travels into every event', async () => {
    const runtime = await shared();
    const metadata = { correlationId: 'c-1', mine: { deep: [1] } };
    const receipt = await runtime.ref(Counter, own('a')).with({ metadata }).addMany(3);
    expect(receipt.events.map((event) => event.metadata)).toEqual([metadata, metadata, metadata]);
  });

  test('a rejection reaches the caller as Rejected, raises nothing, and leaves the state', async () => {
    const runtime = await shared();
    const counter = runtime.ref(Counter, own('a'));
    await counter.add(1);
    const error = await errorOf(counter.addThenReject(10));
    expect(error).toBeInstanceOf(Rejected);
    expect(error).toMatchObject({ code: 'too-much', details: { amount: 10, total: 11 } });
    expect(await counter.total()).toMatchObject({ value: 1, version: 1 });
    expect(await runtime.store.getByAggregate(Counter, own('a'))).toHaveLength(1);
  });

  test('an exception becomes CommandFailed with name, message and stack, and raises nothing', async () => {
    const runtime = await shared();
    const counter = runtime.ref(Counter, own('a'));
    const error = await errorOf(counter.addThenThrow());
    expect(error).toBeInstanceOf(TrunklineError);
    expect(error.code).toBe('CommandFailed');
    expect(error.message).toContain('broken on purpose');
    expect(error.details).toMatchObject({ name: 'RangeError', command: 'addThenThrow' });
    expect(error.details.stack).toContain('aggregates');
    expect(await counter.total()).toMatchObject({ value: 0, version: 0 });
  });

  test('asynchronous commands run one at a time for an aggregate, and side by side for several', async () => {
    const runtime = await shared();
    const counter = runtime.ref(Counter, own('a'));
    const other = runtime.ref(Counter, own('b'));
    const [first, second, third, elsewhere] = await Promise.all([
      counter.addSlowly(1, 20),
      counter.addSlowly(1, 5),
      counter.add(1),
      other.add(1),
    ]);
    expect(first.value).toEqual({ before: 0, after: 1 });
    expect(second.value).toEqual({ before: 1, after: 2 });
    expect(third.value).toBe(3);
    expect([first.version, second.version, third.version]).toEqual([1, 2, 3]);
    expect(elsewhere.position).toBeLessThan(first.position);
  });

  test('an asynchronous rejection raises nothing', async () => {
    const runtime = await shared();
    const counter = runtime.ref(Counter, own('a'));
    expect((await errorOf(counter.addAndFail())).code).toBe('changed-my-mind');
    expect(await counter.whole()).toMatchObject({ value: { state: { total: 0, labels: [] }, version: 0 } });
  });

  test('raising after its end is CommandEnded, in the command that forgot to wait', async () => {
    const runtime = await shared();
    const counter = runtime.ref(Counter, own('a'));
    await counter.forget();
    const late = await until(
      () => counter.lateError().then(({ value }) => value),
      (value) => value !== undefined,
    );
    expect(late).toBe('CommandEnded');
    expect((await counter.total()).version).toBe(0);
  });

  test('one whole command is one run of positions, even beside others', async () => {
    const runtime = await shared();
    const receipts = await Promise.all(
      Array.from({ length: 50 }, (_, i) => runtime.ref(Counter, `c${i % 5}`).addMany(7)),
    );
    for (const { events } of receipts) {
      const positions = events.map(({ position }) => position);
      expect(positions).toEqual(Array.from({ length: 7 }, (_, i) => positions[0]! + i));
    }
  });

  test('what evolve sees alive is what it sees in a replay', async () => {
    const runtime = await shared();
    const counter = runtime.ref(Counter, own('a'));
    const alive = (await counter.stamp()).value;
    expect(alive).toEqual(['string:1970-01-01T00:00:00.000Z:1.50']);
    const then = await runtime.store.stateAt(Counter, own('a'), { version: 1 });
    expect(then!.state.labels).toEqual(alive);
  });
});

describe('a state changed in place', () => {
  test('by a command: its own fields at any time, all of it once it has been loaded or its snapshot taken', async () => {
    const dataDir = scratchFolder();
    const before = await startRuntime({ dataDir, shards: 1 });
    const counter = before.ref(Counter, 'a');
    await counter.label('x');
    expect((await errorOf(counter.mutate('total'))).details).toMatchObject({ name: 'TypeError' });
    await counter.addMany(9); // the tenth event: a snapshot
    expect((await errorOf(counter.mutate('labels'))).details).toMatchObject({ name: 'TypeError' });
    expect((await errorOf(before.ref(Counter, 'new').mutate('labels'))).code).toBe('CommandFailed');
    expect((await counter.whole()).value.state).toEqual({ total: 9, labels: ['x'] });
    await before.close();
    const after = (await startRuntime({ dataDir, shards: 1 })).ref(Counter, 'a');
    expect((await errorOf(after.mutate('labels'))).details).toMatchObject({ name: 'TypeError' });
    expect((await after.whole()).value.state).toEqual({ total: 9, labels: ['x'] });
  });
});

describe('bad input', () => {
  const odd = 'nan function bigint cycle map hole nul surrogate invalidDate throwingGetter throwingToJson revoked';
  test.each(odd.split(' '))('raise refuses %s', async (what) => {
    const runtime = await shared();
    const error = await errorOf(runtime.ref(Counter, own('a')).raiseOdd(what));
    expect(error.code).toBe('UnserialisableValue');
    expect(error.details.path).toContain('Added');
    expect((await runtime.ref(Counter, own('a')).total()).version).toBe(0);
  });

  test('each kind has a code of its own', async () => {
    const runtime = await startRuntime({ shards: 1, flush: { ringBytes: 1 << 16 } });
    const counter = runtime.ref(Counter, 'a');
    const code = async (promise: Promise<unknown>): Promise<string> => (await errorOf(promise)).code;
    expect(await code(counter.label(''))).toBe('SchemaViolation');
    expect(await code(counter.check())).toBe('AsyncSchemaUnsupported');
    expect(await code(counter.returnOdd())).toBe('UnserialisableValue');
    expect(await code(counter.raiseAnything('Nothing', {}))).toBe('UnknownEventType');
    expect(await code(counter.raiseAnything('toString', {}))).toBe('UnknownEventType');
    expect(await code(counter.raiseAnything('Labelled', { label: 'x'.repeat(1 << 15) }))).toBe('CommandTooLarge');
    expect(await code(counter.label('x'.repeat(1 << 16)))).toBe('CommandTooLarge');
    expect(await code(counter.add(1n as unknown as number))).toBe('UnserialisableValue');
    expect(await code(counter.with({ idempotencyKey: '' }).add(1))).toBe('InvalidId');
    expect(await code(counter.with({ deadlineMs: -1 }).add(1))).toBe('InvalidOptions');
    expect(await code(counter.with({ ack: 'published' }).add(1))).toBe('InvalidOptions');
    expect((counter as unknown as { nope: unknown }).nope).toBeUndefined();
    expect(() => runtime.ref(Counter, '')).toThrow(expect.objectContaining({ code: 'InvalidId' }));
    expect(() => runtime.ref(Counter, 'x'.repeat(256))).toThrow(expect.objectContaining({ code: 'InvalidId' }));
    expect(() => runtime.ref({ name: 'ghost' } as never, 'a')).toThrow(
      expect.objectContaining({ code: 'UnknownAggregateType' }),
    );
    // None of it has hurt anybody.
    expect((await counter.add(1)).value).toBe(1);
    expect(await runtime.store.getByAggregate(Counter, 'a')).toHaveLength(1);
  });

  test('names that objects have anyway are no commands', async () => {
    const runtime = await shared();
    const counter = runtime.ref(Counter, own('a')) as unknown as Record<string, unknown>;
    expect(await (counter as unknown as Promise<unknown>)).toBe(counter); // awaiting a ref is harmless
    expect(counter.then).toBeUndefined();
    expect(counter.toJSON).toBeUndefined();
  });
});

describe('deadline and abort', () => {
  test('a command that waits too long in its mailbox is not executed', async () => {
    const runtime = await shared();
    const counter = runtime.ref(Counter, own('a'));
    const slow = counter.addSlowly(1, 50);
    const error = await errorOf(counter.with({ deadlineMs: 10 }).add(100));
    expect(isError(error, 'DeadlineExceeded')).toBe(true);
    expect(error.details.deadlineMs).toBe(10);
    await slow;
    expect((await counter.total()).value).toBe(1);
  });

  test('an aborted caller is released at once, and the command is told', async () => {
    const runtime = await shared();
    const counter = runtime.ref(Counter, own('a'));
    const abort = new AbortController();
    const waiting = errorOf(counter.with({ signal: abort.signal }).waitForAbort());
    await runtime.ref(Counter, own('b')).add(1); // its shard has seen both by now
    abort.abort(new Error('gone'));
    expect(await waiting).toMatchObject({ code: 'Aborted', details: { executed: 'unknown' } });
    expect((await counter.total()).value).toBe(100);
  });

  test('what is aborted while it waits in a mailbox is not executed', async () => {
    const runtime = await shared();
    const counter = runtime.ref(Counter, own('a'));
    const slow = counter.addSlowly(1, 30);
    const abort = new AbortController();
    const waiting = errorOf(counter.with({ signal: abort.signal }).add(100));
    abort.abort();
    expect((await waiting).code).toBe('Aborted');
    await slow;
    expect((await counter.total()).value).toBe(1);
    expect(runtime.status().inFlight).toBe(0);
  });

  test('what is aborted before it is sent is not executed', async () => {
    const runtime = await shared();
    const error = await errorOf(runtime.ref(Counter, own('a')).with({ signal: AbortSignal.abort() }).add(1));
    expect(error).toMatchObject({ code: 'Aborted', details: { executed: 'no' } });
  });
});

describe('levels', () => {
  const eager = sharedRuntime({ flush: 'latency' });

  test.each(['raised', 'written', 'synced', 'stored'] as const)('a command can wait for %s', async (ack) => {
    const runtime = await eager();
    const receipt = await runtime.ref(Counter, own('a')).with({ ack }).add(1);
    expect(receipt.value).toBe(1);
    await receipt.reached('stored');
    expect(receipt.position).toBeGreaterThan(0);
    expect(runtime.status().stored).toBeGreaterThanOrEqual(receipt.position);
  });

  test('nobody who waits for a level is forgotten, whatever happens between a look and a sleep', async () => {
    const runtime = await startRuntime({ shards: 1, flush: 'durable' });
    const lane = async (number: number): Promise<void> => {
      const counter = runtime.ref(Counter, `c${number}`).with({ ack: number % 8 === 0 ? 'stored' : 'synced' });
      for (let i = 0; i < (number % 8 === 0 ? 30 : 300); i++) await counter.add(1);
    };
    await Promise.all(Array.from({ length: 16 }, (_, number) => lane(number)));
  });

  test('waiting for a level can be aborted', async () => {
    const runtime = await startRuntime({ flush: { syncIntervalMs: 60_000 } });
    const receipt = await runtime.ref(Counter, 'a').add(1);
    const abort = new AbortController();
    abort.abort(new Error('enough'));
    expect((await errorOf(receipt.reached('synced', { signal: abort.signal }))).message).toBe('enough');
  });
});

describe('backpressure', () => {
  test('a mailbox is bounded', async () => {
    const runtime = await startRuntime({ shards: 1, mailboxLimit: 3 });
    const counter = runtime.ref(Counter, 'a');
    const slow = counter.addSlowly(1, 30);
    const results = await Promise.allSettled(Array.from({ length: 6 }, () => counter.add(1)));
    const codes = results.map((result) => (result.status === 'fulfilled' ? 'done' : result.reason.code));
    expect(codes).toEqual(['done', 'done', 'done', 'MailboxFull', 'MailboxFull', 'MailboxFull']);
    await slow;
    expect((await counter.total()).value).toBe(4);
  });

  test('commands in flight are bounded', async () => {
    const runtime = await startRuntime({ shards: 1, maxInFlight: 2 });
    const counter = runtime.ref(Counter, 'a');
    const results = await Promise.allSettled([counter.add(1), counter.add(1), counter.add(1)]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
  });

  test('a full command ring delays, or rejects, by policy', async () => {
    const text = 'x'.repeat(8000);
    const waiting = await startRuntime({ shards: 1, flush: { ringBytes: 1 << 16 } });
    const receipts = await Promise.all(Array.from({ length: 200 }, () => waiting.ref(Counter, 'a').label(text)));
    expect(receipts.at(-1)!.version).toBe(200);
    const rejecting = await startRuntime({ shards: 1, flush: { ringBytes: 1 << 16, whenFull: 'reject' } });
    const results = await Promise.allSettled(
      Array.from({ length: 200 }, () => rejecting.ref(Counter, 'a').label(text)),
    );
    const refused = results.filter((result) => result.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused)
      expect(reason).toMatchObject({ code: 'RingFull', details: { ringBytes: 1 << 16 } });
    expect((await rejecting.ref(Counter, 'a').total()).version).toBe(200 - refused.length);
  });
});
