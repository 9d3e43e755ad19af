// Whether a batch may have failed by its size alone: it took longer than a call or a statement may, or more memory than there
// is. The same batch would meet the same limit again, so it is handed over in halves.
//
// A handler may write to any database, with any client: what its errors have in common is the SQLSTATE.
import { isError } from '../base/errors.ts';

const causesMost = 10;
/** SQLSTATEs: out of memory; a limit of a statement, a text or a message; ended for the time that it took. */
const limits = ['53200', '54000', '54001', '57014'];
/** The runtime's own limits, a server's, and a client's that waits no longer for an answer. */
const tooMuch =
  /^Invalid (string|array) length$|allocation failed|invalid memory alloc request size|^Query read timeout$/;

export function isOutgrown(error: unknown): boolean {
  let one = error;
  for (let i = 0; i < causesMost && one instanceof Error; i++, one = one.cause) {
    const { code } = one as { code?: unknown };
    if (isError(one, 'HandlerTimedOut') || limits.includes(code as string) || tooMuch.test(one.message)) return true;
  }
  return false;
}
