// Effects that happen exactly once; handlers in threads of their own; handlers as classes; replay.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  type AnyAggregate,
  EventHandler,
  type ReplayProgress,
  type Runtime,
  type StoredEvent,
} from '../../src/index.ts';
import { objectMembers } from '../hostile.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, scratchFolder, until } from '../runtime/scratch.ts';
import { startOn, stores } from './stores.ts';

const add = (runtime: Runtime, id: string, count: number): Promise<unknown> =>
  Promise.all(Array.from({ length: count }, () => runtime.ref(Counter, id).add(1)));

describe.each(stores)('%s store', (store) => {
  const startRuntime = startOn(store);

  test('effects in tx happen once per event, with retries, side by side, over restarts and a rehearsal', async () => {
    const dataDir = scratchFolder();
    let attempts = 0;
    const start = async (): Promise<Runtime> => {
      const runtime = await startRuntime({ dataDir });
      runtime.subscribe({
        name: 'sums',
        concurrency: 8,
        retry: { attempts: 10, minDelayMs: 0, maxDelayMs: 1 },
        breaker: false,
        async handle(event, { tx, attempt }) {
          attempts++;
          const sum = (await tx.get<number>('sums', 'all')) ?? 0;
          await new Promise((resolve) => setImmediate(resolve)); // the others read the same sum
          tx.put('sums', 'all', sum + 1);
          tx.put('seen', event.id, attempt);
          if (attempt === 1 && event.version % 3 === 0) throw new Error('after its effects');
        },
      });
      return runtime;
    };
    for (let run = 1; run <= 2; run++) {
      const runtime = await start();
      for (let i = 0; i < 6; i++) await add(runtime, `a${i}`, 5);
      await runtime.subscriptions.named('sums').caughtUpTo(runtime.status().written);
      expect(await runtime.effect('sums', 'all')).toBe(run * 30);
      expect(await runtime.effects.range('seen')).toHaveLength(run * 30);
      await runtime.close();
    }
    expect(attempts).toBeGreaterThan(60);
  });

  test('keys are texts that every store can tell apart, or refused: of effects, of once, tables, names, and rows', async () => {
    const runtime = await startRuntime();
    const kept = [...objectMembers, 'a\0b', 'a', '\u{10ffff}', '\uffff', ' '];
    for (const [i, key] of kept.entries()) await runtime.once(`put ${key}`, async (tx) => tx.put('kept', key, i));
    for (const [i, key] of kept.entries()) expect(await runtime.effect('kept', key)).toBe(i);
    expect(await runtime.effect('kept', 'isPrototypeOf')).toBeUndefined();
    for (const key of ['x\ud83d', '\ude00', '', 7 as never, null as never]) {
      expect((await errorOf(runtime.once(key, () => {}))).code).toBe('InvalidId');
      expect((await errorOf(runtime.once('o', async (tx) => tx.put('t', key, 1)))).code).toBe('InvalidId');
      expect((await errorOf(runtime.once('o', async (tx) => tx.put(key, 'k', 1)))).code).toBe('InvalidId');
      expect((await errorOf(runtime.effect('t', key))).code).toBe('InvalidId');
      expect((await errorOf((async () => runtime.subscribe({ name: key, handle() {} }))())).code).toBe(
        'InvalidOptions',
      );
    }
    for (const [name, rows] of [
      ['none', null],
      ['twice', ['same', 'same']],
    ] as const) {
      const projection = runtime.project<number>({
        name,
        into: 'lmdb',
        key: () => rows as never,
        init: () => 0,
        apply: (row) => row + 1,
      });
      await projection.caughtUpTo(await runtime.ref(Counter, name).add(1));
      const events = runtime.status().written;
      expect((await projection.entries()).length).toBe(name === 'none' ? 0 : 1);
      if (name === 'twice') expect(await projection.get('same')).toBeLessThanOrEqual(events);
    }
  });

  test('once: the first result for the key, also at the same time, also after a restart; a failure leaves nothing', async () => {
    const dataDir = scratchFolder();
    let calls = 0;
    const runtime = await startRuntime({ dataDir });
    const charge = (on: Runtime): Promise<number> =>
      on.once('event/charge', async (tx) => {
        calls++;
        tx.put('charges', 'total', ((await tx.get<number>('charges', 'total')) ?? 0) + 10);
        return calls;
      });
    const failing = runtime.once('event/charge', (tx) => {
      tx.put('charges', 'total', 1000);
      throw new Error('no');
    });
    expect((await errorOf(failing)).message).toBe('no');
    expect(await Promise.all([charge(runtime), charge(runtime)])).toEqual([1, 1]);
    expect(await charge(runtime)).toBe(1);
    await runtime.close();
    const second = await startRuntime({ dataDir });
    expect(await charge(second)).toBe(1);
    expect(await second.effect('charges', 'total')).toBe(10);
    expect((await errorOf(second.once('', () => 1))).code).toBe('InvalidId');
    expect((await errorOf(second.once('k', (tx) => tx.put('t'.repeat(101), 'k', 1)))).code).toBe('InvalidId');
    expect((await errorOf(second.once('k', (tx) => tx.put('t', 'k', Number.NaN)))).code).toBe('UnserialisableValue');
  });

  test('a handler in threads of its own: what it throws, blocks or ends there costs the service nothing', async () => {
    const dataDir = scratchFolder();
    const file = join(dirname(dataDir), 'lines');
    const runtime = await startRuntime({ dataDir });
    const subscription = runtime.subscribe({
      name: 'elsewhere',
      thread: 'worker',
      module: new URL('./elsewhere.ts', import.meta.url).href,
      threads: 2,
      timeoutMs: 2_000,
      retry: { attempts: 2, minDelayMs: 1 },
    });
    const metadata = { file };
    for (const id of ['a', 'exits', 'throws', 'blocks', 'waits', 'a'])
      await runtime.ref(Counter, id).with({ metadata }).add(1);
    await subscription.caughtUpTo(runtime.status().written);
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    expect(lines.filter((line) => line !== 'aborted').sort()).toEqual([
      'a@1 true',
      'a@2 true',
      'blocks@1 true',
      'exits@1 true',
    ]);
    expect(lines).toContain('aborted');
    const letters = await runtime.deadLetters.list();
    expect(letters.map(({ event, error }) => [event.aggregateId, error?.message])).toEqual([
      ['throws', 'broken over there'],
      ['waits', expect.stringMatching(/did not settle/)],
    ]);
  });

  test('a handler that blocks its thread for five seconds: others go on, nothing is lost', async () => {
    const dataDir = scratchFolder();
    const file = join(dirname(dataDir), 'lines');
    writeFileSync(file, '');
    const runtime = await startRuntime({ dataDir });
    const inPool = runtime.subscribe({
      name: 'elsewhere',
      thread: 'worker',
      module: new URL('./elsewhere.ts', import.meta.url).href,
      threads: 2,
      timeoutMs: 60_000,
      breaker: false,
    });
    const metadata = { file };
    await runtime.ref(Counter, 'holds').with({ metadata }).add(1);
    // The blocked thread is released by what the other one does meanwhile: were that held up, it would fail.
    for (let i = 0; i < 20; i++) await runtime.ref(Counter, 'free').with({ metadata }).add(1);
    await inPool.caughtUpTo(runtime.status().written, { timeoutMs: 60_000 });
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    expect(lines.filter((line) => line.startsWith('holds'))).toEqual(['holds@1 true']);
    expect(lines.filter((line) => line.startsWith('free'))).toHaveLength(20);
    expect(inPool.status()).toMatchObject({ failures: 0, deadLetters: 0 });
    await inPool.close();
    // In the service's own thread everybody waits for it, and then goes on where it was.
    const heard: string[] = [];
    const hear = (name: string) => (event: StoredEvent) => {
      if (name === 'holding' && event.version === 3) {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5_000);
      }
      heard.push(`${name} ${event.version}`);
    };
    const both = ['holding', 'other'].map((name) =>
      runtime.subscribe({ name, from: 'now', timeoutMs: 1_000, handle: hear(name) }),
    );
    await until(
      () => both.map((one) => one.status().state),
      (states) => states.every((state) => state === 'live'),
    );
    await add(runtime, 'own', 100);
    for (const one of both) await one.caughtUpTo(runtime.status().written);
    for (const name of ['holding', 'other']) {
      const versions = heard.filter((line) => line.startsWith(name)).map((line) => Number(line.split(' ')[1]));
      expect(versions).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
    }
    expect(runtime.status().subscriptions.map(({ failures }) => failures)).toEqual([0, 0]);
  }, 120_000);

  test('classes: what they handle, by type, by aggregate, by question, or all', async () => {
    const runtime = await startRuntime();
    const heard: string[] = [];
    class Everything extends EventHandler {
      override readonly handlerName = 'Everything';
      handle(event: StoredEvent): void {
        heard.push(`all ${event.type}`);
      }
    }
    class Labels extends EventHandler {
      override readonly handlerName = 'Labels';
      override handles(): string {
        return 'Labelled';
      }
      handle(event: StoredEvent): void {
        heard.push(`labels ${event.type}`);
      }
    }
    class OfCounter extends EventHandler {
      override readonly handlerName = 'OfCounter';
      override handles(): AnyAggregate {
        return Counter;
      }
      override canHandle(type: string): boolean {
        return type.startsWith('A');
      }
      handle(event: StoredEvent): void {
        heard.push(`counter ${event.type}`);
      }
    }
    const subscriptions = [new Everything(), new Labels(), new OfCounter()].map((one) => runtime.register(one));
    const plain = runtime.register({ canHandle: () => true, handle: () => heard.push('plain') }, { name: 'plain' });
    await runtime.ref(Counter, 'a').add(1);
    await runtime.ref(Counter, 'a').label('x');
    for (const one of [...subscriptions, plain]) await one.caughtUpTo(runtime.status().written);
    expect(heard.sort()).toEqual(['all Added', 'all Labelled', 'counter Added', 'labels Labelled', 'plain', 'plain']);
    expect(subscriptions.map(({ name }) => name)).toEqual(['Everything', 'Labels', 'OfCounter']);
    expect(() => runtime.register(new Labels())).toThrow(/SubscriptionExists|is running/);
    expect(() => runtime.register({} as never)).toThrow(/has no handle/);
    // A class's own name is no name: a minifier gives it to another class, and with it the checkpoint.
    for (const nameless of [
      new (class a extends EventHandler {
        handle() {}
      })(),
      { handle() {} },
    ]) {
      expect(() => runtime.register(nameless)).toThrow(/option name: is missing.*handlerName|name.*is missing/);
      expect(() => runtime.register(nameless, { name: undefined } as never)).toThrow(/is missing/);
    }
  });

  test('replay: a stretch, a type, a rate; into a function or a handler; progress, abort, and no checkpoint moved', async () => {
    const runtime = await startRuntime();
    await add(runtime, 'a', 10);
    const receipt = await runtime.ref(Counter, 'b').label('x');
    await add(runtime, 'b', 10);
    const seen: StoredEvent[] = [];
    const into = (event: StoredEvent): unknown => seen.push(event);
    const told: ReplayProgress[] = [];
    expect(await runtime.replay({ into, onProgress: (one) => told.push(one), progressMs: 0 })).toMatchObject({
      events: 21,
    });
    expect(seen.map(({ position }) => position)).toEqual(
      [...seen.map(({ position }) => position)].sort((a, b) => a - b),
    );
    expect(told.at(-1)).toMatchObject({ events: 21, remainingSeconds: 0 });
    seen.length = 0;
    await runtime.replay({ from: receipt.position, into, aggregate: Counter, aggregateId: 'b', types: ['Labelled'] });
    expect(seen.map(({ type }) => type)).toEqual(['Labelled']);
    expect(await runtime.replay({ dryRun: true, into, to: receipt.position })).toMatchObject({ events: 11 });
    expect(seen).toHaveLength(1);
    const begun = performance.now();
    await runtime.replay({ into, eventsPerSecond: 100 });
    expect(performance.now() - begun).toBeGreaterThan(100); // 21 events at 100 a second, give or take a slice
    const calls: string[] = [];
    const subscription = runtime.subscribe({
      name: 'handler',
      from: 'now',
      handle(event, { attempt }) {
        calls.push(`${event.aggregateId} ${attempt}`);
        if (event.type === 'Labelled') throw new Error('no');
      },
    });
    await until(
      () => subscription.status().state,
      (state) => state === 'live',
    );
    const { position, handled } = subscription.status();
    expect(await runtime.replay({ into: 'handler' })).toMatchObject({ events: 21, failed: 1 });
    expect(calls).toHaveLength(21);
    expect(subscription.status()).toMatchObject({ position, handled, deadLetters: 0 });
    const controller = new AbortController();
    const aborted = runtime.replay({ into: () => controller.abort(new Error('enough')), signal: controller.signal });
    expect((await errorOf(aborted)).message).toBe('enough');
    expect((await errorOf(runtime.replay({ into: 'nobody' }))).code).toBe('UnknownSubscription');
    expect((await errorOf(runtime.replay({ into, from: 9999 }))).code).toBe('PositionAhead');
    expect((await errorOf(runtime.replay({ into, eventsPerSecond: 0 }))).code).toBe('InvalidOptions');
  });
});
