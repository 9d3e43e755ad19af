// Locks of ours that no table or head stands for: rows of the table `locks`, held until a transaction ends. Every role that may
// connect can take the server's own locks by number, under any number and for as long as it stays; a row only roles with rights on
// our schema can lock.
//
// Invariant: the row need not be there. Who takes a lock makes it, and two that make it at once wait for each other, if both
// transactions are `read committed` (`beginSql`). Who removes what a lock is for removes the row, in the transaction that holds it.
import pg from 'pg';

/** What is locked: one commit of a log's handlers, a change of a projection's rows, the making of months, the archive of one. */
export const lockNames = {
  handlers: (logId: string): string => `handlers ${logId}`,
  projection: (logId: string, projection: string): string => `projection ${logId} ${projection}`,
  upkeep: 'upkeep',
  archive: (month: string): string => `archive ${month}`,
} as const;

/** Waits. `schema`: escaped. One statement: a row that is there is locked and not written. */
export const lockSql = (schema: string, lock: string): string =>
  `insert into ${schema}.locks (lock_name) values (${pg.escapeLiteral(lock)})
     on conflict (lock_name) do update set lock_name = excluded.lock_name where false`;

/** Does not wait for a holder: gives no row where there is one. Two statements. `schema`: escaped. */
export const tryLockSql = (schema: string, lock: string): string =>
  `insert into ${schema}.locks (lock_name) values (${pg.escapeLiteral(lock)}) on conflict (lock_name) do nothing;
   select lock_name from ${schema}.locks where lock_name = ${pg.escapeLiteral(lock)} for update skip locked`;

/** The row goes with the transaction that holds its lock. `schema`: escaped. */
export const removeLockSql = (schema: string, lock: string): string =>
  `delete from ${schema}.locks where lock_name = ${pg.escapeLiteral(lock)}`;

/** All readers of the log $1, whichever of them change then: in one order, so that two who change several never wait in a circle. */
export const lockReadersSql = (schema: string): string =>
  `select from ${schema}.log_readers where log_id = $1 order by name collate "C" for update`;
