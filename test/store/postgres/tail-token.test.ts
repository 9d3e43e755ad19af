// Tokens come back from users: taken as they were given, or refused.
import { describe, expect, test } from 'vitest';
import { readToken, tokenText } from '../../../src/store/postgres/tail-token.ts';

describe('tokens of a tail', () => {
  test.each([
    { from: '1:1:', to: undefined, sequence: 0 },
    { from: '10:20:10,14', to: '14:30:14', sequence: 77 },
  ])('%j comes back as it was', (token) => {
    expect(readToken(tokenText(token))).toEqual(token);
  });

  test.each([
    '',
    '1;2;3',
    '2;1:1:;;0',
    '1;5:4:;;0',
    '1;1:9:9;;0',
    '1;1:9:;1:2:3;0',
    '1;0:9:;;0',
    "1;1:1:;;1'; drop table x",
    '1;1:1:;;1\n',
    7,
  ])('%j is refused', (text) => {
    expect(() => readToken(text as string)).toThrow(expect.objectContaining({ code: 'InvalidOptions' }));
  });
});
