// How far a store is, as its tables tell it.
import pg from 'pg';

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
  const { rows: checkpoints } = await client.query(
    `select log_id as "logId", least(position, (select pg_catalog.min(held.position) - 1 from ${name}.held_aggregates held
       where held.log_id = flushed.log_id))::float8 as position, updated_at as "updatedAt"
     from ${name}.flush_checkpoints flushed order by updated_at desc`,
  );
  const { rows: quarantine } = await client.query(
    `select pg_catalog.count(*)::float8 as count from ${name}.quarantined_events`,
  );
  const { rows: claims } = await client.query(
    `select log_id as "logId", pg_catalog.count(*)::float8 as events,
       pg_catalog.round(extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.min(occurred_at) filter (where pg_catalog.isfinite(occurred_at))) * 1000)::float8 as "oldestMs"
     from ${name}.outbox group by log_id order by log_id`,
  );
  const waiting = claims.find(({ logId }) => logId === null);
  return {
    checkpoints,
    quarantined: quarantine[0].count,
    outbox: {
      waiting: waiting?.events ?? 0,
      oldestMs: waiting?.oldestMs,
      claimed: claims.filter(({ logId }) => logId !== null).map(({ logId, events }) => ({ logId, events })),
    },
  };
}
