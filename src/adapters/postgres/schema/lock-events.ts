// The lock on domain_events and one of its partitions, against all sessions; the others, up to 400, are not locked one after another: no
// session comes to them past domain_events. Sessions that come while it is waited for wait behind it, readers and flushes too, and one
// transaction that a client has left open would hold them all up. So it is waited for a moment only, with time for the others
// between two tries, and what a transaction has done before the lock stays.
import type pg from 'pg';
import { backoffMs } from '../../../base/backoff.ts';
import { pause } from '../../../base/clock.ts';
import { savepoint } from '../session/savepoint-sql.ts';
import { isServerError, kindOf } from '../session/sqlstate.ts';
import { execute } from '../session/statement.ts';
import { boundLocks, lockOnly } from './months-sql.ts';

/** How long others wait behind a try. */
export const lockTryMs = 100;
/** The longest: below what a transaction may stand idle (`silentMs`). */
const pauses = { minMs: 100, maxMs: 1_000 };

const beforeLock = savepoint('before_lock');

/**
 * In a transaction, which goes on to have this bound on locks. `events`, `partition`: escaped. From the top, as writers do.
 * @throws what the last try has met
 */
export async function lockEvents(
  client: pg.ClientBase,
  events: string,
  partition: string,
  tries: number,
): Promise<void> {
  for (let tried = 1; ; tried++) {
    await execute(client, beforeLock.begin);
    try {
      await execute(client, boundLocks(lockTryMs));
      await execute(client, lockOnly(events));
      await execute(client, lockOnly(partition));
      await execute(client, beforeLock.keep);
      return;
    } catch (error) {
      if (!isServerError(error) || kindOf(error) !== 'busy' || tried >= tries) throw error;
    }
    await execute(client, beforeLock.undo);
    await execute(client, beforeLock.keep);
    await othersFirst(tried);
  }
}

/** Time for those who have waited behind a try. */
export const othersFirst = (tried: number): Promise<void> => pause(backoffMs(tried, pauses));
