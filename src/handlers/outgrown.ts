// Whether a batch may have failed by its size alone: it took longer than a call or a statement may, or more memory than there
// is. The same batch would meet the same limit again, so it is handed over in halves.
import { isError } from '../errors.ts';
import { codeOf, tookTooLong } from '../store/postgres/sqlstate.ts';

const causesMost = 10;
/** PostgreSQL: out of memory; a limit of a statement, a text or a message. */
const limits = ['53200', '54000', '54001'];
const tooLong = /^Invalid (string|array) length$|allocation failed|invalid memory alloc request size/;

export function isOutgrown(error: unknown): boolean {
  let one = error;
  for (let i = 0; i < causesMost && one instanceof Error; i++, one = one.cause) {
    if (isError(one, 'HandlerTimedOut') || tookTooLong(one) || limits.includes(codeOf(one))) return true;
    if (tooLong.test(one.message)) return true;
  }
  return false;
}
