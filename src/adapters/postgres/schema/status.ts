// How far a store is, as its tables tell it.
import pg from 'pg';
import { checkpointsStatement, claimsStatement, quarantineCountStatement } from './status-sql.ts';

export interface StoreStatus {
  /** How far each log has been flushed, the latest first. */
  readonly checkpoints: readonly { logId: string; position: number; updatedAt: Date }[];
  readonly quarantined: number;
  /** Committed events that no log has yet. */
  readonly outbox: {
    readonly waiting: number;
    /** How long the oldest of them has been waiting. */
    readonly oldestMs: number | undefined;
    /** To be taken by a log, and not yet flushed from there. */
    readonly claimed: readonly { logId: string; events: number }[];
  };
}

export async function storeStatus(client: pg.ClientBase, schema: string): Promise<StoreStatus> {
  const name = pg.escapeIdentifier(schema);
  const checkpoints = await checkpointsStatement(name).run(client, {});
  const { count } = await quarantineCountStatement(name).one(client, {});
  const claims = await claimsStatement(name).run(client, {});
  const waiting = claims.find(({ logId }) => logId === null);
  return {
    checkpoints,
    quarantined: count,
    outbox: {
      waiting: waiting?.events ?? 0,
      oldestMs: waiting?.oldestMs ?? undefined,
      claimed: claims.flatMap(({ logId, events }) => (logId === null ? [] : [{ logId, events }])),
    },
  };
}
