// Rows of the outbox that a log will never settle, because its machine is lost permanently: what it had passed on to the store
// goes, what it had only claimed waits again for another log.
import pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import { releaseStatement } from './outbox-release-sql.ts';

export interface Released {
  /** Stored through that log; its stream and sinks may not have passed them. */
  readonly removed: number;
  /** Claimed for it, and not stored through it. */
  readonly waiting: number;
}

const quietSeconds = 60;

/** In one statement. @throws InvalidOptions if the store knows no such log, or it has been flushed within the last minute */
export async function releaseOutbox(client: pg.ClientBase, schema: string, logId: string): Promise<Released> {
  const statement = releaseStatement(pg.escapeIdentifier(schema));
  const { isRunning, isKnown, removed, waiting } = await statement.one(client, { logId, quietSeconds });
  if (!isKnown) {
    const reason = `this store knows no log '${logId}'; trunkline status shows those that it knows`;
    throw new TrunklineError('InvalidOptions', { option: 'log', reason });
  }
  if (!isRunning) return { removed, waiting };
  const reason = `a runtime has flushed log '${logId}' within the last ${quietSeconds} seconds; only a log that is lost is released`;
  throw new TrunklineError('InvalidOptions', { option: 'log', reason });
}
