// Versions and names of an event: what a declaration takes, how an older payload becomes one of today, and what is refused.
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  defineAggregate,
  event,
  openEventStore,
  postgres,
  type StoredEvent,
  TrunklineError,
  versions,
} from '../../src/index.ts';
import { eventOf } from '../../src/model/event.ts';
import { Evolution, evolutionOf, type ReadEvent } from '../../src/model/evolution.ts';
import { eventsToday } from '../../src/model/evolved-event.ts';

const told = {
  eventId: '0190a1b2-0000-7000-8000-000000000000',
  aggregateType: 'order',
  aggregateId: 'o1',
  version: 3,
  position: 17,
};
const place = { id: told.eventId, ...told };

const definition = (events: Record<string, any>, retired?: string[]): any =>
  defineAggregate('order', {
    module: import.meta.url,
    state: () => ({}),
    events,
    evolve: Object.fromEntries(Object.keys(events).map((type) => [type, (state: unknown) => state])) as any,
    commands: {},
    retired,
  });

/** A payload of that version and name, read by today's declarations. */
function read(events: Record<string, any>, name: string, schemaVersion: number, data: unknown): unknown {
  const evolution = evolutionOf(definition(events));
  const known = evolution.names.get(name)!;
  if (known.kind === 'event') return evolution.upcast(name, known.spec, schemaVersion, data, place);
  if (known.kind === 'retired') return undefined;
  return evolution.split(known, schemaVersion, data, place).map(({ type, data }: ReadEvent) => [type, data]);
}

function errorOf(act: () => unknown): TrunklineError {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(TrunklineError);
    return error as TrunklineError;
  }
  throw new Error('nothing was thrown');
}

describe('a chain of versions', () => {
  const chain = versions<{ a: number }>()
    .next<{ a: number; b: number }>((old) => ({ ...old, b: old.a + 1 }))
    .next<{ a: number; b: number; c: number }>((old) => ({ ...old, c: old.b + 1 }));

  test('goes from any version to the newest, and leaves the newest as it is', () => {
    expect(chain.schemaVersion).toBe(3);
    expect(read({ E: chain }, 'E', 1, { a: 1 })).toEqual({ a: 1, b: 2, c: 3 });
    expect(read({ E: chain }, 'E', 2, { a: 1, b: 7 })).toEqual({ a: 1, b: 7, c: 8 });
    const newest = { a: 1, b: 1, c: 1 };
    expect(read({ E: chain }, 'E', 3, newest)).toBe(newest);
  });

  test('leads down as well, each step by its own function', () => {
    const both = versions<{ a: number }>()
      .next<{ b: string }>(({ a }) => ({ b: `${a}` }), { down: ({ b }) => ({ a: Number(b) }) })
      .next<{ c: string[] }>(({ b }) => ({ c: [b] }), { down: ({ c }) => ({ b: c[0]! }) })
      .next<{ d: string }>(({ c }) => ({ d: c.join() }), { down: ({ d }) => ({ c: d.split(',') }) });
    const payloads = [{ a: 1 }, { b: '1' }, { c: ['1'] }, { d: '1' }];
    const evolution = evolutionOf(definition({ E: both }));
    for (const [from, given] of payloads.entries()) {
      for (const [to, expected] of payloads.entries()) {
        expect(evolution.convert('E', both, [from + 1, to + 1], given, place)).toEqual(expected);
      }
    }
  });

  test('is immutable: each method returns a new declaration', () => {
    const first = versions<{ a: number }>();
    first.next<{ a: number; b: number }>((old) => ({ ...old, b: 0 }));
    first.renamedFrom('Old');
    expect(first.schemaVersion).toBe(1);
    expect(first.past.names).toEqual([]);
  });

  test('may begin above 1: then older ones cannot be read', () => {
    const later = event<{ a: number }>(undefined, { version: 4 }).next<{ a: string }>(({ a }) => ({ a: String(a) }));
    expect(read({ E: later }, 'E', 4, { a: 1 })).toEqual({ a: '1' });
    expect(errorOf(() => read({ E: later }, 'E', 3, {}))).toMatchObject({
      code: 'UnsupportedEventVersion',
      details: { ...told, eventType: 'E', schemaVersion: 3, known: [4, 5] },
    });
  });

  test('a newer version than this code, and one that is retired, are refused with what is known', () => {
    const refused = { code: 'UnsupportedEventVersion', details: { schemaVersion: 4, known: [1, 3] } };
    expect(errorOf(() => read({ E: chain }, 'E', 4, {}))).toMatchObject(refused);
    expect(errorOf(() => read({ E: chain.retired(2) }, 'E', 2, {})).details).toMatchObject({ known: [3, 3] });
  });

  test('carries what JSON carries: a Date is its text, and what is undefined is left out', () => {
    const dated = versions<{ at: number }>().next<{ at: string }>(
      ({ at }) => ({ at: new Date(at), gone: undefined }) as never,
    );
    expect(read({ E: dated }, 'E', 1, { at: 0 })).toEqual({ at: '1970-01-01T00:00:00.000Z' });
  });
});

describe('an upcaster that does not do its work', () => {
  const first = versions<{ a: number }>();
  const schema = z.object({ a: z.string() });
  test.each([
    ['throws', first.next((): any => (undefined as any).x), /version 2 has thrown: .*undefined/],
    ['returns nothing', first.next((() => undefined) as never), /is undefined/],
    ['returns a promise', first.next((async () => ({})) as never), /version 2 returns a promise/],
    ['rejects', first.next((async () => Promise.reject(new Error('no'))) as never), /returns a promise/],
    ['returns what JSON cannot carry', first.next((() => ({ a: 1n })) as never), /bigint/],
    [
      'returns what is none of its schema',
      first.next(schema, ((old: any) => old) as never),
      /refused by .* validator: .*string/,
    ],
  ] as const)('%s: UpcastFailed, which names the event', (_, spec, reason) => {
    const error = errorOf(() => read({ E: spec }, 'E', 1, { a: 1 }));
    expect(error).toMatchObject({ code: 'UpcastFailed', details: { ...told, eventType: 'E', schemaVersion: 1 } });
    expect((error.details as { reason: string }).reason).toMatch(reason);
  });

  test('a validator that transforms cannot judge what readers see, and is not asked', () => {
    const transforming = z.object({ a: z.string().transform(Number) });
    expect(read({ E: first.next(transforming, (old) => old) }, 'E', 1, { a: 1 })).toEqual({ a: 1 });
  });

  test('one that fills in what is missing judges', () => {
    const filling = z.object({ a: z.number(), b: z.string().default('x') });
    expect(read({ E: first.next(filling, (old) => ({ ...old, b: 'y' })) }, 'E', 1, { a: 1 })).toEqual({ a: 1, b: 'y' });
    expect(errorOf(() => read({ E: first.next(filling, () => ({ a: 'no' }) as never) }, 'E', 1, { a: 1 })).code).toBe(
      'UpcastFailed',
    );
  });
});

test('what is declared is kept: two renamings, the way down, the place of a split in its chain', () => {
  const down = ({ b }: { b: number }): { a: number } => ({ a: b });
  const spec = versions<{ a: number }>()
    .renamedFrom('One')
    .next<{ b: number }>(({ a }) => ({ b: a }), { down })
    .renamedFrom('Two')
    .splitFrom('Three', () => []);
  expect(spec.past.names).toEqual(['One', 'Two']);
  expect(spec.past.steps[1]!.down).toBe(down);
  expect(spec.past.splits[0]!.schemaVersion).toBe(2);
});

test('a validator that says nothing of itself, or answers later, judges no upcast', () => {
  const standard = { version: 1, vendor: 'own', validate: () => ({ issues: [{ message: 'never' }] }) } as const;
  const first = versions<{ a: number }>();
  expect(read({ E: first.next({ '~standard': standard } as never, (old) => old as never) }, 'E', 1, { a: 1 })).toEqual({
    a: 1,
  });
  const jsonSchema = { input: () => ({}), output: () => ({}) };
  const later = { ...standard, jsonSchema, validate: () => Promise.reject(new Error('late')) };
  expect(read({ E: first.next({ '~standard': later } as never, (old) => old as never) }, 'E', 1, { a: 1 })).toEqual({
    a: 1,
  });
});

describe('names of the past', () => {
  test('a renamed event keeps its versions', () => {
    const renamed = versions<{ a: number }>()
      .renamedFrom('Before', 'LongBefore')
      .next<{ b: number }>(({ a }) => ({ b: a }));
    for (const name of ['E', 'Before', 'LongBefore']) expect(read({ E: renamed }, name, 1, { a: 1 })).toEqual({ b: 1 });
  });

  test('a split event: parts are of the version in which they were declared, and go on from there', () => {
    const events = {
      Address: versions<{ street: string }>()
        .splitFrom('Contact', ({ street, phone }) => [
          ['Address', { street }],
          ['Phone', { phone }],
          ['Phone', { number: phone }, 2],
        ])
        .next<{ lines: readonly string[] }>(({ street }) => ({ lines: [street] })),
      Phone: versions<{ phone: string }>().next<{ number: string }>(({ phone }) => ({ number: phone })),
    };
    expect(read(events, 'Contact', 1, { street: 's', phone: '5' })).toEqual([
      ['Address', { lines: ['s'] }],
      ['Phone', { number: '5' }],
      ['Phone', { number: '5' }],
    ]);
  });

  test('a split event with versions of its own comes as its newest one; none, and another type alone, are allowed', () => {
    const contact = versions<{ s: string }>().next<{ street: string }>(({ s }) => ({ street: s }));
    const events = {
      Address: event<{ street: string }>().splitFrom('Contact', contact, (old, version) => [
        ['Address', { street: old.street + version }],
      ]),
      Other: event<{ x: number }>()
        .splitFrom('Nothing', () => [])
        .splitFrom('Else', () => [['Address', { street: 'x' }]]),
    };
    expect(read(events, 'Contact', 1, { s: 'a' })).toEqual([['Address', { street: 'a2' }]]);
    expect(read(events, 'Nothing', 1, {})).toEqual([]);
    expect(read(events, 'Else', 1, {})).toEqual([['Address', { street: 'x' }]]);
  });

  test.each([
    [
      'throws',
      () => {
        throw new Error('no street');
      },
      /has thrown: .*no street/,
    ],
    ['returns nothing', () => undefined, /list of \[type, data\]/],
    ['returns no pairs', () => ['Address'], /list of \[type, data\]/],
    ['names a type that is not there', () => [['Adress', {}]], /'Adress', which is no event/],
    ['has a part that JSON cannot carry', () => [['Address', { street: 1n }]], /its part Address: .*bigint/],
    ['has a part of an unknown version', () => [['Address', {}, 9]], /UnsupportedEventVersion|version/],
  ])('a split that %s: a typed error, which names the event', (_, split, reason) => {
    const events = { Address: event<{ street: string }>().splitFrom('Contact', split as never) };
    const error = errorOf(() => read(events, 'Contact', 1, {}));
    expect(['UpcastFailed', 'UnsupportedEventVersion']).toContain(error.code);
    expect(error.details).toMatchObject(told);
    expect(error.message).toMatch(reason);
  });

  test.each([
    ['two events', { A: event().renamedFrom('X'), B: event().renamedFrom('X') }, []],
    ['an event of today', { A: event().renamedFrom('B'), B: event() }, []],
    [
      'a split event',
      {
        A: event()
          .renamedFrom('X')
          .splitFrom('X', () => []),
      },
      [],
    ],
    ['what is retired', { A: event().renamedFrom('X') }, ['X']],
    ['what is retired, itself', { A: event() }, ['X', 'X']],
    ['what is retired and raised', { A: event() }, ['A']],
  ])('a name that %s claims as well is refused', (_, events, retired) => {
    const error = errorOf(() => definition(events, retired));
    expect(error.code).toBe('InvalidDefinition');
    expect(error.message).toMatch(/claimed twice/);
  });
});

test.each([
  ['no function', () => versions().next(undefined as never)],
  ['a validator alone', () => versions().next(z.object({}) as never)],
  ['a misspelt setting', () => versions().next((old) => old, { dwon: () => ({}) } as never)],
  ['a down that is none', () => versions().next((old) => old, { down: {} as never })],
  ['a version beyond the last', () => event(undefined, { version: 65535 }).next((old) => old)],
  ['an empty name', () => event().renamedFrom('')],
  ['a name that is none', () => event().renamedFrom(1 as never)],
  ['a split of no name', () => event().splitFrom('', () => [])],
  ['to be renamed from nothing', () => event().renamedFrom()],
  ['a split of a declaration with former names', () => event().splitFrom('X', event().renamedFrom('Y'), () => [])],
  ['a split without a function', () => event().splitFrom('X', undefined as never)],
  ['a split of no declaration', () => event().splitFrom('X', {} as never, () => [])],
  ['to retire the newest version', () => versions().retired(1)],
  [
    'to retire twice',
    () =>
      versions()
        .next((old) => old)
        .next((old) => old)
        .retired(2)
        .retired(1),
  ],
])('%s is refused at once', (_, act) => {
  expect(errorOf(act).code).toBe('InvalidOptions');
});

test.each([
  ['a misspelt field', { aggregate: [] }],
  ['no definitions', { aggregates: ['order'] }],
  ['no list', { aggregates: {} }],
])('a store that is opened for reading with %s is refused before it is asked', async (_, reading) => {
  const store = postgres({ connectionString: 'postgres://localhost:1/x' });
  await expect(openEventStore(store, reading as never)).rejects.toMatchObject({ code: 'InvalidOptions' });
});

test('parts of an event of a renamed aggregate have its name of today', () => {
  const Contact = defineAggregate('contact', {
    module: import.meta.url,
    renamedFrom: ['person'],
    state: () => ({}),
    events: {
      Named: event<{ name: string }>().splitFrom('Met', (old) => [
        ['Named', old],
        ['Named', old],
      ]),
    },
    evolve: { Named: (state) => state },
    commands: {},
  });
  const place = { id: '0190a5a5-0000-7000-8000-000000000000', position: 1, aggregateId: 'p', version: 1, metadata: {} };
  const met = { ...place, aggregateType: 'person', type: 'Met', schemaVersion: 1, data: { name: 'Ada' } };
  const parts = eventsToday(
    [eventOf({ ...met, occurredAt: new Date(0) }) as unknown as StoredEvent],
    new Evolution([Contact]),
  );
  expect(parts.map(({ aggregateType, type }) => [aggregateType, type])).toEqual(Array(2).fill(['contact', 'Named']));
});
