// Durable subscriptions: from where they begin to where they go on after a restart; order, window, pause and reset.
import { describe, expect, test } from 'vitest';
import type { Runtime, StoredEvent, Subscription } from '../../src/index.ts';
import type { RunningSubscription } from '../../src/subscriptions/subscription.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, scratchFolder, startSmall, until } from '../runtime/scratch.ts';
import { startOn, stores } from './stores.ts';

const written = (runtime: Runtime): number => runtime.status().written;
const caughtUp = (runtime: Runtime, subscription: Subscription): Promise<void> =>
  subscription.caughtUpTo(written(runtime));
const addAll = (runtime: Runtime, aggregates: number, each: number): Promise<unknown> =>
  Promise.all(Array.from({ length: aggregates * each }, (_, i) => runtime.ref(Counter, `c${i % aggregates}`).add(i)));

const addReceipts = async (runtime: Runtime, prefix: string): Promise<{ position: number }[]> => {
  const receipts = await Promise.all(
    Array.from({ length: 50 }, (_, i) => runtime.ref(Counter, `${prefix}${i}`).add(1)),
  );
  return receipts.toSorted((a, b) => a.position - b.position);
};

/** Complains about an event that is not its aggregate's next. */
function sequence(): { heard: StoredEvent[]; hear(event: StoredEvent): void; wrong: string[] } {
  const versions = new Map<string, number>();
  const wrong: string[] = [];
  const heard: StoredEvent[] = [];
  return {
    heard,
    wrong,
    hear(event) {
      heard.push(event);
      const expected = (versions.get(event.aggregateId) ?? 0) + 1;
      if (event.version !== expected) wrong.push(`${event.aggregateId}@${event.version}, not ${expected}`);
      versions.set(event.aggregateId, event.version);
    },
  };
}

describe.each(stores)('%s store', (store) => {
  const startRuntime = startOn(store);

  test('who waits from the start on for what was handled in an earlier run waits for nothing', async () => {
    const dataDir = scratchFolder();
    for (let run = 1; run <= 2; run++) {
      const runtime = await startRuntime({ dataDir });
      if (run === 1) await runtime.ref(Counter, 'c').add(1);
      const subscription = runtime.subscribe({ name: 'all', handle() {} });
      expect(subscription.status().state).toBe('starting');
      await subscription.caughtUpTo(written(runtime), { timeoutMs: 5_000 });
      await runtime.close();
    }
  });

  test('history first, then live, no gap and no seam, while others go on writing', async () => {
    const runtime = await startRuntime();
    await addAll(runtime, 10, 200);
    const { heard, hear, wrong } = sequence();
    const adding = addAll(runtime, 10, 200);
    const subscription = runtime.subscribe({ name: 'all', handle: hear });
    await adding;
    await caughtUp(runtime, subscription);
    await addAll(runtime, 10, 50);
    await caughtUp(runtime, subscription);
    expect(wrong).toEqual([]);
    expect(heard).toHaveLength(4500);
    await until(
      () => subscription.status().state,
      (state) => state === 'live',
    );
  });

  test('goes on from its checkpoint in the next run, and only there', async () => {
    const dataDir = scratchFolder();
    const { heard, hear, wrong } = sequence();
    for (let run = 1; run <= 3; run++) {
      const runtime = await startRuntime({ dataDir });
      const subscription = runtime.subscribe({ name: 'all', from: 'start', handle: hear });
      await addAll(runtime, 5, 20);
      await caughtUp(runtime, subscription);
      await runtime.close();
      expect(heard).toHaveLength(run * 100);
    }
    expect(wrong).toEqual([]);
    // Where there is nothing to do, that is told at once.
    const runtime = await startRuntime({ dataDir });
    await caughtUp(runtime, runtime.subscribe({ name: 'all', handle: hear }));
    expect(heard).toHaveLength(300);
  });

  test('what is not done at the end comes again; what is done above it does not', async () => {
    const dataDir = scratchFolder();
    const runtime = await startRuntime({ dataDir });
    await addAll(runtime, 5, 4);
    const done: string[] = [];
    let stuck = 0;
    runtime.subscribe({
      name: 'all',
      async handle(event, { signal }) {
        if (event.aggregateId === 'c2') {
          stuck++;
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        }
        done.push(`${event.aggregateId}@${event.version}`);
      },
      timeoutMs: 60_000,
    });
    await until(
      () => done.length,
      (count) => count === 16,
    );
    await (runtime.subscriptions.named('all') as RunningSubscription).close(200); // its grace; then it gives up on the stuck one
    await runtime.close();
    expect(stuck).toBe(1);
    const again: string[] = [];
    const second = await startRuntime({ dataDir });
    const subscription = second.subscribe({
      name: 'all',
      handle: (event) => again.push(`${event.aggregateId}@${event.version}`),
    });
    await caughtUp(second, subscription);
    expect(again).toEqual(['c2@1', 'c2@2', 'c2@3', 'c2@4']);
  }, 30_000);

  test('takes only what it wants: types, aggregates, a condition', async () => {
    const runtime = await startRuntime();
    const counter = runtime.ref(Counter, 'a');
    await counter.add(1);
    await counter.label('x');
    await counter.add(5);
    const heard: Record<string, string[]> = { types: [], aggregates: [], none: [], where: [] };
    const hear = (name: string) => (event: StoredEvent) => heard[name]!.push(`${event.type}@${event.version}`);
    const subscriptions = [
      runtime.subscribe({ name: 'types', events: ['Labelled'], handle: hear('types') }),
      runtime.subscribe({ name: 'aggregates', aggregates: [Counter], events: ['Added'], handle: hear('aggregates') }),
      runtime.subscribe({ name: 'none', aggregates: ['nobody'], handle: hear('none') }),
      runtime.subscribe({
        name: 'where',
        aggregates: [Counter],
        where: (event) => event.type === 'Added' && event.data.amount > 2,
        handle: hear('where'),
      }),
    ];
    await counter.label('y');
    for (const subscription of subscriptions) await caughtUp(runtime, subscription);
    expect(heard).toEqual({
      types: ['Labelled@2', 'Labelled@4'],
      aggregates: ['Added@1', 'Added@3'],
      none: [],
      where: ['Added@3'],
    });
  });

  test('begins where it is told: a position, a time, now', async () => {
    const runtime = await startRuntime();
    const counter = runtime.ref(Counter, 'a');
    await counter.add(1);
    const second = await counter.add(2);
    await until(
      () => Date.now(),
      (now) => now > second.events[0]!.occurredAt.getTime(),
    );
    const time = new Date();
    await counter.add(3);
    const heard: Record<string, number[]> = { position: [], time: [], now: [] };
    for (const [name, from] of Object.entries({ position: second.position, time, now: 'now' as const })) {
      runtime.subscribe({ name, from, handle: (event) => heard[name]!.push(event.version) });
    }
    await until(
      () => runtime.status().subscriptions.map(({ state }) => state),
      (states) => states.every((state) => state === 'live'),
    );
    await counter.add(4);
    for (const name of Object.keys(heard)) await caughtUp(runtime, runtime.subscriptions.named(name));
    expect(heard).toEqual({ position: [2, 3, 4], time: [3, 4], now: [4] });
  });

  test('now is the moment of the call: what is acknowledged afterwards is handled', async () => {
    const runtime = await startRuntime();
    await runtime.ref(Counter, 'before').add(1);
    const heard: number[] = [];
    const subscription = runtime.subscribe({
      name: 'all',
      from: 'now',
      handle: ({ position }) => heard.push(position),
    });
    const first = await addReceipts(runtime, 'first');
    await subscription.caughtUpTo(first.at(-1)!);
    expect(heard.toSorted((a, b) => a - b)).toEqual(first.map(({ position }) => position));
    await subscription.pause();
    await runtime.ref(Counter, 'skipped').add(1);
    heard.length = 0;
    const reset = subscription.reset('now');
    const second = await addReceipts(runtime, 'second');
    await reset;
    await subscription.resume();
    await subscription.caughtUpTo(second.at(-1)!);
    expect(heard.toSorted((a, b) => a - b)).toEqual(second.map(({ position }) => position));
  });

  test('pause and resume, also over a restart', async () => {
    const dataDir = scratchFolder();
    const first = await startRuntime({ dataDir });
    const heard: number[] = [];
    const hear = (event: StoredEvent): unknown => heard.push(event.version);
    const subscription = first.subscribe({ name: 'all', handle: hear });
    const counter = first.ref(Counter, 'a');
    await counter.add(1);
    await caughtUp(first, subscription);
    await subscription.pause();
    expect(subscription.status().state).toBe('paused');
    await counter.add(2);
    await first.reached('stored');
    expect(subscription.status()).toMatchObject({ state: 'paused', lagEvents: 1 });
    expect(subscription.status().lagSeconds).toBeGreaterThan(0);
    await first.close();
    const second = await startRuntime({ dataDir });
    const again = second.subscribe({ name: 'all', handle: hear });
    await until(
      () => again.status().state,
      (state) => state === 'paused',
    );
    expect(heard).toEqual([1]);
    await again.resume();
    await caughtUp(second, again);
    expect(heard).toEqual([1, 2]);
    expect(again.status()).toMatchObject({ lagEvents: 0, lagSeconds: 0 });
  });

  test('one that could not begin keeps no place: the next one of its name begins where it says', async () => {
    const runtime = await startRuntime();
    for (let i = 0; i < 5; i++) await runtime.ref(Counter, 'x').add(1);
    const wrong = runtime.subscribe({ name: 'mail', from: 1000, handle() {} });
    expect(await errorOf(wrong.caughtUpTo(1))).toMatchObject({ code: 'PositionAhead' });
    await wrong.close();
    const handled: number[] = [];
    const right = runtime.subscribe({
      name: 'mail',
      from: 'now',
      handle: ({ position }) => void handled.push(position),
    });
    const last = await runtime.ref(Counter, 'x').add(1);
    await right.caughtUpTo(last);
    expect(handled).toEqual([last.position]);
  });

  test('reset goes back or forth while it runs', async () => {
    const runtime = await startRuntime();
    const heard: number[] = [];
    const subscription = runtime.subscribe({ name: 'all', handle: (event) => heard.push(event.version) });
    const counter = runtime.ref(Counter, 'a');
    const receipts = [await counter.add(1), await counter.add(2), await counter.add(3)];
    await caughtUp(runtime, subscription);
    await subscription.reset(receipts[1]!.position);
    await caughtUp(runtime, subscription);
    expect(heard).toEqual([1, 2, 3, 2, 3]);
    await subscription.pause();
    await counter.add(4);
    await subscription.reset('now');
    await subscription.resume();
    await counter.add(5);
    await caughtUp(runtime, subscription);
    expect(heard).toEqual([1, 2, 3, 2, 3, 5]);
    expect(await errorOf(subscription.reset(0))).toMatchObject({ code: 'PositionGone', details: { firstKept: 1 } });
    expect(await errorOf(subscription.reset(10_000))).toMatchObject({
      code: 'PositionAhead',
      details: { lastPosition: written(runtime) },
    });
  });

  test('a reset from within the last event of a page goes back, whatever the page was', async () => {
    const runtime = await startRuntime();
    for (let i = 0; i < 3; i++) await runtime.ref(Counter, 'a').add(1);
    await runtime.reached('synced'); // so that all of them are read from history
    const heard: number[] = [];
    let reset: Promise<void> | undefined;
    const subscription = runtime.subscribe({
      name: 'all',
      handle({ version }) {
        heard.push(version);
        if (version === 3) reset ??= subscription.reset('start');
      },
    });
    await until(() => reset !== undefined, Boolean);
    await reset;
    await caughtUp(runtime, subscription);
    expect(heard).toEqual([1, 2, 3, 1, 2, 3]);
  });

  test('many subscriptions, each with its own place', async () => {
    const runtime = await startRuntime();
    const counts = Array.from({ length: 50 }, () => 0);
    const subscriptions = counts.map((_, i) =>
      runtime.subscribe({ name: `s${i}`, events: i % 2 ? ['Added'] : ['Labelled'], handle: () => void counts[i]!++ }),
    );
    await addAll(runtime, 10, 10);
    await runtime.ref(Counter, 'c1').label('x');
    for (const subscription of subscriptions) await caughtUp(runtime, subscription);
    expect(counts).toEqual(counts.map((_, i) => (i % 2 ? 100 : 1)));
  });
});

// What reads and hands over is the same code on both stores.
describe('on either store', () => {
  const startRuntime = startSmall;

  test('one event of an aggregate at a time, in version order, many aggregates side by side', async () => {
    const runtime = await startRuntime();
    await addAll(runtime, 40, 25);
    const { hear, wrong, heard } = sequence();
    const running = new Set<string>();
    const overlaps: string[] = [];
    let most = 0;
    const subscription = runtime.subscribe({
      name: 'parallel',
      concurrency: 8,
      async handle(event) {
        if (running.has(event.aggregateId)) overlaps.push(event.id);
        running.add(event.aggregateId);
        most = Math.max(most, running.size);
        await new Promise((resolve) => setImmediate(resolve));
        hear(event);
        running.delete(event.aggregateId);
      },
    });
    await caughtUp(runtime, subscription);
    expect({ overlaps, wrong, most, count: heard.length }).toEqual({ overlaps: [], wrong: [], most: 8, count: 1000 });
  });

  test('reads no further than what is synced', async () => {
    const runtime = await startRuntime({ flush: { syncIntervalMs: 60_000, syncBytes: 1 << 30 } });
    const heard: number[] = [];
    const subscription = runtime.subscribe({ name: 'all', from: 'now', handle: (event) => heard.push(event.position) });
    let live = 0;
    runtime.bus.on('*', () => live++);
    await until(
      () => subscription.status().state,
      (state) => state === 'live',
    );
    const receipt = await runtime.ref(Counter, 'a').add(1);
    expect(live).toBe(1);
    expect(runtime.status().synced).toBeLessThan(receipt.position);
    expect(heard).toEqual([]);
    await receipt.reached('synced');
    await subscription.caughtUpTo(receipt);
    expect(heard).toEqual([receipt.position]);
  });

  test('a full window holds reading back, and loses nothing', async () => {
    const runtime = await startRuntime();
    let release: () => void = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { hear, heard, wrong } = sequence();
    const subscription = runtime.subscribe({
      name: 'slow',
      window: 10,
      concurrency: 100,
      async handle(event) {
        await gate;
        hear(event);
      },
    });
    await addAll(runtime, 50, 4);
    await runtime.reached('synced');
    await until(
      () => subscription.status().inFlight,
      (count) => count === 10,
    );
    release();
    await caughtUp(runtime, subscription);
    expect(heard).toHaveLength(200);
    expect(wrong).toEqual([]);
  });

  test('bad options are refused at once, by name', async () => {
    const runtime = await startRuntime();
    const handle = (): void => {};
    const refused = (options: object): string => {
      try {
        runtime.subscribe(options as never);
        return 'taken';
      } catch (error) {
        const { code, details } = error as { code: string; details: { option?: string } };
        return `${code} ${details.option ?? ''}`.trim();
      }
    };
    runtime.subscribe({ name: 'taken', handle });
    expect(refused({ name: 'taken', handle })).toBe('SubscriptionExists');
    expect(refused({ name: 'x'.repeat(101), handle })).toBe('InvalidOptions name');
    expect(refused({ name: 'a\0b', handle })).toBe('InvalidOptions name');
    expect(refused({ name: '', handle })).toBe('InvalidOptions name');
    expect(refused({ name: 'a' })).toBe('InvalidOptions handle');
    expect(refused({ name: 'a', handle, concurency: 3 })).toBe('InvalidOptions concurency');
    expect(refused({ name: 'a', handle, concurrency: 0 })).toBe('InvalidOptions concurrency');
    expect(refused({ name: 'a', handle, retry: { attempts: 0 } })).toBe('InvalidOptions retry.attempts');
    expect(refused({ name: 'a', handle, from: 'yesterday' })).toBe('InvalidOptions from');
    expect(refused({ name: 'a', handle, from: new Date('x') })).toBe('InvalidOptions from');
    expect(refused({ name: 'a', handle, events: [] })).toBe('InvalidOptions events');
    expect(refused({ name: 'a', handle, aggregates: [Counter], events: ['Adedd'] })).toBe('UnknownEventType');
    expect(refused({ name: 'a', thread: 'worker', module: './x.ts' })).toBe('InvalidOptions module');
    expect(runtime.status().subscriptions.map(({ name }) => name)).toEqual(['taken']);
  });

  test('a first position beyond the end fails the subscription, and says so', async () => {
    const runtime = await startRuntime();
    const subscription = runtime.subscribe({ name: 'ahead', from: 1000, handle() {} });
    await until(
      () => subscription.status().state,
      (state) => state === 'failed',
    );
    expect(subscription.status().lastError).toMatch(/1000 lies beyond/);
    expect(await errorOf(subscription.caughtUpTo(1))).toMatchObject({ code: 'PositionAhead' });
  });
});
