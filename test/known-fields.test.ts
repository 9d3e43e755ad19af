// Option objects: fields that nobody knows are refused, with what was probably meant.
import { describe, expect, test } from 'vitest';
import { checkFields, fieldsOf, taken, unknownField } from '../src/base/known-fields.ts';

const known = fieldsOf<{ idempotencyKey?: string; type?: string; every?: number }>({
  idempotencyKey: true,
  type: true,
  every: true,
});

test('known fields pass, in any number', () => {
  checkFields('with', {}, known);
  checkFields('with', { type: undefined, every: 1 }, known);
  checkFields('with', Object.create({ inherited: 1 }), known);
});

test('a field that Object.prototype has been given is refused, unless the options have it of their own', () => {
  Object.defineProperty(Object.prototype, 'every', { value: 5, configurable: true, writable: true });
  try {
    const refused = expect.objectContaining({
      code: 'InvalidOptions',
      details: expect.objectContaining({ option: 'with.every' }),
    });
    expect(() => checkFields('with', {}, known)).toThrow(refused);
    expect(() => checkFields('with', { type: 'x' }, ['type', 'every'])).toThrow(refused);
    checkFields('with', Object.defineProperty({}, 'every', { value: 1 }), known);
    checkFields('with', {}, ['type']);
  } finally {
    delete (Object.prototype as { every?: number }).every;
  }
});

describe('what was meant', () => {
  test.each([
    ['idempotencykey', 'idempotencyKey'],
    ['idempotency_key', 'idempotencyKey'],
    ['typ', 'type'],
    ['tpye', 'type'],
    ['evry', 'every'],
    ['EVERY', 'every'],
  ])('%s: %s', (field, meant) => {
    expect(unknownField({ type: 1, [field]: 2 }, known.names)).toEqual({
      field,
      reason: `is unknown; did you mean '${meant}'? (known: idempotencyKey, type, every)`,
    });
  });
  test('nothing that is near', () => {
    expect(unknownField({ colour: 1 }, known.names)!.reason).toBe('is unknown (known: idempotencyKey, type, every)');
  });
});

const { proxy, revoke } = Proxy.revocable({}, {});
revoke();

test.each([null, undefined, 5, 'x', [], () => {}])('%o is no object of options', (given) => {
  expect(() => checkFields('with', given, known)).toThrow(expect.objectContaining({ code: 'InvalidOptions' }));
});

test('what cannot be looked at is refused, not thrown back', () => {
  expect(() => checkFields('with', proxy, known)).toThrow(expect.objectContaining({ code: 'InvalidOptions' }));
});

test('a list longer than any list of options is refused by its length, before it is walked or copied', () => {
  const endless = new Array(4e9); // costs nothing to make, and minutes to walk
  const fields = fieldsOf<{ list?: unknown; named?: unknown }>({ list: 'list', named: true });
  const refused = expect.objectContaining({
    code: 'InvalidOptions',
    details: { option: 'with.named', reason: 'must have 100000 entries at most' },
  });
  expect(() => checkFields('with', { named: endless }, fields)).toThrow(refused);
  expect(() => checkFields('with', { named: endless }, ['named'])).toThrow(refused);
  expect(() => checkFields('with', { list: endless }, fields)).toThrow(/100000 entries/);
  for (const options of [{ named: endless }, Object.create({ named: endless })])
    expect(() => taken(options, fields)).toThrow(/100000 entries/);
  checkFields('with', { list: Array.from({ length: 100_000 }, () => 1) }, fields);
});
