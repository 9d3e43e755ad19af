// An aggregate type under a new name: the lock file knows it by the stored one, so all that was accepted still counts.
import { event, versions } from 'trunkline';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { findingLine } from '../../src/schemas/finding.ts';
import { accepted, checked, errors, named } from './define.ts';

const V1 = z.object({ items: z.number() });
const V2 = z.object({ items: z.string() });
const Filled = event(V1);
const { lock } = accepted(named(['basket'], { Filled }));
const cart = (spec: any): ReturnType<typeof named> => named(['cart', 'basket'], spec);
const throwing = (): never => {
  throw new Error('never works');
};

test('the same code: nothing has changed, under one new name or two', () => {
  for (const code of [cart({ Filled }), named(['trolley', 'basket', 'cart'], { Filled })]) {
    expect(errors(code, lock, 'FULL_TRANSITIVE')).toEqual([]);
    expect(accepted(code, lock)).toEqual({ lock, broken: [], added: [] });
  }
  expect([...accepted(cart({ Filled })).lock.keys()]).toEqual(['basket']);
});

test('what changes in the same commit is found', () => {
  expect(errors(cart({ Filled: event(V2) }), lock)).toEqual([
    expect.stringMatching(/^cart.Filled, version 1, \$.items: has changed since it was published/),
  ]);
  expect(errors(cart({ Other: Filled }), lock)).toEqual([
    expect.stringMatching(/^cart.Filled: the event type is gone/),
    'cart.Other, version 1: is new: run trunkline schemas accept',
  ]);
});

test('an upcaster that throws is found, also where the validator of the older version is gone', () => {
  for (const first of [versions(V1), versions<z.infer<typeof V1>>()]) {
    const code = cart({ Filled: (first as any).next(V2, throwing) });
    const { lock: next } = accepted(code, lock);
    expect(errors(code, next)).toEqual([expect.stringMatching(/^cart.Filled, version 1: .*never works/)]);
    expect(next.get('basket')!.get('Filled')!.versions.get(1)).toEqual(
      lock.get('basket')!.get('Filled')!.versions.get(1),
    );
  }
});

test('a mode, and notes, by the name of today', () => {
  const code = cart({ Filled: versions(V1).next(V2, ({ items }) => ({ items: String(items) })), Plain: event() });
  const { errors: found, notes } = checked(code, accepted(code, lock).lock, 'BACKWARD');
  expect(found.map(findingLine)).toEqual([expect.stringMatching(/^cart.Filled, version 2, \$.items: BACKWARD/)]);
  expect(notes.map(findingLine)).toEqual([expect.stringMatching(/^cart.Plain, version 1: not checked/)]);
});

describe('--force takes each name', () => {
  test.each(['cart', 'basket', 'cart.Filled', 'basket.Filled'])('%s', (name) => {
    const code = cart({ Filled: event(V2) });
    expect(accepted(code, lock).broken).not.toEqual([]);
    const { broken, lock: next } = accepted(code, lock, name);
    expect([broken, [...next.keys()], errors(code, next)]).toEqual([[], ['basket'], []]);
    // What did not change is not lost: an upcaster is still run on what was accepted.
    const evolved = cart({ Filled: versions<any>().next(V2, throwing) });
    expect(errors(evolved, accepted(evolved, lock, name).lock)).toEqual([expect.stringMatching(/never works/)]);
  });
});

describe('what stands under another name is taken over', () => {
  const trolley = (spec: any): ReturnType<typeof named> => named(['trolley', 'basket', 'cart'], spec);

  test.each(['trolley', 'cart'])('%s', (name) => {
    const { lock: other } = accepted(named([name], { Filled }));
    const reason = `trolley: is renamed now: what stands under '${name}' goes to 'basket', the name that is stored`;
    expect(accepted(trolley({ Filled }), other)).toEqual({ lock, broken: [], added: [reason] });
    expect(errors(trolley({ Filled }), other)).toEqual([`${reason}: run trunkline schemas accept`]);
    expect(errors(trolley({ Filled: event(V2) }), other)).toContainEqual(
      expect.stringMatching(/^trolley.Filled, version 1, \$.items: has changed/),
    );
  });

  test('beside the stored one: both stay; where they differ it is said, and the code is taken by force alone', () => {
    const Emptied = event(z.object({}));
    const two = new Map([...lock, ...accepted(named(['cart'], { Filled, Emptied })).lock]);
    const { lock: next, broken } = accepted(trolley({ Filled, Emptied }), two);
    expect([broken, [...next.keys()], [...next.get('basket')!.keys()]]).toEqual([
      [],
      ['basket'],
      ['Filled', 'Emptied'],
    ]);
    const other = new Map([...lock, ...accepted(named(['cart'], { Filled: event(V2) })).lock]);
    expect(accepted(trolley({ Filled }), other).broken).toEqual([
      "trolley.Filled, version 1: was accepted with another schema under 'cart'",
    ]);
    expect(accepted(trolley({ Filled }), other, 'cart.Filled')).toMatchObject({ broken: [], lock });
  });
});
