// What a change of the code breaks, told by the lock file of before: each kind of it, and what is fine.
import { event, versions } from 'trunkline';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { findingLine } from '../../src/schemas/finding.ts';
import { accepted, checked, customer, errors } from './define.ts';

const V1 = z.object({ name: z.string().max(20) });
const V2 = z.object({ given: z.string(), family: z.string() });
const V3 = V2.extend({ title: z.string().optional() });
const split = ({ name }: { name: string }) => ({ given: name, family: name });

const today = customer({ Signed: versions(V1).next(V2, split), Moved: event(z.object({ to: z.string() })) });
const { lock } = accepted(today);

test('the same code breaks nothing; what it has is accepted once', () => {
  expect(accepted(today).added).toEqual([
    'customer.Moved, version 1: is new',
    'customer.Signed, version 1: is new',
    'customer.Signed, version 2: is new',
  ]);
  expect(accepted(today, lock)).toEqual({ lock, broken: [], added: [] });
  expect(checked(today, lock)).toEqual({ errors: [], notes: [] });
});

const Moved = event(z.object({ to: z.string() }));
const code = (Signed: any, more: object = { Moved }) => customer({ Signed, ...more });

describe('is broken', () => {
  test.each<[string, ReturnType<typeof customer>, string[]]>([
    [
      'a published version that takes less',
      code(versions(V1).next(V2.extend({ given: z.string().min(1) }), split as any)),
      [
        'customer.Signed, version 2, $.given: has changed since it was published: its minLength is 1 now',
        expect.stringMatching(
          /^customer.Signed, version 1: .*refused by version 2's validator: given:.*; with \{"name":""\}$/,
        ),
      ],
    ],
    [
      'one that takes more',
      code(versions(V1.extend({ name: z.string().max(40) })).next(V2, split as any)),
      ['customer.Signed, version 1, $.name: has changed since it was published: it takes more than it did'],
    ],
    [
      'one without its validator',
      code(versions(V1).next<z.infer<typeof V2>>(split)),
      ['customer.Signed, version 2: has no JSON Schema any more: it is declared without a validator'],
    ],
    [
      'an event type that is gone',
      code(versions(V1).next(V2, split), {}),
      [expect.stringMatching(/^customer.Moved: the event type is gone from the code/)],
    ],
    [
      'a first version above one that was published',
      code(event(V2, { version: 2 })),
      [
        expect.stringMatching(
          /^customer.Signed, version 1: is gone from the code, and stored events of it cannot be read/,
        ),
      ],
    ],
    [
      'a newest version that is gone',
      code(event(V1)),
      [expect.stringMatching(/^customer.Signed, version 2: is gone from the code, whose newest version is 1/)],
    ],
    ['an aggregate that is gone', [], ['customer: the aggregate is gone from the code']],
    [
      'a version that was not accepted',
      code(
        versions(V1)
          .next(V2, split)
          .next(V3, (old) => old),
      ),
      ['customer.Signed, version 3: is new: run trunkline schemas accept'],
    ],
  ])('%s', (_, changed, found) => {
    expect(errors(changed, lock)).toEqual(found);
  });

  test('a rename that leaves a version of the old name behind', () => {
    const renamed = customer({ Enrolled: event(V2).renamedFrom('Signed'), Moved });
    expect(errors(renamed, lock)).toEqual([
      expect.stringMatching(/^customer.Signed, version 1, \$.*: has changed since it was published/),
      expect.stringMatching(/^customer.Signed, version 1, \$.*: has changed since it was published/),
      expect.stringMatching(/^customer.Signed, version 1, \$.*: has changed since it was published/),
      expect.stringMatching(/^customer.Signed, version 2: is gone from the code, whose newest version is 1/),
      'customer.Signed: is renamed: Enrolled now: run trunkline schemas accept',
      'customer.Enrolled, version 1: is new: run trunkline schemas accept',
    ]);
  });
});

describe('is fine', () => {
  test('another text for the same demands, and annotations', () => {
    const described = V2.describe('a person').extend({ given: z.string().describe('first') });
    const same = {
      type: 'object',
      allOf: [{ properties: { to: { type: 'string' } } }],
      required: ['to'],
      properties: { to: {} },
      additionalProperties: false,
    };
    const standard: any = {
      '~standard': {
        version: 1,
        vendor: 'other',
        validate: (value: unknown) => ({ value }),
        jsonSchema: { output: () => same },
      },
    };
    expect(checked(code(versions(V1).next(described, split), { Moved: event(standard) }), lock)).toEqual({
      errors: [],
      notes: [],
    });
  });

  test('an older version without its validator: the lock keeps its schema, and samples of it run', () => {
    const bare = code(versions<{ name: string }>().next(V2, split));
    expect(errors(bare, lock)).toEqual([]);
    expect(accepted(bare, lock).lock).toEqual(lock);
    expect(
      errors(code(versions<{ name: string }>().next(V2, ({ name }) => ({ given: name[0]!, family: name }))), lock),
    ).toEqual([expect.stringMatching(/^customer.Signed, version 1: .*; with \{"name":""\}$/)]);
  });

  test('what is retired, renamed or split: accepted with a mark, and it stays', () => {
    const next = customer(
      {
        Enrolled: versions(V1).next(V2, split).renamedFrom('Signed').retired(1),
        Street: event(z.object({ street: z.string() })).splitFrom('Moved', ({ to }) => [['Street', { street: to }]]),
      },
      [],
    );
    const { lock: marked, broken, added } = accepted(next, lock);
    expect(broken).toEqual([]);
    expect(added).toEqual([
      'customer.Moved: is split: Street now',
      'customer.Signed, version 1: is retired now',
      'customer.Signed: is renamed: Enrolled now',
      'customer.Enrolled, version 2: is new',
      'customer.Street, version 1: is new',
    ]);
    const events = marked.get('customer')!;
    expect(events.get('Signed')).toMatchObject({ past: 'renamed', now: 'Enrolled' });
    expect(events.get('Signed')!.versions.get(1)).toMatchObject({ isRetired: true });
    expect(events.get('Moved')).toMatchObject({ past: 'split', now: 'Street' });
    expect(errors(next, marked)).toEqual([]);
    // Versions that are retired may go from the code later.
    const later = customer(
      { Enrolled: event(V2, { version: 2 }).renamedFrom('Signed'), Street: event(z.object({ street: z.string() })) },
      ['Moved'],
    );
    expect(errors(later, marked)).toEqual(['customer.Moved: is retired now: run trunkline schemas accept']);
    expect(accepted(later, marked).lock.get('customer')!.get('Moved')!.versions).toEqual(events.get('Moved')!.versions);
  });

  test('what is forced: that event alone', () => {
    const changed = code(event(V2), {});
    const all = accepted(changed, lock).broken;
    expect(
      all.some((line) => line.startsWith('customer.Signed')) && all.some((line) => line.startsWith('customer.Moved')),
    ).toBe(true);
    const forced = accepted(changed, lock, 'customer.Signed');
    expect(forced.broken.every((line) => line.startsWith('customer.Moved'))).toBe(true);
    expect([...forced.lock.get('customer')!.get('Signed')!.versions.keys()]).toEqual([1]);
    expect(errors(changed, accepted(changed, lock, 'customer').lock)).toEqual([]);
    expect(accepted([], lock, 'customer').lock.size).toBe(0);
  });
});

describe('upcasting', () => {
  const old = accepted(customer({ Moved: event(z.object({ to: z.string(), at: z.int().optional() })) })).lock;
  const read = (spec: any, retired: string[] = []) =>
    errors(customer({ Street: spec }, retired), old).filter((one) => !one.includes('accept'));

  test.each<[string, any, RegExp]>([
    [
      'throws at an empty text',
      (to: any) => {
        if (to.to === '') throw new Error('empty');
        return { street: to.to };
      },
      /has thrown: empty; with \{"to":""/,
    ],
    [
      'gives what is refused',
      ({ at = 2 }: any) => ({ street: at }),
      /validator: street: .*received number; with \{"to":"a","at":1\}$/,
    ],
    ['gives a promise', async ({ to }: any) => ({ street: to }), /returns a promise/],
    ['gives nothing', () => undefined, /what has become of it/],
    ['is not pure', ({ to }: any) => ({ street: to + Math.random() }), /another thing each time/],
    [
      'changes what is stored',
      (old: any) => {
        old.street = old.to;
        return old;
      },
      /has thrown: .*extensible/,
    ],
  ])('of an upcaster that %s', (_, up, reason) => {
    const spec = versions<any>()
      .next(z.object({ street: z.string() }), up)
      .renamedFrom('Moved');
    const found = read(spec);
    expect(found).toEqual([expect.stringMatching(reason)]);
    expect(found[0]).toMatch(/^customer.Moved, version 1: /);
  });

  test('of a split, by what the lock has of the old event type', () => {
    const street = event(z.object({ street: z.string().min(1) }));
    expect(read(street.splitFrom('Moved', ({ to }: any) => [['Street', { street: to }]]))).toEqual([
      expect.stringMatching(/^customer.Moved, version 1: .*street.*; with \{"to":""/),
    ]);
    expect(read(street.splitFrom('Moved', ({ to }: any) => (to === '' ? [] : [['Street', { street: to }]])))).toEqual(
      [],
    );
    expect(read(street.splitFrom('Moved', () => [['Nowhere', {}]]))).toEqual([
      expect.stringMatching(/names 'Nowhere'/),
    ]);
  });

  test('runs nothing of what is retired', () => {
    expect(read(event(z.object({ street: z.string() })), ['Moved'])).toEqual([]);
  });
});

describe('notes', () => {
  const notes = (spec: any) => {
    const given = customer({ Seen: spec });
    return checked(given, accepted(given).lock).notes.map(findingLine);
  };
  const standard = (schema: object): any => ({
    '~standard': {
      version: 1,
      vendor: 'other',
      validate: (value: unknown) => ({ value }),
      jsonSchema: { input: () => schema, output: () => schema },
    },
  });

  test('a validator without JSON Schema is named, and stands in the lock file with its reason', () => {
    expect(notes(event(z.object({ at: z.date() })))).toEqual([
      expect.stringMatching(/^customer.Seen, version 1: not checked: its validator \(zod\) cannot tell/),
    ]);
    expect(notes(event<Record<string, never>>())).toEqual([
      'customer.Seen, version 1: not checked: it is declared without a validator',
    ]);
    const version = accepted(customer({ Seen: event<Record<string, never>>() }))
      .lock.get('customer')!
      .get('Seen')!
      .versions.get(1);
    expect(version).toEqual({ reason: 'it is declared without a validator', isRetired: false });
  });

  test('what is retired is not named', () => {
    const bare = versions<{ a: string }>().next(z.object({ a: z.string() }), (old) => old);
    const { lock: before } = accepted(customer({ Seen: bare }));
    expect(checked(customer({ Seen: bare }), before).notes).toHaveLength(1);
    const retired = customer({ Seen: bare.retired(1) });
    expect(checked(retired, accepted(retired, before).lock)).toEqual({ errors: [], notes: [] });
  });

  test('a version that has a JSON Schema now is accepted', () => {
    const bare = accepted(customer({ Seen: event<{ a: string }>() })).lock;
    expect(errors(customer({ Seen: event(z.object({ a: z.string() })) }), bare)).toEqual([
      'customer.Seen, version 1: has a JSON Schema now: run trunkline schemas accept',
    ]);
  });

  test('open objects', () => {
    const inner = { type: 'object', properties: { b: {} } };
    expect(
      notes(
        event(
          standard({ type: 'object', properties: { a: { type: 'array', items: inner } }, additionalProperties: false }),
        ),
      ),
    ).toEqual([expect.stringMatching(/^customer.Seen, version 1, \$\.a\[\*\]: its objects are open/)]);
    expect(notes(event(z.object({ a: z.record(z.string(), z.number()) })))).toEqual([]);
    expect(notes(event(z.looseObject({ a: z.string() })))).toEqual([
      expect.stringMatching(/version 1, \$: its objects are open/),
    ]);
  });

  test('a schema of which no sample can be made', () => {
    const hard = standard({
      type: 'object',
      properties: { a: { type: 'string', pattern: '(?=x)y?' } },
      required: ['a'],
      additionalProperties: false,
    });
    expect(notes(versions(hard).next(z.object({}), () => ({})))).toEqual([
      expect.stringMatching(/^customer.Seen, version 1: no sample/),
    ]);
  });
});
