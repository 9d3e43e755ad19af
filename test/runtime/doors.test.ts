// Every public method is listed here, with what it does to options that are misspelt or are none. A method that is added
// and not listed fails the walk, so no door is left without its check.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as trunkline from 'trunkline';
import { AggregateRoot } from 'trunkline';
import * as kafkaEntry from 'trunkline/kafka';
import * as postgresEntry from 'trunkline/postgres';
import * as testingEntry from 'trunkline/testing';
import { expect, test } from 'vitest';
import { Counter } from '../fixtures/counter.ts';
import { startRuntime } from './scratch.ts';

type Door = (subject: any, bad: any) => unknown;
const none = 'takes no options';

const event = { aggregateType: 'account', aggregateId: 'a', type: 'Opened', data: {} };
const handle = (): void => {};
const selected = { handler: 'no-such' };
let count = 0;
const unique = (): string => `n${count++}`;
const rows = (r: any): any => r.project({ name: unique(), into: 'memory', init: handle, apply: handle });

/** By class and method: how bad options come in, or why none can. */
const doors: Record<string, Record<string, Door | typeof none>> = {
  Runtime: {
    start: none,
    ref: none,
    command: (r, bad) => r.command('counter', 'a', 'add', [1], bad),
    state: (r, bad) => r.state(Counter, 'a', bad),
    events: (r, bad) => r.events(bad),
    newId: none,
    unitOfWork: (r, bad) => r.unitOfWork(bad),
    reached: (r, bad) => r.reached('written', bad),
    setFlush: (r, bad) => r.setFlush(bad),
    schedule: (r, bad) => r.schedule('n', bad, handle),
    setPublishing: none, // a record by names of the user's
    status: none,
    close: (r, bad) => r.close(bad),
    subscribe: (r, bad) => r.subscribe({ name: 'n', handle, ...bad }),
    register: (r, bad) => r.register({ handlerName: 'n', handle }, bad),
    project: (r, bad) => r.project({ name: 'n', init: handle, apply: handle, ...bad }),
    replay: (r, bad) => r.replay({ into: handle, ...bad }),
    once: none,
    effect: none,
  },
  Subscriptions: {
    subscribe: (r, bad) => r.subscriptions.subscribe({ name: 'n', handle, ...bad }),
    register: (r, bad) => r.subscriptions.register({ handlerName: 'n', handle }, bad),
    named: none,
    status: none,
    replay: (r, bad) => r.subscriptions.replay({ into: handle, ...bad }),
    forget: (r, bad) => r.subscriptions.forget('no-such', bad),
  },
  Projections: {
    project: (r, bad) => r.projections.project({ name: 'n', init: handle, apply: handle, ...bad }),
    named: none,
  },
  Schedules: { start: (r, bad) => r.schedule('n', bad, handle) },
  PendingTimers: {
    list: (r, bad) => r.timers.list(bad),
    cancel: (r, bad) => r.timers.cancel(bad),
    move: (r, bad) => r.timers.move(bad, new Date()),
  },
  EffectTables: { once: none, get: none, range: (r, bad) => r.effects.range('table', bad) },
  Bus: {
    on: (r, bad) => r.bus.on(Counter, 'Added', handle, bad),
    off: none,
    emit: none,
    wants: none,
    hear: none,
    endTurn: none,
  },
  RuntimeStore: {
    save: (r, bad) => r.store.save([event], bad),
    saveWithTx: none,
    getByAggregate: none,
    getFromVersion: none,
    getByType: (r, bad) => r.store.getByType('Added', bad),
    query: (r, bad) => r.store.query(bad).next(),
    stateAt: (r, bad) => r.store.stateAt(Counter, 'a', bad),
    head: none,
    quarantined: none,
    heads: none,
  },
  EventPublisher: {
    publish: (r, bad) => r.publisher.publish({ ...event, ...bad }),
    publishAsync: none, // as publish; what is refused goes to the logger
    publishBatch: (r, bad) => r.publisher.publishBatch([event], bad),
    save: none, // internal: the store's
    version: none, // internal, as the next two
    fenced: none,
    recover: none,
  },
  UnitOfWork: { register: none, repository: none, before: none, after: none, run: none, rollback: none },
  Subscription: {
    status: none,
    pause: none,
    resume: none,
    reset: none,
    caughtUpTo: (r, bad) => r.subscribe({ name: unique(), handle }).caughtUpTo(0, bad),
    close: none,
  },
  Projection: {
    get: none,
    entries: (r, bad) => rows(r).entries(bad),
    caughtUpTo: (r, bad) => rows(r).caughtUpTo(0, bad),
    rebuild: none,
    status: none,
    close: none,
  },
  DeadLetters: {
    list: (r, bad) => r.deadLetters.list(bad),
    show: none,
    requeue: (r, bad) => r.deadLetters.requeue(selected, bad),
    edit: none,
    discard: (r, bad) => r.deadLetters.discard(selected, bad),
  },
};

/** What are no methods of a user's: internal ones, and JavaScript's own. */
const internal = /^(constructor|toJSON|check\w*|admit\w*|stageOf)$/;

function methodsOf(instance: object): string[] {
  const names = new Set(
    Object.entries(instance).flatMap(([name, value]) => (typeof value === 'function' ? [name] : [])),
  );
  for (let at = Object.getPrototypeOf(instance); at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const name of Object.getOwnPropertyNames(at)) {
      if (typeof Object.getOwnPropertyDescriptor(at, name)!.value === 'function') names.add(name);
    }
  }
  return [...names].filter((name) => !internal.test(name));
}

const source = join(import.meta.dirname, '..', '..', 'src');
function sources(): string {
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  return files.map((file) => readFileSync(join(source, file), 'utf8')).join('\n');
}

async function codeOf(call: () => unknown): Promise<unknown> {
  try {
    await call();
    return 'nothing was refused';
  } catch (error) {
    return (error as { code?: unknown }).code ?? error;
  }
}

test('every public method is listed', async () => {
  const runtime = await startRuntime({ aggregates: [Counter], shards: 1 });
  const { bus, store, publisher, deadLetters, subscriptions, projections, effects } = runtime;
  const parts = [bus, store, publisher, deadLetters, subscriptions, projections, effects, runtime.unitOfWork()];
  for (const instance of [runtime, ...parts]) {
    const { name } = instance.constructor;
    const unlisted = methodsOf(instance).filter((method) => !Object.hasOwn(doors[name] ?? {}, method));
    const isPrivate = (method: string): boolean =>
      new RegExp(`private (?:(?:async )?\\*?${method}\\(|readonly ${method}[:;])`).test(sources());
    expect([name, unlisted.filter((method) => !isPrivate(method))]).toEqual([name, []]);
  }
});

test('every door refuses a misspelt field, and options that are none', async () => {
  const runtime = await startRuntime({ aggregates: [Counter], shards: 1 });
  const before = runtime.status().written;
  const open: unknown[] = [];
  for (const [kind, methods] of Object.entries(doors)) {
    for (const [method, door] of Object.entries(methods)) {
      if (door === none) continue;
      for (const bad of [{ misspelt: 1 }, ...(merges.has(`${kind}.${method}`) ? [] : [null, 'text', 7])]) {
        const code = await codeOf(() => (door as Door)(runtime, bad));
        if (code !== 'InvalidOptions') open.push([kind, method, bad, code]);
      }
    }
  }
  expect(open).toEqual([]);
  expect(runtime.status()).toMatchObject({ state: 'open', written: before });
});

/** Here bad options come inside of others: null or a text spreads to nothing. */
const merges = new Set([
  'Runtime.subscribe',
  'Runtime.project',
  'Runtime.replay',
  'Subscriptions.subscribe',
  'Subscriptions.replay',
  'Projections.project',
  'EventPublisher.publish',
]);

test.each(
  Object.entries({
    trunkline,
    'trunkline/postgres': postgresEntry,
    'trunkline/kafka': kafkaEntry,
    'trunkline/testing': testingEntry,
  }),
)('so do the functions of %s', async (_, entry: any) => {
  const connection = 'postgres://localhost:1/x';
  const functions: Record<string, Door | typeof none> = {
    createRuntime: (own, bad) => own.createRuntime(bad),
    defineAggregate: none, // InvalidDefinition
    defineEntityEvents: none, // InvalidDefinition
    defineProjection: (own, bad) => own.defineProjection({ name: 'n', init: handle, apply: handle, ...bad }),
    event: (own, bad) => own.event(undefined, bad),
    eventReader: (own, bad) => own.eventReader(bad),
    given: (own, bad) => own.given(Counter, [], bad),
    integration: (own, bad) => own.integration(Counter, bad),
    isError: none,
    kafka: (own, bad) => own.kafka({ brokers: ['localhost:1'], ...bad }),
    migrate: (own, bad) => own.migrate({ connection, ...bad }),
    newId: none,
    openEventStore: (own, bad) => own.openEventStore(bad),
    postgres: (own, bad) => own.postgres({ connectionString: connection, ...bad }),
    readArchive: none,
    rehearse: (own, bad) => own.rehearse({ dataDir: '/nowhere', old: [Counter], new: [Counter], ...bad }),
    tailEvents: (own, bad) => own.tailEvents({ connection, ...bad }).next(),
    verifyArchive: none,
    versions: (own, bad) => own.versions(bad),
  };
  const names = Object.keys(entry).filter((name) => /^[a-z]/.test(name) && typeof entry[name] === 'function');
  expect(names.filter((name) => functions[name] === undefined)).toEqual([]);
  expect(names.length).toBeGreaterThan(0);
  for (const name of names) {
    const door = functions[name]!;
    if (door === none) continue;
    expect([name, await codeOf(() => door(entry, { misspelt: 1 }))]).toEqual([name, 'InvalidOptions']);
  }
});

test('classes of entities are values', () => {
  expect(AggregateRoot).toBeDefined();
});
