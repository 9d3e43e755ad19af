-- A month that is attached is locked against all until the transaction ends, and no lesser lock will do: the server takes one on the
-- default partition in any case, and beside readers and writers at domain_events events would be passed over or refused. So only roles
-- that may hold up the flush anyway make months: those that may move a log's checkpoint. `execute` alone made any role one that
-- holds up the flush and the readers of every service for as long as it liked, by a transaction that it left open.
--
-- In the body @home stands for the schema's name as an identifier, @name for it as a text, @checkpoints for the text that names the
-- table of checkpoints, and @door for the text that names the function whose `execute` the caller needs.
do $migration$
declare
  schema text := pg_catalog.current_schema();
  home   text := pg_catalog.quote_ident(schema);
  pinned text := ' set datestyle to ''ISO'' set timezone to ''UTC'' set search_path = pg_catalog, pg_temp as ';
begin
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

  -- As before (000018), but for who may, and how much is locked for how long.
  execute 'create or replace function ' || home || $signature$.make_partition_for_caller() returns trigger
  language plpgsql security definer$signature$ || pinned || quote_literal(replace(replace(replace(replace($body$
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
  if not has_any_column_privilege(new.caller, @checkpoints, 'update') then
    raise exception using errcode = '42501', message = format(
      'role %s may not make months: what that locks holds up flush and readers, so it takes the right to update flush_checkpoints, too', new.caller);
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
  -- Who stops before the end of the transaction is ended by the server: the locks stay until then. Against accidents: it can be set back.
  if (select s.setting::integer not between 1 and 10000 from pg_settings s where s.name = 'idle_in_transaction_session_timeout') then
    perform set_config('idle_in_transaction_session_timeout', '10s', true);
  end if;
  -- The parent first, as all who lock both do; the months themselves are left alone.
  if month_start > now() then
    lock table only @home.domain_events in share update exclusive mode;
  else
    -- A writer that had been sent on to the default partition would fail once that takes no more events of this month; a reader that
    -- had made its plan would pass over the first events of the new one, and a tail would never come back to them.
    lock table only @home.domain_events in access exclusive mode;
  end if;
  lock table @home.domain_events_default in access exclusive mode;
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
$body$, '@home', home), '@name', quote_literal(schema)), '@door', quote_literal(home || '.make_partition(timestamptz)')),
    '@checkpoints', quote_literal(home || '.flush_checkpoints')));

  perform set_config('search_path', home, true); -- as the migration has found it
end
$migration$;
