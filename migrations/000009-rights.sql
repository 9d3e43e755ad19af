-- Who may raise what, and a runtime that needs no rights of an owner.
--
-- `raise_event` needs, beside the right to execute it, a row of `raise_rights` for the role that has logged in (or one that
-- it is a member of), and writes that role into the event's metadata as `databaseRole`, over whatever the caller gave. Both
-- go by session_user, which `set role` does not change. `make_partition` runs with the owner's rights, so that a runtime
-- makes months without owning the tables; no longer everybody may execute it.
--
-- In the bodies @home stands for the schema's name as an identifier, @name for it as a text, and @sequence for the text
-- that names the sequence in it.

-- `*` in a column: any role, any type. Only the owner writes it.
create table raise_rights (
  role_name      text not null,
  aggregate_type text not null,
  event_type     text not null default '*',
  primary key (role_name, aggregate_type, event_type)
);

do $migration$
declare
  schema text := pg_catalog.current_schema();
  home   text := pg_catalog.quote_ident(schema);
  pinned text := ' set search_path = pg_catalog, pg_temp as ';
begin
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

  -- As before (000007), but for the rights and the role.
  execute 'create or replace function ' || home || $signature$.raise_event(
    aggregate_type   text,
    aggregate_id     text,
    event_type       text,
    data             jsonb,
    metadata         jsonb default '{}',
    expected_version integer default null
  ) returns integer
  language plpgsql security definer$signature$ || pinned || quote_literal(replace(replace($body$
#variable_conflict use_variable
declare
  head   record;
  at     timestamptz := date_trunc('milliseconds', clock_timestamp());
  new_id uuid := @home.new_event_id();
  number bigint;
begin
  metadata := coalesce(metadata, '{}');
  if jsonb_typeof(metadata) = 'object' then
    metadata := metadata || jsonb_build_object('databaseRole', session_user);
  end if;
  perform @home.check_event(aggregate_type, aggregate_id, event_type, data, metadata);
  -- Here current_user is this schema's owner. Who may act as the owner needs no row.
  if not pg_has_role(session_user, current_user, 'usage') and not exists (
    select from @home.raise_rights r
    where (r.aggregate_type = '*' or r.aggregate_type = aggregate_type)
      and (r.event_type = '*' or r.event_type = event_type)
      and (r.role_name = '*' or exists (
        select from pg_roles p where p.rolname = r.role_name and pg_has_role(session_user, p.oid, 'usage')))
  ) then
    raise exception using errcode = '42501', message = format('role %s may not raise %s.%s: no row of raise_rights says so',
      session_user, aggregate_type, event_type);
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
    values (new_id, aggregate_type, aggregate_id, head.version, event_type, 1, at, data, metadata, number);
  insert into @home.outbox (sequence, id, occurred_at) values (number, new_id, at);
  return head.version;
end
$body$, '@home', home), '@sequence',
    quote_literal(home || '.domain_events_sequence')));

  -- As before (000007), but with the owner's rights; for other roles within bounds.
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
  if not pg_try_advisory_xact_lock(hashtext('trunkline.upkeep'), hashtext(@name)) then
    return null;
  end if;
  if to_regclass(quote_ident(@name) || '.' || quote_ident(partition)) is not null then
    return null;
  end if;
  -- A writer that had been sent on to the default partition would fail once that takes no more events of this month.
  lock table @home.domain_events in access exclusive mode;
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

  execute 'revoke all on function ' || home || '.make_partition(timestamptz) from public';

  perform set_config('search_path', home, true); -- as the migration has found it
end
$migration$;
