// Compatibility of versions as they are stored, by the modes of a schema registry.
import { event, versions } from 'trunkline';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { type Mode, modes } from '../../src/schemas/modes.ts';
import { accepted, customer, errors } from './define.ts';

const a = z.string();
const any = (old: any): any => old;
// Closed objects: a field that is optional and new is BACKWARD, one that is gone is FORWARD.
const Wider = versions(z.object({ a })).next(z.object({ a, b: a.optional() }), any);
const Narrower = versions(z.object({ a, b: a.optional() })).next(z.object({ a }), ({ a }: any) => ({ a }));
// Each version takes what the one before does; the third does not take what the first one does.
const Drifting = versions(z.object({ a: z.enum(['x', 'y']) }))
  .next(z.object({ a: z.enum(['x']) }), () => ({ a: 'x' as const }))
  .next(z.object({ a: z.enum(['x', 'z']) }), any);

const broken = (spec: any, mode: Mode): string[] => {
  const code = customer({ Seen: spec });
  return errors(code, accepted(code).lock, mode);
};

test('each mode', () => {
  const found = (spec: any) => Object.fromEntries(modes.map((mode) => [mode, broken(spec, mode).length]));
  const none = {
    NONE: 0,
    BACKWARD: 0,
    BACKWARD_TRANSITIVE: 0,
    FORWARD: 0,
    FORWARD_TRANSITIVE: 0,
    FULL: 0,
    FULL_TRANSITIVE: 0,
  };
  expect(found(Wider)).toEqual({ ...none, FORWARD: 1, FORWARD_TRANSITIVE: 1, FULL: 1, FULL_TRANSITIVE: 1 });
  expect(found(Narrower)).toEqual({ ...none, BACKWARD: 1, BACKWARD_TRANSITIVE: 1, FULL: 1, FULL_TRANSITIVE: 1 });
  expect(found(Drifting)).toEqual({
    ...none,
    BACKWARD: 1,
    BACKWARD_TRANSITIVE: 2,
    FORWARD: 1,
    FORWARD_TRANSITIVE: 2,
    FULL: 2,
    FULL_TRANSITIVE: 4,
  });
  expect(found(event(z.object({ a })))).toEqual(none);
});

test('what is broken, and between which versions', () => {
  expect(broken(Drifting, 'FULL_TRANSITIVE')).toEqual([
    'customer.Seen, version 2, $.a: BACKWARD: version 1, "y" is not taken any more',
    'customer.Seen, version 3, $.a: BACKWARD: version 1, "y" is not taken any more',
    'customer.Seen, version 3, $.a: FORWARD: read by version 1, "z" is not taken any more',
    'customer.Seen, version 3, $.a: FORWARD: read by version 2, "z" is not taken any more',
  ]);
});

test('versions that are retired do not count, and one without a schema cannot be told', () => {
  const { lock } = accepted(customer({ Seen: Drifting }));
  const retired = customer({ Seen: Drifting.retired(1) });
  expect(errors(retired, accepted(retired, lock).lock, 'BACKWARD_TRANSITIVE')).toEqual([]);
  expect(broken(versions<{ a: string }>().next(z.object({ a }), any), 'BACKWARD')).toEqual([
    'customer.Seen, version 2: BACKWARD: version 1, cannot tell: one of them has no JSON Schema',
  ]);
});
