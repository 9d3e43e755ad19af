-- The event store. Runs with search_path set to the configured schema; names are therefore unqualified.

-- The order in which rows were written: within one aggregate it is the order of versions, because a writer takes the
-- aggregate's head (a row lock) before it takes numbers. It is not the order of commits: see transaction_id.
create sequence domain_events_sequence as bigint;

create table domain_events (
  id             uuid        not null,
  aggregate_type text        not null,
  aggregate_id   text        not null,
  version        integer     not null check (version > 0),
  event_type     text        not null,
  schema_version integer     not null,
  occurred_at    timestamptz not null,
  data           jsonb       not null,
  metadata       jsonb,
  -- Where it stands in the log that it came through; null until a relay has brought it into one.
  position       bigint,
  log_id         text,
  sequence       bigint      not null default nextval('domain_events_sequence'),
  -- For the tail: a row is behind every later one once its transaction is older than every open one (pg_snapshot_xmin).
  transaction_id xid8        not null default pg_current_xact_id(),
  created_at     timestamptz not null default now(),
  primary key (id, occurred_at)
) partition by range (occurred_at);

alter sequence domain_events_sequence owned by domain_events.sequence;

-- Uniqueness of (aggregate, version) cannot be a constraint here, since it would have to contain occurred_at: the heads
-- in `aggregates` keep it.
create index idx_events_aggregate on domain_events (aggregate_id, aggregate_type, version);
create index idx_events_type_time on domain_events (event_type, occurred_at);
create index idx_events_occurred on domain_events (occurred_at);
create index idx_events_position on domain_events (log_id, position);
create index idx_events_sequence on domain_events (sequence);
create index idx_events_transaction on domain_events (transaction_id);
-- A hash, because an entry of a B-tree must not be longer than a third of a page, and nobody bounds such an id.
create index idx_events_correlation on domain_events using hash ((metadata ->> 'correlationId'))
  where metadata ->> 'correlationId' is not null;

-- What no month's partition takes: clock errors, and months whose partition could not be made in time.
create table domain_events_default partition of domain_events default;

-- Make the partition of the month (UTC) that `moment` lies in. Returns its name; null if there is one, or if the default
-- partition holds events of that month, which have to be moved first.
create function make_partition(moment timestamptz) returns text
language plpgsql set search_path from current as $$
declare
  month_start timestamptz := date_trunc('month', moment, 'UTC');
  month_end   timestamptz := (month_start at time zone 'UTC' + interval '1 month') at time zone 'UTC';
  partition   text := to_char(moment at time zone 'UTC', '"domain_events_"YYYY"_"MM');
begin
  perform pg_advisory_xact_lock(hashtext('trunkline.make_partition'), hashtext(current_schema()));
  if to_regclass(quote_ident(current_schema()) || '.' || quote_ident(partition)) is not null then
    return null;
  end if;
  if exists (select from domain_events_default where occurred_at >= month_start and occurred_at < month_end) then
    return null;
  end if;
  -- Made beside and attached: that locks out other upkeep, not readers and writers of the other months.
  execute format('create table %I (like domain_events including defaults including constraints)', partition);
  execute format('alter table domain_events attach partition %I for values from (%L) to (%L)',
                 partition, month_start, month_end);
  return partition;
end
$$;

-- Where each aggregate stands, and which log may write it. One row is the lock on one aggregate.
create table aggregates (
  aggregate_type    text        not null,
  aggregate_id      text        not null,
  version           integer     not null,
  -- The version before the last flush: what that flush had expected.
  previous_version  integer     not null,
  -- Counts changes of ownership. log_id null: written by transactions of the user's own (outbox), not through one log.
  epoch             bigint      not null default 1,
  log_id            text,
  -- Position in that log of its last event, or of the moment it took the aggregate over: what it wrote before is late.
  position          bigint      not null default 0,
  -- Bounds of occurred_at, so that a load looks into those months only.
  first_occurred_at timestamptz not null,
  last_occurred_at  timestamptz not null,
  updated_at        timestamptz not null default now(),
  primary key (aggregate_type, aggregate_id)
) with (fillfactor = 70);

-- How far each log has been flushed. Moves in the transaction that holds the events.
create table flush_checkpoints (
  log_id     text        primary key,
  position   bigint      not null,
  updated_at timestamptz not null default now()
);

-- Events that could not be stored, whole (the frame as the log has it), with the reason: fenced by another writer, or
-- refused by the server.
create table quarantined_events (
  log_id         text        not null,
  position       bigint      not null,
  id             uuid        not null,
  aggregate_type text        not null,
  aggregate_id   text        not null,
  version        integer     not null,
  event_type     text        not null,
  occurred_at    timestamptz not null,
  code           text        not null,
  reason         text        not null,
  frame          bytea       not null,
  quarantined_at timestamptz not null default now(),
  primary key (log_id, position)
);

create table event_handler_positions (
  handler_name      text        primary key,
  last_processed_id uuid        not null,
  last_processed_at timestamptz not null,
  log_id            text,
  position          bigint,
  updated_at        timestamptz not null default now()
);

-- The newest snapshot of each aggregate. json, not jsonb: a state comes back exactly as it was taken.
create table snapshots (
  aggregate_type text        not null,
  aggregate_id   text        not null,
  version        integer     not null,
  fingerprint    text        not null,
  state          json        not null,
  taken_at       timestamptz not null default now(),
  primary key (aggregate_type, aggregate_id)
);
