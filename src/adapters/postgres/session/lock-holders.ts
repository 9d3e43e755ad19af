// Who holds up a flush, or the making of months, for the text of an error: who reads it can end that session.
import type pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import { printable } from '../../../base/printable.ts';
import { storeName } from './failure.ts';
import { type Holder, lockHoldersStatement, openOnesStatement } from './lock-holders-sql.ts';

const most = 3;

/** A lock was waited for in vain, outside of a transaction now. `schema`: quoted. */
export async function lockedByOthers(
  client: pg.ClientBase,
  schema: string,
  cause: unknown,
): Promise<TrunklineError<'StoreUnavailable'>> {
  const holders = await lockHoldersStatement.run(client, { schema, most });
  return new TrunklineError('StoreUnavailable', { store: storeName, cause: textOf(holders, 'the flush') }, { cause });
}

/** The same of the locks of a month, in whose way readers stand, too. */
export async function heldUpByOthers(
  client: pg.ClientBase,
  schema: string,
  month: string,
  cause: unknown,
): Promise<TrunklineError<'StoreUnavailable'>> {
  const holders = await openOnesStatement.run(client, { schema, most });
  const text = textOf(holders, `the partition of ${month}`);
  return new TrunklineError('StoreUnavailable', { store: storeName, cause: text }, { cause });
}

function textOf(holders: readonly Holder[], what: string): string {
  const [first] = holders;
  if (first === undefined) return `a transaction of others locked what ${what} needs, and has ended since`;
  const more = first.count > holders.length ? `; and ${first.count - holders.length} more` : '';
  return `a transaction of others locks what ${what} needs; it may be ${holders.map(lineOf).join(', or ')}${more}`;
}

function lineOf({ pid, role, application, seconds }: Holder): string {
  const whose = role === null ? 'a process of the server' : `role ${role}`;
  const since = seconds === null ? 'our role may not see for how long it has been open' : `open for ${seconds} s`;
  const who =
    pid === null ? `prepared transaction '${application}' (${whose}` : `pid ${pid} (${whose}${of(application)}`;
  return printable(`${who}, ${since})`);
}

const of = (application: string | null): string => (application ? `, application '${application}'` : '');
