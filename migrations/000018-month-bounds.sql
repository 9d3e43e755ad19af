-- One bound on the months that are partitions, for every caller: 240 months before this one to 24 after it, and no further one where
-- there are 400 partitions, but for this month and the next three. Each partition costs every plan and lock that goes over months, and
-- a role that may write events of any time, or make months, could have as many as there are. What no month takes stays in the default
-- partition. Partitions that others have attached, with ranges of their own, are left as they are: no month is made across them.
--
-- In the bodies @home stands for the schema's name as an identifier, @name for it as a text, and @door for the text that names the
-- function whose `execute` the caller needs.
do $migration$
declare
  schema text := pg_catalog.current_schema();
  home   text := pg_catalog.quote_ident(schema);
  pinned text := ' set datestyle to ''ISO'' set timezone to ''UTC'' set search_path = pg_catalog, pg_temp as ';
begin
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

  -- The bound itself. `first` and `behind`: where the range begins and ends; `soon`: where this month and the next three end.
  execute 'create function ' || home || $signature$.month_bounds(
    out first timestamptz, out soon timestamptz, out behind timestamptz, out most integer
  ) language plpgsql stable$signature$ || pinned || quote_literal($body$
declare
  this_month timestamp := date_trunc('month', now() at time zone 'UTC');
begin
  first  := (this_month - interval '240 months') at time zone 'UTC';
  soon   := (this_month + interval '4 months') at time zone 'UTC';
  behind := (this_month + interval '25 months') at time zone 'UTC';
  most   := 400;
end
$body$);

  -- All partitions with their ranges, but for the default partition. `is_month`: one month (UTC) under the name that we give it.
  execute 'create function ' || home || $signature$.partition_ranges()
  returns table (partition_oid oid, partition_name name, range_start timestamptz, range_end timestamptz, is_month boolean)
  language plpgsql stable$signature$ || pinned || quote_literal(replace(replace($body$
begin
  return query
    select r.oid, r.relname, r.lower, r.upper,
      coalesce(r.nspname = @name and r.relname = to_char(r.lower at time zone 'UTC', '"domain_events_"YYYY"_"MM') and r.lower >= '0001-01-01 00:00:00+00'
        and r.lower = date_trunc('month', r.lower, 'UTC')
        and r.upper = (r.lower at time zone 'UTC' + interval '1 month') at time zone 'UTC', false)
    from (
      select c.oid, c.relname, n.nspname,
        case bounds[1] when 'MINVALUE' then '-infinity' else trim(both '''' from bounds[1])::timestamptz end as lower,
        case bounds[2] when 'MAXVALUE' then 'infinity' else trim(both '''' from bounds[2])::timestamptz end as upper
      from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_namespace n on n.oid = c.relnamespace,
        regexp_match(pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM \((.*)\) TO \((.*)\)$') as bounds
      where i.inhparent = '@home.domain_events'::regclass and bounds is not null
    ) r;
end
$body$, '@home', replace(home, '''', '''''')), '@name', quote_literal(schema)));

  -- What stands in the way of a partition of the month that `moment` lies in. `free`: nothing; `there`: it is there; `covered`: one of
  -- another range has all of it; `taken`: its name, or a part of it; `beyond`, `full`: the bound.
  execute 'create function ' || home || $signature$.month_state(moment timestamptz, out state text, out reason text)
  language plpgsql stable$signature$ || pinned || quote_literal(replace(replace($body$
declare
  bounds      record;
  other       record;
  month_start timestamptz := date_trunc('month', moment, 'UTC');
  month_end   timestamptz := (month_start at time zone 'UTC' + interval '1 month') at time zone 'UTC';
  partition   text := to_char(month_start at time zone 'UTC', '"domain_events_"YYYY"_"MM');
begin
  if moment is null or not isfinite(moment) then
    state := 'beyond';
    reason := 'it is no month';
    return;
  end if;
  select p.* into other from @home.partition_ranges() p where p.range_start < month_end and p.range_end > month_start
    order by p.is_month desc, p.range_start limit 1;
  if other.is_month then
    state := 'there';
    return;
  end if;
  if other.range_start <= month_start and other.range_end >= month_end then
    state := 'covered';
    reason := format('partition %I, from %s to %s, has all of it', other.partition_name, other.range_start, other.range_end);
    return;
  end if;
  if other.partition_name is not null then
    state := 'taken';
    reason := format('partition %I, from %s to %s, has a part of it', other.partition_name, other.range_start, other.range_end);
    return;
  end if;
  if exists (select from pg_class c where c.relnamespace = (select n.oid from pg_namespace n where n.nspname = @name)
      and c.relname = partition) then
    state := 'taken';
    reason := format('table %I has its name, and is no partition of domain_events, or one of another range', partition);
    return;
  end if;
  bounds := @home.month_bounds();
  if month_start < bounds.first or month_start >= bounds.behind then
    state := 'beyond';
    reason := format('partitions are made for %s to %s alone', to_char(bounds.first, 'YYYY-MM'),
      to_char(bounds.behind - interval '1 month', 'YYYY-MM'));
    return;
  end if;
  if (select count(*) from @home.partition_ranges()) >= bounds.most
      and (month_start < date_trunc('month', now(), 'UTC') or month_start >= bounds.soon) then
    state := 'full';
    reason := format('there are %s partitions or more', bounds.most);
    return;
  end if;
  state := 'free';
end
$body$, '@home', home), '@name', quote_literal(schema)));

  -- As before (000017), but for the bound, which is the owner's, too.
  execute 'create or replace function ' || home || $signature$.make_partition_for_caller() returns trigger
  language plpgsql security definer$signature$ || pinned || quote_literal(replace(replace(replace($body$
declare
  month_start timestamptz := date_trunc('month', new.moment, 'UTC');
  month_end   timestamptz := (month_start at time zone 'UTC' + interval '1 month') at time zone 'UTC';
  partition   text := to_char(new.moment at time zone 'UTC', '"domain_events_"YYYY"_"MM');
begin
  -- In a trigger of another table, `caller` would be what its owner says.
  if tg_table_schema <> @name or tg_table_name <> 'month_intake' or new.caller is null
      or not has_function_privilege(new.caller, @door, 'execute') then
    raise exception using errcode = '42501', message = format('permission denied for function make_partition to role %s', new.caller);
  end if;
  if not @home.names_caller(tg_relid) then
    raise exception using errcode = '55000', message = format(
      '%s.%s has a trigger that its migrations did not make: drop it', tg_table_schema, tg_table_name);
  end if;
  if (@home.month_state(new.moment)).state in ('beyond', 'there') then
    return new; -- without a lock
  end if;
  insert into @home.locks (lock_name) values ('upkeep') on conflict (lock_name) do nothing;
  perform from @home.locks where lock_name = 'upkeep' for update skip locked;
  if not found then
    return new;
  end if;
  if (@home.month_state(new.moment)).state <> 'free' then
    return new;
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
    return new;
  end if;
  execute format('create table %1$I.%2$I (like %1$I.domain_events including defaults including constraints)',
                 @name, partition);
  execute format('alter table %1$I.domain_events attach partition %1$I.%2$I for values from (%3$L) to (%4$L)',
                 @name, partition, month_start, month_end);
  new.partition_name := partition;
  return new;
end
$body$, '@home', home), '@name', quote_literal(schema)), '@door', quote_literal(home || '.make_partition(timestamptz)')));

  perform set_config('search_path', home, true); -- as the migration has found it
end
$migration$;
