// A public call that ends only after the code it is called from has ended would wait for itself. Every method that a user can
// await is walked from inside of a handler: it ends, or is refused at once with the cycle. So are cycles over several handlers,
// effects and commits.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { awaitedOutside } from '../../src/base/refusable-call.ts';
import { Running, RunningCode } from '../../src/base/running.ts';
import type { Runtime, StoredEvent, Subscription } from '../../src/index.ts';
import { AggregateRoot, postgres } from '../../src/index.ts';
import { freshDatabase } from '../postgres.ts';
import { Counter } from './aggregates.ts';
import { startRuntime } from './scratch.ts';

/** 'done', or the error. */
const outcomeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'done',
    (error: unknown) => error,
  );

const refusal = (within: string, chain: string[]): unknown =>
  expect.objectContaining({ code: 'WaitsForItself', details: expect.objectContaining({ within, chain }) });

const itself = refusal("handler 'self'", ["handler 'self'"]);

interface Scene {
  readonly runtime: Runtime;
  readonly subscription: Subscription;
  /** Await a call in the handler of the next event, and say how it ended. */
  inside(call: (event: StoredEvent) => Promise<unknown>): Promise<unknown>;
}

async function scene(runtime: Runtime, name = 'self'): Promise<Scene> {
  let call: ((event: StoredEvent) => Promise<unknown>) | undefined;
  let told = Promise.withResolvers<unknown>();
  const subscription = runtime.subscribe({
    name,
    from: 'now',
    async handle(event) {
      const now = call;
      call = undefined;
      if (now !== undefined) told.resolve(await outcomeOf(now(event)));
    },
  });
  const inside = async (next: (event: StoredEvent) => Promise<unknown>): Promise<unknown> => {
    told = Promise.withResolvers();
    call = next;
    await runtime.ref(Counter, name).add(1);
    return told.promise;
  };
  return { runtime, subscription, inside };
}

const event = { aggregateType: 'account', aggregateId: 'a', type: 'Opened', data: {} };
class Account extends AggregateRoot {
  constructor(id: string) {
    super('account', id);
  }
  open(): void {
    this.raise('Opened', {});
  }
  protected override apply(): void {}
}
const account = (id: string): Account => {
  const entity = new Account(id);
  entity.open();
  return entity;
};

/** By class and method: how it is awaited in the handler of `self`. `waits`: it is refused there. Else it ends well. */
type Call = (scene: Scene, event: StoredEvent) => Promise<unknown>;
const atOnce = 'returns at once';
const waits = (call: Call): { waits: Call } => ({ waits: call });

const calls: Record<string, Record<string, Call | { waits: Call } | typeof atOnce>> = {
  Runtime: {
    ref: atOnce,
    command: ({ runtime }) => runtime.command('counter', 'b', 'add', [1]),
    state: ({ runtime }) => runtime.state(Counter, 'b'),
    events: ({ runtime }) => runtime.events().next(),
    newId: atOnce,
    unitOfWork: atOnce,
    reached: async ({ runtime }) => {
      await runtime.reached('synced');
      await runtime.reached('stored');
    },
    setFlush: atOnce,
    schedule: ({ runtime }) => runtime.schedule('once a year', { cron: '0 0 1 1 *' }, () => {}),
    setPublishing: atOnce,
    status: atOnce,
    close: atOnce, // below: there is one only
    subscribe: atOnce,
    register: atOnce,
    project: atOnce,
    replay: waits(({ runtime }) => runtime.replay({ into: 'self' })),
    once: ({ runtime }) => runtime.once('key', () => 1),
    effect: ({ runtime }) => runtime.effect('table', 'key'),
  },
  Subscriptions: {
    subscribe: atOnce,
    register: atOnce,
    named: atOnce,
    status: atOnce,
    replay: waits(({ runtime }) => runtime.subscriptions.replay({ into: 'self' })),
    forget: ({ runtime }) => runtime.subscriptions.forget('gone'),
  },
  Projections: { project: atOnce, named: atOnce },
  EffectTables: {
    once: ({ runtime }) => runtime.effects.once('key', () => 1),
    get: ({ runtime }) => runtime.effects.get('table', 'key'),
    range: ({ runtime }) => runtime.effects.range('table'),
  },
  RunningSubscription: {
    status: atOnce,
    pause: waits(({ subscription }) => subscription.pause()),
    resume: ({ subscription }) => subscription.resume(),
    reset: waits(({ subscription }, { position }) => subscription.reset(position + 1)),
    caughtUpTo: waits(({ subscription }, event) => subscription.caughtUpTo(event)),
    close: atOnce, // below
    effectsKept: ({ runtime }) => runtime.effects.range('table'),
  },
  LocalProjection: {
    get: ({ runtime }) => rows(runtime).get('a'),
    entries: ({ runtime }) => rows(runtime).entries(),
    caughtUpTo: ({ runtime }, event) => rows(runtime).caughtUpTo(event),
    rebuild: ({ runtime }) => rows(runtime).rebuild(),
    status: atOnce,
    close: ({ runtime }) => rows(runtime).close(),
  },
  DeadLetters: {
    list: ({ runtime }) => runtime.deadLetters.list(),
    show: atOnce, // as list
    requeue: waits(({ runtime }) => runtime.deadLetters.requeue({ handler: 'self' }, { dryRun: true })),
    edit: atOnce, // as discard
    discard: ({ runtime }) => runtime.deadLetters.discard({ handler: 'self' }),
  },
  RuntimeStore: {
    save: ({ runtime }) => runtime.store.save([event]),
    saveWithTx: atOnce, // the user's own transaction
    getByAggregate: ({ runtime }) => runtime.store.getByAggregate(Counter, 'a'),
    getFromVersion: ({ runtime }) => runtime.store.getFromVersion(Counter, 'a', 1),
    getByType: ({ runtime }) => runtime.store.getByType('Added'),
    query: ({ runtime }) => runtime.store.query().next(),
    stateAt: ({ runtime }) => runtime.store.stateAt(Counter, 'a', { version: 1 }),
    head: ({ runtime }) => runtime.store.head(Counter, 'a'),
    quarantined: ({ runtime }) => runtime.store.quarantined().next(),
    heads: ({ runtime }) => runtime.store.heads(Counter).next(),
  },
  EventPublisher: {
    publish: ({ runtime }) => runtime.publisher.publish(event),
    publishBatch: ({ runtime }) => runtime.publisher.publishBatch([event]),
    publishAsync: atOnce,
    version: atOnce,
  },
  UnitOfWork: {
    begin: ({ runtime }) => runtime.unitOfWork().begin(),
    register: atOnce,
    repository: atOnce,
    before: atOnce,
    after: atOnce,
    run: ({ runtime }) => runtime.unitOfWork().run((unit) => unit.register(account('b'))),
    commit: ({ runtime }) => runtime.unitOfWork().commit(),
    rollback: ({ runtime }) => runtime.unitOfWork().rollback(),
  },
};

let count = 0;
const rows = (runtime: Runtime) =>
  runtime.project({ name: `rows${count++}`, into: 'memory', init: () => ({}), apply: (row) => row });

/** Of what is no door of the user's. */
const internal =
  /^(constructor|toJSON|start|check\w*|admit\w*|stageOf|offer|passed|stageCheckpoint|endWithin|fail|isKeptIn|wake|save|fenced|recover|reserve)$/;
const sources = ((): string => {
  const folder = join(import.meta.dirname, '..', '..', 'src');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  return files.map((file) => readFileSync(join(folder, file), 'utf8')).join('\n');
})();
const isPrivate = (method: string): boolean =>
  new RegExp(`private (?:(?:async )?\\*?${method}[(<]|readonly ${method}[:;])`).test(sources);

function methodsOf(instance: object): string[] {
  const names = new Set(
    Object.entries(instance).flatMap(([name, value]) => (typeof value === 'function' ? [name] : [])),
  );
  for (let at = Object.getPrototypeOf(instance); at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (typeof value === 'function' && !internal.test(name)) names.add(name);
    }
  }
  return [...names].filter((name) => !isPrivate(name));
}

test('every method is listed here, with how it is awaited in a handler', async () => {
  const runtime = await startRuntime();
  const { store, publisher, deadLetters, subscriptions, projections, effects } = runtime;
  const subscription = runtime.subscribe({ name: 'self', handle() {} });
  const parts = [subscriptions, projections, effects, deadLetters, store, publisher, runtime.unitOfWork()];
  for (const one of [runtime, subscription, rows(runtime), ...parts]) {
    const { name } = one.constructor;
    expect([name, methodsOf(one).filter((method) => !Object.hasOwn(calls[name] ?? {}, method))]).toEqual([name, []]);
  }
});

test('awaited in a handler, each ends, or is refused with the cycle', async () => {
  const runtime = await startRuntime();
  const at = await scene(runtime);
  // A letter, for what asks for one.
  let isBroken = true;
  await at.subscription.close();
  const failing = runtime.subscribe({
    name: 'self',
    from: 'now',
    retry: { attempts: 1 },
    handle() {
      if (isBroken) throw new Error('broken');
    },
  });
  await failing.caughtUpTo(await runtime.ref(Counter, 'letter').add(1));
  isBroken = false;
  await failing.close();
  const here = await scene(runtime);
  const found: Record<string, unknown> = {};
  const wanted: Record<string, unknown> = {};
  for (const [kind, methods] of Object.entries(calls)) {
    for (const [method, call] of Object.entries(methods)) {
      if (call === atOnce) continue;
      const door = `${kind}.${method}`;
      wanted[door] = typeof call === 'function' ? 'done' : itself;
      const made = typeof call === 'function' ? call : call.waits;
      found[door] = await here.inside((event) => made(here, event));
      await here.subscription.resume();
    }
  }
  expect(found).toEqual({
    ...wanted,
    'Subscriptions.forget': expect.objectContaining({ code: 'UnknownSubscription' }),
  });
  expect(await here.inside(() => here.subscription.close())).toEqual(itself);
  await here.subscription.close();
});

test('close() in a handler is refused there, and closes; a call that is not awaited is none of it', async () => {
  const runtime = await startRuntime();
  const { inside } = await scene(runtime);
  expect(await inside(() => runtime.close())).toEqual(itself);
  await runtime.close();
  expect(runtime.status().state).toBe('closed');

  const other = await startRuntime();
  const closed = Promise.withResolvers<void>();
  other.subscribe({
    name: 'self',
    handle() {
      closed.resolve(other.close());
    },
  });
  await other.ref(Counter, 'a').add(1);
  await closed.promise;
  expect(other.status()).toMatchObject({ state: 'closed', subscriptions: [] });
});

test('close() in the first turn of a handler that runs alone waits for it', async () => {
  const runtime = await startRuntime();
  const [called, gate] = [Promise.withResolvers<Promise<unknown>>(), Promise.withResolvers<void>()];
  const subscription = runtime.subscribe({
    name: 'self',
    from: 'now',
    async handle() {
      called.resolve(outcomeOf(subscription.close())); // not awaited
      await gate.promise;
    },
  });
  await subscription.resume();
  const receipt = await runtime.ref(Counter, 'a').add(1);
  await called.promise;
  // Called from outside of the handler: it ends when the work that was begun inside has ended.
  let hasEnded = false;
  const ended = subscription.close().then(() => {
    hasEnded = true;
  });
  for (let i = 0; i < 20; i++) await runtime.ref(Counter, 'b').total();
  expect(hasEnded).toBe(false);
  gate.resolve();
  await ended;
  expect(subscription.status()).toMatchObject({ handled: 1, position: receipt.position });
});

test('what a handler waits for may come in the turn in which it begins to wait', async () => {
  const runtime = await startRuntime();
  const done = Promise.withResolvers<unknown>();
  let first: Subscription | undefined;
  // It takes an event before the other one does, and waits for the other.
  runtime.subscribe({
    name: 'waiting',
    from: 'now',
    handle: async (event) => done.resolve(await outcomeOf(first!.caughtUpTo(event))),
  });
  first = runtime.subscribe({ name: 'awaited', from: 'now', handle() {} });
  await first.resume();
  await runtime.ref(Counter, 'a').add(1);
  expect(await done.promise).toBe('done');
});

test('close() that waits for no handler, and one in a listener, is awaited in them', async () => {
  const runtime = await startRuntime();
  const { inside } = await scene(runtime);
  expect(await inside(() => runtime.close({ handlerGraceMs: 0 }))).toBe('done');
  const other = await startRuntime();
  const closed = Promise.withResolvers<unknown>();
  other.bus.on('*', async () => closed.resolve(await outcomeOf(other.close())));
  await other.ref(Counter, 'a').add(1);
  expect(await closed.promise).toBe('done');
});

test('an effect that closes the runtime ends, and so does close()', async () => {
  const runtime = await startRuntime();
  let inner: unknown;
  const outcome = await outcomeOf(
    runtime.once('key', async () => {
      inner = await outcomeOf(runtime.close());
    }),
  );
  expect(inner).toBe('done');
  expect(outcome).toMatchObject({ code: 'RuntimeClosed' }); // there is nothing left to remember it in
  await runtime.close();
});

test('an effect in a transaction holds what close() gives back: close() is refused in it, and ends behind it', async () => {
  const store = postgres({ connectionString: await freshDatabase(), migrate: true });
  const runtime = await startRuntime({ store });
  let inner: unknown;
  const value = await runtime.once('key', async (tx) => {
    await (await tx.client()).query('create table found (n int)');
    inner = await outcomeOf(runtime.close());
    return 1;
  });
  const chain = ["the effect of 'key'"];
  expect([value, inner]).toEqual([1, refusal(chain[0]!, chain)]);
  await runtime.close();
});

test('cycles over effects and over two handlers are named; what waits for earlier events is not one', async () => {
  const runtime = await startRuntime();
  const { inside, subscription } = await scene(runtime);
  const withinEffect = await inside(() => runtime.once('key', () => subscription.pause()));
  expect(withinEffect).toEqual(refusal("the effect of 'key'", ["handler 'self'"]));
  await subscription.resume();
  expect(await inside(({ position }) => subscription.caughtUpTo(position - 1))).toBe('done');

  const names = ['one', 'two'];
  const outcomes: unknown[] = [];
  const begun = names.map(() => Promise.withResolvers<void>());
  const subscriptions: Subscription[] = names.map((name, i) =>
    runtime.subscribe({
      name,
      from: 'now',
      async handle() {
        if (outcomes.length > 0) return;
        begun[i]!.resolve();
        await begun[1 - i]!.promise;
        outcomes.push(await outcomeOf(subscriptions[1 - i]!.pause()));
      },
    }),
  );
  const receipt = await runtime.ref(Counter, 'both').add(1);
  await Promise.all(subscriptions.map((one) => one.caughtUpTo(receipt)));
  expect(outcomes).toHaveLength(2);
  expect(outcomes).toContainEqual(
    expect.objectContaining({
      code: 'WaitsForItself',
      message: expect.stringMatching(
        /^pause\(\) of '(one|two)' within handler '(one|two)' waits for .*, which waits for /,
      ),
    }),
  );
});

test('the commit of a unit of work does not wait for what it holds itself', async () => {
  const runtime = await startRuntime();
  const commit = (id: string, inCommit: () => Promise<unknown>): Promise<unknown> => {
    const unit = runtime.unitOfWork({ transaction: { commit: async () => void (await inCommit()), rollback() {} } });
    unit.register(account(id));
    return outcomeOf(unit.commit());
  };
  expect(await commit('a', () => runtime.publisher.publish({ ...event, aggregateId: 'other' }))).toBe('done');
  const chain = ['the commit of a unit of work'];
  expect(await commit('c', () => runtime.close())).toEqual(refusal(chain[0]!, chain));
  await runtime.close();
});

/** Turns of the event loop: more than a verdict takes. */
async function turns(runtime: Runtime): Promise<void> {
  for (let i = 0; i < 5; i++) await runtime.ref(Counter, 'elsewhere').total();
}

test('not awaited, in a handler that goes on, none is refused: each ends, and what hangs on it is called', async () => {
  const runtime = await startRuntime();
  const at = await scene(runtime);
  const found: Record<string, unknown> = {};
  const wanted: Record<string, unknown> = {};
  const tryOut = async (door: string, call: Call): Promise<void> => {
    const ended = Array.from({ length: 3 }, () => Promise.withResolvers<string>());
    await at.inside(async (event) => {
      const made = call(at, event);
      made.then(() => ended[0]!.resolve('then'));
      made.finally(() => ended[1]!.resolve('finally'));
      made.catch(() => {}).then(() => ended[2]!.resolve('behind catch'));
      void call(at, event);
      await turns(runtime);
    });
    found[door] = await Promise.all(ended.map(({ promise }) => promise));
    wanted[door] = ['then', 'finally', 'behind catch'];
  };
  for (const [kind, methods] of Object.entries(calls)) {
    for (const [method, call] of Object.entries(methods)) {
      if (typeof call !== 'object') continue;
      await tryOut(`${kind}.${method}`, call.waits);
      await at.subscription.resume();
    }
  }
  await tryOut('Runtime.close', () => runtime.close());
  expect(found).toEqual(wanted);
});

test('an await is found behind callbacks, and its refusal passes through them', async () => {
  const { inside, subscription } = await scene(await startRuntime());
  let finals = 0;
  const awaited: Record<string, () => Promise<unknown>> = {
    one: () => subscription.pause().then(() => 'paused'),
    catch: () => subscription.pause().catch(({ code }) => code),
    both: () =>
      subscription.pause().then(
        () => 'paused',
        ({ code }) => code,
      ),
    finally: () => subscription.pause().finally(() => void finals++),
    'one and finally': () =>
      subscription
        .pause()
        .then(() => 'paused')
        .finally(() => void finals++),
    all: () => Promise.all([subscription.pause()]),
    race: () => Promise.race([subscription.pause()]),
    returned: async () => subscription.pause(),
  };
  const found: Record<string, unknown> = {};
  for (const [how, call] of Object.entries(awaited)) {
    await inside(async () => {
      found[how] = await call().catch((error) => error);
    });
    await subscription.resume();
  }
  const caught = 'WaitsForItself';
  const wanted = Object.fromEntries(Object.keys(awaited).map((how) => [how, itself]));
  expect(found).toEqual({ ...wanted, catch: caught, both: caught });
  expect(finals).toBe(2);
});

test('two handlers that call for each other and await neither call are not refused', async () => {
  const runtime = await startRuntime();
  const begun = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const outcomes: Promise<unknown>[] = [];
  const subscriptions: Subscription[] = ['one', 'two'].map((name, i) =>
    runtime.subscribe({
      name,
      from: 'now',
      async handle() {
        begun[i]!.resolve();
        await begun[1 - i]!.promise;
        outcomes.push(outcomeOf(subscriptions[1 - i]!.pause()));
        await turns(runtime);
      },
    }),
  );
  await Promise.all(subscriptions.map((one) => one.resume()));
  const receipt = await runtime.ref(Counter, 'both').add(1);
  await Promise.all(subscriptions.map((one) => one.caughtUpTo(receipt)));
  expect(await Promise.all(outcomes)).toEqual(['done', 'done']);
});

test('code that is out of time is waited for no longer: its waits refuse nobody, and none of its own is refused', async () => {
  const runtime = await startRuntime();
  const [called, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const [outcome, late] = [Promise.withResolvers<unknown>(), Promise.withResolvers<unknown>()];
  const subscribe = (name: string, handle: () => unknown): Subscription =>
    runtime.subscribe({ name, from: 'now', timeoutMs: name === 'late' ? 100 : 30_000, retry: { attempts: 1 }, handle });
  const waiting = subscribe('waiting', async () => {
    called.resolve();
    await goOn.promise;
    outcome.resolve(await outcomeOf(overdue.pause()));
  });
  const overdue: Subscription = subscribe('late', async () => {
    await called.promise;
    await waiting.pause();
    late.resolve(await outcomeOf(overdue.reset('start')));
  });
  await Promise.all([waiting.resume(), overdue.resume()]);
  await runtime.ref(Counter, 'a').add(1);
  while (overdue.status().deadLetters === 0) await runtime.ref(Counter, 'b').total();
  goOn.resolve();
  expect([await outcome.promise, await late.promise]).toEqual(['done', 'done']);
});

test('an effect that asks for itself and does not await that is not refused', async () => {
  const runtime = await startRuntime();
  let again: Promise<unknown> | undefined;
  const value = await runtime.once('key', async () => {
    again = outcomeOf(runtime.once('key', () => 2));
    await turns(runtime);
    return 1;
  });
  expect([value, await again]).toEqual([1, 'done']);
});

test('an await of what comes of a call is noted once, however long it waits', async () => {
  const code = new RunningCode();
  const noted = vi.spyOn(Running.prototype, 'waitFor');
  const turns = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  };
  for (const of of [(call: Promise<string>) => call, (call: Promise<string>) => call.then((value) => value)]) {
    const { promise: work, resolve } = Promise.withResolvers<string>();
    const running = code.begin('a handler');
    noted.mockClear();
    const ended = running.run(async () => of(awaitedOutside({ running: () => [] }, 'work()', work)));
    await turns();
    expect(noted).toHaveBeenCalledTimes(1);
    resolve('done');
    expect(await ended).toBe('done');
    running.end();
  }
});

test('a bound function on a call is a callback, and no await', async () => {
  const code = new RunningCode();
  const running = code.begin('a handler');
  const { promise: work, resolve } = Promise.withResolvers<string>();
  const heard: string[] = [];
  running.run(() => void awaitedOutside(running, 'work()', work).then(heard.push.bind(heard), heard.push.bind(heard)));
  for (let i = 0; i < 5; i++) await new Promise((done) => setImmediate(done));
  resolve('done');
  await work;
  await new Promise((done) => setImmediate(done));
  expect(heard).toEqual(['done']);
  running.end();
});
