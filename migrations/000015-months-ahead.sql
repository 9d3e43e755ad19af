-- A month is made ahead of its time beside open transactions. To attach a partition the server itself needs the default partition
-- alone for a moment, and of domain_events no more than that no other partition is attached; make_partition took domain_events
-- whole, so that writers who had been sent on to the default partition would not fail. A transaction that has raised an event and
-- stays open holds domain_events, and nothing else: behind it no month could be made, and events went into the default partition.
-- Nobody writes into a month that has not begun, but for wrong clocks; one that has begun is made as before.
--
-- In the body @home stands for the schema's name as an identifier, @name for it as a text.
do $migration$
declare
  schema text := pg_catalog.current_schema();
  home   text := pg_catalog.quote_ident(schema);
  pinned text := ' set search_path = pg_catalog, pg_temp as ';
begin
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

  -- As before (000011), but for the locks.
  execute 'create or replace function ' || home || $signature$.make_partition(moment timestamptz) returns text
  language plpgsql security definer set datestyle to 'ISO' set timezone to 'UTC'$signature$ || pinned
    || quote_literal(replace(replace($body$
declare
  month_start timestamptz := date_trunc('month', moment, 'UTC');
  month_end   timestamptz := (month_start at time zone 'UTC' + interval '1 month') at time zone 'UTC';
  partition   text := to_char(moment at time zone 'UTC', '"domain_events_"YYYY"_"MM');
begin
  -- It runs with the owner's rights: for a role that lacks them, no more months than a service may need.
  if moment is null or not pg_has_role(session_user, current_user, 'member')
      and moment not between now() - interval '25 years' and now() + interval '25 years' then
    return null;
  end if;
  insert into @home.locks (lock_name) values ('upkeep') on conflict (lock_name) do nothing;
  perform from @home.locks where lock_name = 'upkeep' for update skip locked;
  if not found then
    return null;
  end if;
  if to_regclass(quote_ident(@name) || '.' || quote_ident(partition)) is not null then
    return null;
  end if;
  if month_start > now() then
    -- The parent first, as all who lock both do.
    lock table only @home.domain_events in share update exclusive mode;
    lock table @home.domain_events_default in access exclusive mode;
  else
    -- A writer that had been sent on to the default partition would fail once that takes no more events of this month.
    lock table @home.domain_events in access exclusive mode;
  end if;
  if exists (select from @home.domain_events_default where occurred_at >= month_start and occurred_at < month_end) then
    return null;
  end if;
  execute format('create table %1$I.%2$I (like %1$I.domain_events including defaults including constraints)',
                 @name, partition);
  execute format('alter table %1$I.domain_events attach partition %1$I.%2$I for values from (%3$L) to (%4$L)',
                 @name, partition, month_start, month_end);
  return partition;
end
$body$, '@home', home), '@name',
    quote_literal(schema)));

  perform set_config('search_path', home, true); -- as the migration has found it
end
$migration$;
