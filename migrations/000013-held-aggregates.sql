-- Aggregates whose head another transaction has locked, so that a log has gone on without them: their events from `position` on
-- are still in that log alone. Rows move in the transaction of the log's checkpoint, which says how far the log has been looked
-- through: what stands before it is stored or in quarantine, unless a row here holds it.
create table if not exists held_aggregates (
  log_id         text        not null,
  aggregate_type text        not null,
  aggregate_id   text        not null,
  position       bigint      not null,
  held_at        timestamptz not null default now(),
  primary key (log_id, aggregate_type, aggregate_id)
);
