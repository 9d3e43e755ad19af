// Tokens come back from users: taken as they were given, or refused.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readToken, tokenText } from '../../../src/adapters/postgres/tail/tail-token.ts';

describe('tokens of a tail', () => {
  test.each([
    { from: '1:1:', to: undefined, sequence: 0n, id: '' },
    { from: '10:20:10,14', to: '14:30:14', sequence: 77n, id: '' },
    { from: '10:20:10,14', to: '14:30:14', sequence: 77n, id: '0190f3a0-0000-7000-8000-0000000000ff' },
  ])('a token from $from comes back as it was', (token) => {
    expect(readToken(tokenText(token))).toEqual(token);
  });

  test('a token of an earlier release stands behind all rows of its number', () => {
    expect(readToken('1;10:20:10,14;14:30:14;77')).toEqual({
      ...{ from: '10:20:10,14', to: '14:30:14', sequence: 77n, id: '' },
    });
  });

  test.each([
    '',
    '1;2;3',
    '2;1:1:;;0;',
    "2;1:1:;;0;0190f3a0-0000-7000-8000-00000000000'",
    '1;1:1:;;0;0190f3a0-0000-7000-8000-0000000000ff',
    '2;1:1:;;0',
    '1;5:4:;;0',
    '1;1:9:9;;0',
    '1;1:9:;1:2:3;0',
    '1;0:9:;;0',
    "1;1:1:;;1'; drop table x",
    '1;1:1:;;1\n',
    `1;1:1:;;${2n ** 63n}`,
    `1;1:1:;;${-(2n ** 63n) - 1n}`,
    `1;1:${2n ** 64n}:;;0`,
    7,
  ])('%j is refused', (text) => {
    expect(() => readToken(text as string)).toThrow(expect.objectContaining({ code: 'InvalidOptions' }));
  });

  test('whatever sequence and snapshots the server may count to: the token is taken as it was given', () => {
    const id = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n });
    const snapshot = fc
      .uniqueArray(id, { minLength: 2, maxLength: 5 })
      .map((ids) => ids.sort((a, b) => (a < b ? -1 : 1)))
      .map((ids) => `${ids[0]}:${ids.at(-1)}:${ids.slice(0, -1).join()}`);
    const token = fc.record({
      from: snapshot,
      to: fc.option(snapshot, { nil: undefined }),
      sequence: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      id: fc.oneof(fc.constant(''), fc.uuid()),
    });
    fc.assert(
      fc.property(token, (one) => {
        expect(readToken(tokenText(one))).toEqual(one);
      }),
    );
  });
});
