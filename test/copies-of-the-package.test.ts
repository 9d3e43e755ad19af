// Two copies of the package in one process: an error of the one is the other's, too.
import { expect, test } from 'vitest';
import { isError, Rejected, TrunklineError } from '../src/base/errors.ts';
import { toWire } from '../src/base/wire-error.ts';

const where = { aggregateType: 'a', command: 'c' };
const copy = new URL('../src/base/errors.ts?another-copy', import.meta.url).href;

test('a rejection and an error of another copy are told as such, and cross a thread as such', async () => {
  const other = (await import(copy)) as typeof import('../src/base/errors.ts');
  expect(other.Rejected).not.toBe(Rejected);
  const rejection = new other.Rejected('sold-out', { left: 0 });
  expect(rejection instanceof Rejected).toBe(true);
  expect(rejection instanceof TrunklineError).toBe(false);
  expect(toWire(rejection, where)).toMatchObject({ kind: 'rejected', code: 'sold-out', details: { left: 0 } });
  const error = new other.TrunklineError('RuntimeClosed', { state: 'closed' });
  expect(isError(error, 'RuntimeClosed')).toBe(true);
  expect(error instanceof Rejected).toBe(false);
  expect(toWire(error, where)).toMatchObject({ kind: 'error', code: 'RuntimeClosed' });
});

test("a subclass of the user's is told by itself alone; what is no object, or cannot be looked at, is none", () => {
  class SoldOut extends Rejected {}
  class TooLate extends Rejected {}
  const soldOut = new SoldOut('sold-out');
  expect(soldOut instanceof Rejected).toBe(true);
  expect(soldOut instanceof SoldOut).toBe(true);
  expect(soldOut instanceof TooLate).toBe(false);
  expect(new Rejected('x') instanceof SoldOut).toBe(false);
  for (const one of [undefined, null, 'x', 1, {}, new Error('x'), () => {}])
    expect(one instanceof Rejected).toBe(false);
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  expect(toWire(proxy, where).code).toBe('CommandFailed');
});
