-- What stands behind raise_event and make_partition does its work for the role that step_1 has named, if step_1 has, and no other trigger
-- was there to name another. Triggers run in the order of their names, and the right `trigger` (`grant all on all tables` gives it, for
-- views too) is enough to put one between the steps, or another in the place of step_1: such a role raised any event, in any role's name.
--
-- In the bodies @home stands for the schema's name as an identifier, @name for it as a text, @sequence for the text that names the
-- sequence in it, and @door for the text that names the function whose `execute` the caller needs.
do $migration$
declare
  schema text := pg_catalog.current_schema();
  home   text := pg_catalog.quote_ident(schema);
  pinned text := ' set search_path = pg_catalog, pg_temp as ';
begin
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

  -- Type 69: for each row, instead of insert.
  execute 'create function ' || home || $signature$.names_caller(intake oid) returns boolean
  language plpgsql stable$signature$ || pinned || quote_literal(replace($body$
begin
  return exists (
      select from pg_trigger t where t.tgrelid = intake and t.tgname = 'step_1' and t.tgtype = 69 and t.tgenabled in ('O', 'A')
        and t.tgfoid = '@home.name_caller()'::regprocedure)
    and not exists (select from pg_trigger t where t.tgrelid = intake and t.tgname not in ('step_1', 'step_2'));
end
$body$, '@home', replace(home, '''', '''''')));

  -- As before (000016), but for the look at the steps.
  execute 'create or replace function ' || home || $signature$.raise_for_caller() returns trigger
  language plpgsql security definer$signature$ || pinned || quote_literal(replace(replace(replace(replace($body$
#variable_conflict use_variable
declare
  aggregate_type   text := new.aggregate_type;
  aggregate_id     text := new.aggregate_id;
  event_type       text := new.event_type;
  metadata         jsonb := coalesce(new.metadata, '{}');
  expected_version integer := new.expected_version;
  head   record;
  at     timestamptz := date_trunc('milliseconds', clock_timestamp());
  new_id uuid := @home.new_event_id();
  number bigint;
begin
  -- In a trigger of another table, `caller` would be what its owner says.
  if tg_table_schema <> @name or tg_table_name <> 'raise_intake' or new.caller is null
      or not has_function_privilege(new.caller, @door, 'execute') then
    raise exception using errcode = '42501', message = format('permission denied for function raise_event to role %s', new.caller);
  end if;
  if not @home.names_caller(tg_relid) then
    raise exception using errcode = '55000', message = format(
      '%s.%s has a trigger that its migrations did not make: drop it', tg_table_schema, tg_table_name);
  end if;
  if jsonb_typeof(metadata) = 'object' then
    metadata := metadata - 'databaseLogin' || jsonb_build_object('databaseRole', new.caller);
    if session_user <> new.caller then
      metadata := metadata || jsonb_build_object('databaseLogin', session_user);
    end if;
  end if;
  perform @home.check_event(aggregate_type, aggregate_id, event_type, new.data, metadata);
  -- Here current_user is this schema's owner, who needs no row.
  if not @home.has_rights_of(new.caller, current_user) and not exists (
    select from @home.raise_rights r
    where (r.aggregate_type = '*' or r.aggregate_type = aggregate_type)
      and (r.event_type = '*' or r.event_type = event_type)
      and (r.role_name = '*' or @home.has_rights_of(new.caller, r.role_name))
  ) then
    raise exception using errcode = '42501', message = format('role %s may not raise %s.%s: no row of raise_rights says so',
      new.caller, aggregate_type, event_type);
  end if;
  if exists (select from @home.actor_types t where t.aggregate_type = aggregate_type) then
    perform @home.refuse_append(array[aggregate_type], array[aggregate_id], array[coalesce(expected_version, 0)]);
  end if;
  -- The head first: its lock, held to the end of the transaction, puts an aggregate's numbers in the order of versions.
  insert into @home.aggregates as a
      (aggregate_type, aggregate_id, version, previous_version, first_occurred_at, last_occurred_at)
    select aggregate_type, aggregate_id, 1, 0, at, at
    where coalesce(expected_version, 0) = 0 or exists (
      select from @home.aggregates h where h.aggregate_type = aggregate_type and h.aggregate_id = aggregate_id)
    on conflict on constraint aggregates_pkey do update set
      version = a.version + 1,
      previous_version = a.version,
      first_occurred_at = least(a.first_occurred_at, excluded.first_occurred_at),
      last_occurred_at = greatest(a.last_occurred_at, excluded.last_occurred_at),
      updated_at = excluded.updated_at
    where a.log_id is null and a.version = coalesce(expected_version, a.version)
    returning a.version into head;
  if head.version is null then
    perform @home.refuse_append(array[aggregate_type], array[aggregate_id], array[coalesce(expected_version, 0)]);
  end if;
  number := nextval(@sequence);
  insert into @home.domain_events (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at,
                                   data, metadata, sequence)
    values (new_id, aggregate_type, aggregate_id, head.version, event_type, 1, at, new.data, metadata, number);
  insert into @home.outbox (sequence, id, occurred_at) values (number, new_id, at);
  new.version := head.version;
  return new;
end
$body$, '@home', home), '@sequence', quote_literal(home || '.domain_events_sequence')), '@name', quote_literal(schema)),
    '@door', quote_literal(home || '.raise_event(text, text, text, jsonb, jsonb, integer)')));

  -- As before (000016), but for the look at the steps.
  execute 'create or replace function ' || home || $signature$.make_partition_for_caller() returns trigger
  language plpgsql security definer set datestyle to 'ISO' set timezone to 'UTC'$signature$ || pinned
    || quote_literal(replace(replace(replace($body$
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
  -- It runs with the owner's rights: for a role that lacks them, no more months than a service may need.
  if new.moment is null or not pg_has_role(new.caller, current_user, 'member')
      and new.moment not between now() - interval '25 years' and now() + interval '25 years' then
    return new;
  end if;
  insert into @home.locks (lock_name) values ('upkeep') on conflict (lock_name) do nothing;
  perform from @home.locks where lock_name = 'upkeep' for update skip locked;
  if not found then
    return new;
  end if;
  if to_regclass(quote_ident(@name) || '.' || quote_ident(partition)) is not null then
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
