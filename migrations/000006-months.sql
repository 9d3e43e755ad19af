-- Months of events: made under the lock that all upkeep takes, whatever the session's date style and time zone; and who
-- still reads them from elsewhere.

-- Make the partition of the month (UTC) that `moment` lies in. Returns its name; null if there is one, if the default
-- partition holds events of that month, which have to be moved first, or if another upkeep is at work, which makes it.
create or replace function make_partition(moment timestamptz) returns text
language plpgsql set search_path from current set datestyle to 'ISO' set timezone to 'UTC' as $$
declare
  month_start timestamptz := date_trunc('month', moment, 'UTC');
  month_end   timestamptz := (month_start at time zone 'UTC' + interval '1 month') at time zone 'UTC';
  partition   text := to_char(moment at time zone 'UTC', '"domain_events_"YYYY"_"MM');
begin
  if not pg_try_advisory_xact_lock(hashtext('trunkline.upkeep'), hashtext(current_schema())) then
    return null;
  end if;
  if to_regclass(quote_ident(current_schema()) || '.' || quote_ident(partition)) is not null then
    return null;
  end if;
  -- A writer that had been sent on to the default partition would fail once that takes no events of this month any more.
  lock table domain_events in access exclusive mode;
  if exists (select from domain_events_default where occurred_at >= month_start and occurred_at < month_end) then
    return null;
  end if;
  execute format('create table %I (like domain_events including defaults including constraints)', partition);
  execute format('alter table domain_events attach partition %I for values from (%L) to (%L)',
                 partition, month_start, month_end);
  return partition;
end
$$;

-- Readers of a log whose checkpoints are kept on its machine (projections there), as that machine has last said: what is
-- behind their positions must not be dropped. Handlers that keep their checkpoints here are in event_handler_positions.
create table log_readers (
  log_id     text        not null,
  name       text        not null,
  position   bigint      not null,
  updated_at timestamptz not null default now(),
  primary key (log_id, name)
);
