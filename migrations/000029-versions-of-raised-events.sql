-- raise_event wrote version 1 of each event's payload, whatever its shape was. raise_versioned_event gives the version. It is another
-- function, since one of the same name with one argument more would make calls ambiguous; and it asks for the same right, `execute`
-- on raise_event, so that a role needs no further grant.
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

  execute replace($views$
    create or replace view @home.raise_intake as select null::name as caller, null::text as aggregate_type, null::text as aggregate_id,
      null::text as event_type, null::jsonb as data, null::jsonb as metadata, null::integer as expected_version,
      null::integer as version, null::integer as schema_version where false;
    grant insert (schema_version) on @home.raise_intake to public
  $views$, '@home', home);

  -- As before (000017), but for the version.
  execute 'create or replace function ' || home || $signature$.raise_for_caller() returns trigger
  language plpgsql security definer$signature$ || pinned || quote_literal(replace(replace(replace(replace($body$
#variable_conflict use_variable
declare
  aggregate_type   text := new.aggregate_type;
  aggregate_id     text := new.aggregate_id;
  event_type       text := new.event_type;
  metadata         jsonb := coalesce(new.metadata, '{}');
  expected_version integer := new.expected_version;
  schema_version   integer := coalesce(new.schema_version, 1);
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
  if schema_version not between 1 and 65535 then
    raise exception using errcode = '22023', message = format('schema_version is %s, and must be 1 to 65,535', schema_version);
  end if;
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
    values (new_id, aggregate_type, aggregate_id, head.version, event_type, schema_version, at, new.data, metadata, number);
  insert into @home.outbox (sequence, id, occurred_at) values (number, new_id, at);
  new.version := head.version;
  return new;
end
$body$, '@home', home), '@sequence', quote_literal(home || '.domain_events_sequence')), '@name', quote_literal(schema)),
    '@door', quote_literal(home || '.raise_event(text, text, text, jsonb, jsonb, integer)')));

  execute 'create function ' || home || $signature$.raise_versioned_event(
    aggregate_type   text,
    aggregate_id     text,
    event_type       text,
    schema_version   integer,
    data             jsonb,
    metadata         jsonb default '{}',
    expected_version integer default null
  ) returns integer
  language plpgsql security invoker$signature$ || pinned || quote_literal(replace($body$
#variable_conflict use_variable
declare
  given integer;
begin
  insert into @home.raise_intake as i (aggregate_type, aggregate_id, event_type, schema_version, data, metadata, expected_version)
    values (aggregate_type, aggregate_id, event_type, schema_version, data, metadata, expected_version)
    returning i.version into given;
  if given is null then
    raise exception using errcode = '55000', message = 'raise_versioned_event needs the triggers of its schema: set session_replication_role to origin';
  end if;
  return given;
end
$body$, '@home', home));

  perform set_config('search_path', home, true); -- as the migration has found it
end
$migration$;
