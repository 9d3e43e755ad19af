// Names, parts and versions at the doors where a mistake would lose or double something: filters over several aggregates, handlers
// in threads of their own, projections, letters, iteration, snapshots, integration events.
import { expect, test } from 'vitest';
import { Integrations } from '../../src/adapters/kafka/integrations.ts';
import { createRuntime, defineAggregate, event, type StoredEvent, versions } from '../../src/index.ts';
import { integration } from '../../src/kafka.ts';
import { eventOf } from '../../src/model/event.ts';
import { Evolution } from '../../src/model/evolution.ts';
import { reducerFingerprint } from '../../src/shard/evolve.ts';
import { all, errorOf, scratchFolder, startRuntime } from '../runtime/scratch.ts';
import { Order as Broken } from './broken-release.ts';
import { Account, Person } from './people.ts';
import { Account as AccountBefore, Person as PersonBefore } from './people-before.ts';
import { Order as First } from './release-1.ts';

/** What the release before has written of both. */
async function before(): Promise<string> {
  const dataDir = scratchFolder();
  const runtime = await createRuntime({ logger: false, dataDir, aggregates: [PersonBefore, AccountBefore], shards: 1 });
  await runtime.ref(PersonBefore, 'p').register('Ada');
  await runtime.ref(AccountBefore, 'a').register('Bob');
  await runtime.ref(AccountBefore, 'a').signUp('Bob');
  await runtime.ref(PersonBefore, 'p').move('Main Street', '555');
  await runtime.close();
  return dataDir;
}

const shown = (events: readonly StoredEvent[]): string[] => events.map((one) => `${one.aggregateId} ${one.type}`);

test('a name means what it means in its own aggregate', async () => {
  const runtime = await startRuntime({ dataDir: await before(), aggregates: [Person, Account], shards: 1 });
  const registered = ['p SignedUp', 'a Registered'];
  expect(shown(await all(runtime.events({ type: 'Registered' })))).toEqual(registered);
  expect(shown(await runtime.store.getByType('Registered'))).toEqual(registered);
  expect(shown(await runtime.store.getByType('SignedUp'))).toEqual(['p SignedUp', 'a SignedUp']);
  const seen: StoredEvent[] = [];
  const handler = runtime.subscribe({
    name: 'accounts',
    aggregates: [Account],
    events: ['Registered'],
    handle: (one: StoredEvent) => void seen.push(one),
  });
  await handler.caughtUpTo(runtime.status().written);
  expect(shown(seen)).toEqual(['a Registered']);
});

test('a name that another aggregate uses for something else finds none of its events, by no reader of the history', async () => {
  const runtime = await startRuntime({ dataDir: await before(), aggregates: [Person, Account], shards: 1 });
  const seen: StoredEvent[] = [];
  const handle = (one: StoredEvent): void => void seen.push(one);
  const everything = runtime.subscribe({ name: 'everything', handle });
  await everything.caughtUpTo(runtime.status().written);
  const taken = (): string[] => shown(seen.splice(0));
  expect(taken()).toEqual(['p SignedUp', 'a Registered', 'a SignedUp', 'p AddressGiven', 'p PhoneGiven']);
  const wanted: [types: string[], found: string[], whole?: string[]][] = [
    [['SignedUp'], ['p SignedUp', 'a SignedUp']],
    [['Noted'], []],
    [['AddressGiven'], ['p AddressGiven'], ['p AddressGiven', 'p PhoneGiven']],
  ];
  for (const [types, found, whole = found] of wanted) {
    for (const pageSize of [1, 1000]) {
      expect(shown(await all(runtime.events({ types, pageSize })))).toEqual(found);
      expect(shown(await all(runtime.store.query({ types, pageSize })))).toEqual(found);
    }
    await runtime.replay({ types, into: handle });
    expect(taken()).toEqual(found);
    await runtime.replay({ types, into: 'everything' });
    expect(taken()).toEqual(whole);
    expect(await runtime.replay({ types, into: handle, dryRun: true })).toMatchObject({ events: found.length });
    const handler = runtime.subscribe({ name: `some-${types}`, events: types, handle });
    await handler.caughtUpTo(runtime.status().written);
    expect(taken()).toEqual(found);
    const rows = runtime.project({
      name: `rows-${types}`,
      into: 'memory',
      events: types,
      init: () => ({ n: 0 }),
      apply: ({ n }) => ({ n: n + 1 }),
    });
    await rows.caughtUpTo(runtime.status().written);
    expect((await rows.entries()).map(({ key, row }) => `${key} ${row.n}`)).toEqual(
      [...new Set(found.map((one) => one[0]!))].sort().map((key) => `${key} 1`),
    );
  }
});

test('letters are chosen by the names of their own aggregates, and by the parts that a split has', async () => {
  const runtime = await startRuntime({ dataDir: await before(), aggregates: [Person, Account], shards: 1 });
  const handler = runtime.subscribe({
    name: 'fails',
    onExhausted: 'park-event',
    retry: { attempts: 1 },
    handle: () => {
      throw new Error('no');
    },
  });
  await handler.caughtUpTo(runtime.status().written);
  const found = async (type: string): Promise<string[]> =>
    (await runtime.deadLetters.list({ type })).map(({ event: one }) => `${one.aggregateId} ${one.type}`);
  expect(await found('Registered')).toEqual(['a Registered', 'p SignedUp']);
  expect(await found('SignedUp')).toEqual(['a SignedUp', 'p SignedUp']);
  expect(await found('PhoneGiven')).toEqual(['p Moved']);
  expect(await found('Noted')).toEqual([]);
  expect(await runtime.deadLetters.discard({ type: 'Noted' })).toEqual([]);
  expect((await runtime.deadLetters.list()).length).toBe(4);
});

test('a thread of the handler’s own is handed what can be read; what cannot is a dead letter, and holds nothing up', async () => {
  const dataDir = scratchFolder();
  const first = await startRuntime({ dataDir, aggregates: [First], shards: 1 });
  for (const [id, total] of [
    ['good', '5'],
    ['bad', 'five'],
    ['later', '7'],
  ] as const)
    await first.ref(First, id).create(total);
  await first.close();
  const runtime = await startRuntime({ dataDir, aggregates: [Broken], shards: 1 });
  const handler = runtime.subscribe({
    name: 'away',
    thread: 'worker',
    module: new URL('./counts-calls.ts', import.meta.url).href,
    retry: { attempts: 2, minDelayMs: 1 },
  });
  await handler.caughtUpTo(runtime.status().written);
  const letters = await runtime.deadLetters.list();
  expect(letters).toMatchObject([{ event: { aggregateId: 'bad' }, attempts: 2, error: { code: 'UpcastFailed' } }]);
});

test('a condition that throws is a failed attempt in a thread of the handler’s own, too', async () => {
  const runtime = await startRuntime({ aggregates: [First], shards: 1 });
  const handler = runtime.subscribe({
    name: 'away',
    thread: 'worker',
    module: new URL('./counts-calls.ts', import.meta.url).href,
    retry: { attempts: 1 },
    where: () => {
      throw new Error('no condition');
    },
  });
  const { position } = await runtime.ref(First, 'a').create('1');
  await handler.caughtUpTo(position);
  expect(await runtime.deadLetters.list()).toMatchObject([{ error: { message: 'no condition' } }]);
});

test.each(['lmdb', 'memory'] as const)(
  'a projection into %s folds the parts of an event as one, once',
  async (into) => {
    const runtime = await startRuntime({ dataDir: await before(), aggregates: [Person, Account], shards: 1 });
    let failures = 2;
    const rows = runtime.project({
      name: 'counts',
      into,
      aggregates: [Person],
      init: () => ({ addresses: 0, phones: 0 }),
      apply: (row, one) => {
        if (one.type === 'PhoneGiven' && failures-- > 0) throw new Error('not yet');
        if (one.type === 'AddressGiven') return { ...row, addresses: row.addresses + 1 };
        return one.type === 'PhoneGiven' ? { ...row, phones: row.phones + 1 } : row;
      },
    });
    await rows.caughtUpTo(runtime.status().written);
    expect(await rows.get('p')).toEqual({ addresses: 1, phones: 1 });
  },
);

test('a batch gets the parts that its condition lets pass', async () => {
  const runtime = await startRuntime({ dataDir: await before(), aggregates: [Person, Account], shards: 1 });
  const seen: StoredEvent[] = [];
  const handler = runtime.subscribe({
    name: 'phones',
    batch: { max: 10 },
    where: (one) => one.type === 'PhoneGiven',
    handle: (events) => void seen.push(...events),
  });
  await handler.caughtUpTo(runtime.status().written);
  expect(shown(seen)).toEqual(['p PhoneGiven']);
});

test('what is read before a split that throws is given, and a limit counts what is given', async () => {
  const dataDir = scratchFolder();
  const first = await startRuntime({ dataDir, aggregates: [First], shards: 1 });
  await first.ref(First, 'a').create('1');
  await first.ref(First, 'a').add('x');
  await first.ref(First, 'b').reach(7 as never, '5');
  for (let i = 0; i < 4; i++) await first.ref(First, 'c').redeem('SPRING');
  await first.ref(First, 'c').add('y');
  await first.close();
  const runtime = await startRuntime({ dataDir, aggregates: [Broken], shards: 1 });
  const seen: string[] = [];
  const iterate = async (): Promise<void> => {
    for await (const one of runtime.events()) seen.push(one.type);
  };
  expect(await errorOf(iterate())).toMatchObject({ code: 'UpcastFailed', details: { aggregateId: 'b' } });
  expect(seen).toEqual(['OrderCreated', 'LineAdded']);
  const events = await runtime.store.getFromVersion(Broken, 'c', 1, 1);
  expect(events.map(({ version, type }) => [version, type])).toEqual([[5, 'LineAdded']]);
});

test('a part has one id, in states and in readings; an upcaster that changes its argument fails in both', async () => {
  const runtime = await startRuntime({ dataDir: await before(), aggregates: [Person, Account], shards: 1 });
  const { state } = (await runtime.state(Person, 'p'))!;
  const events = await runtime.store.getByAggregate(Person, 'p');
  expect(state.ids).toEqual(events.map(({ id }) => id));
  expect((await runtime.store.stateAt(Person, 'p', { version: 2 }))!.state).toEqual(state);
  expect(await errorOf(runtime.ref(Account, 'a').count())).toMatchObject({ code: 'UpcastFailed' });
  const [one] = await runtime.store.getByAggregate(Account, 'a');
  expect(() => one!.data).toThrow(expect.objectContaining({ code: 'UpcastFailed' }));
});

test('a snapshot is left aside when whatever reads its events has changed', () => {
  const make = (events: Record<string, any>, retired?: string[]): string =>
    reducerFingerprint(
      defineAggregate('x', {
        module: import.meta.url,
        state: () => ({}),
        events,
        evolve: Object.fromEntries(Object.keys(events).map((type) => [type, (state: unknown) => state])) as any,
        commands: {},
        retired,
      }) as never,
    );
  const chain = (up: (old: any) => any) => versions<any>().next<any>(up);
  const split = (): [] => [];
  const fingerprints = [
    make({ E: event() }),
    make({ E: chain((old) => old) }),
    make({ E: chain((old) => ({ ...old })) }),
    make({ E: event().renamedFrom('F') }),
    make({ E: event().splitFrom('F', split) }),
    make({
      E: event().splitFrom(
        'F',
        chain((old) => old),
        split,
      ),
    }),
    make({
      E: event().splitFrom(
        'F',
        chain((old) => ({ ...old })),
        split,
      ),
    }),
    make({ E: chain((old) => old).splitFrom('F', split) }),
    make({
      E: versions<any>()
        .splitFrom('F', split)
        .next<any>((old) => old),
    }),
    make({ E: event() }, ['F']),
  ];
  expect(new Set(fingerprints).size).toBe(fingerprints.length);
});

test('a filter that has learned a former name says what it has skipped; one that follows an event says nothing', async () => {
  const { compareFilter } = await import('../../src/subscriptions/widened.ts');
  const definition = (spec: object): any => ({ name: 'x', events: { Sent: spec }, retired: [] });
  const compared = async (before: any, now: any): Promise<unknown[]> => {
    const told: unknown[] = [];
    const kept = new Map<string, string>();
    const state = {
      json: async (_: string, key: string) => kept.get(key),
      broken: { parse: (_: string, __: string, json: string) => JSON.parse(json) },
      stage: (_: string, key: string, value: unknown) => void kept.set(key, JSON.stringify(value)),
    };
    for (const [types, definition] of [before, now]) {
      const evolution = new Evolution([definition]);
      const settings = { name: 'h', evolution, wanted: evolution.names(types, undefined), aggregates: undefined };
      await compareFilter(settings as never, state as never, 5, (details) => told.push(details.types));
    }
    return told;
  };
  const plain = definition(event());
  expect(await compared([['Sent'], plain], [['Sent'], definition(event().renamedFrom('Shipped'))])).toEqual([
    ['Shipped'],
  ]);
  expect(await compared([['Shipped'], plain], [['Sent'], definition(event().renamedFrom('Shipped'))])).toEqual([]);
  expect(await compared([['Shipped'], plain], [['Sent'], definition(event().splitFrom('Shipped', () => []))])).toEqual(
    [],
  );
  expect(await compared([['Sent'], plain], [['Sent', 'Other'], plain])).toEqual([['Other']]);
});

test('an integration mapping gets what was stored by an earlier release as it is today', () => {
  const stored = (type: string, data: unknown): StoredEvent =>
    eventOf({
      id: '0190aaaa-0000-7000-8000-000000000001',
      position: 3,
      aggregateType: 'person',
      aggregateId: 'p',
      version: 1,
      type,
      schemaVersion: 1,
      occurredAt: new Date(0),
      data,
      metadata: {},
    }) as unknown as StoredEvent;
  const mapped: unknown[] = [];
  const note = ({ type, data }: StoredEvent): undefined => void mapped.push([type, data]);
  const integrations = new Integrations([integration(Person, { SignedUp: note, PhoneGiven: note })]);
  integrations.map('person', [stored('Registered', { name: 'Ada' }), stored('Moved', { street: 's', phone: '5' })]);
  expect(mapped).toEqual([
    ['SignedUp', { given: 'Ada' }],
    ['PhoneGiven', { phone: '5' }],
  ]);
});
