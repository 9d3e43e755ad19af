-- What roles that save events could still do by the form of what they save.
--
-- - A log has milliseconds. An event with a finer time was relayed, and not found when its place was noted (LostByStore). What saves
--   rounds times down. A row with a finer time is refused to roles that may not move a log's checkpoint: it could take the place of
--   another in the log, of which microseconds told it apart.
-- - The gate of events did not look at rows with a log_id: a role with `insert` on the whole of domain_events wrote events of actors. It
--   looks at each row of a role that may not move a log's checkpoint, and refuses log_id and position to it.
-- - PL/pgSQL keeps a simple expression, and what it may execute, for the transaction: a helper function that had called save_event for a
--   role with `execute` called it for one without. An expression with a function that returns a set is never simple, so the server asks
--   each time: save_event and save_events return a set of one. Rights on them stay.
-- - Arrays without an event, or of different lengths, are refused by a message that says so.
--
-- In the bodies @home stands for the schema's name as an identifier, @sequence for the text that names the sequence in it, and
-- @checkpoints for the text that names the table of checkpoints.
do $migration$
declare
  schema      text := pg_catalog.current_schema();
  home        text := pg_catalog.quote_ident(schema);
  checkpoints text := pg_catalog.quote_literal(home || '.flush_checkpoints');
  pinned      text := ' set search_path = pg_catalog, pg_temp as ';
  one         text := home || '.save_event(uuid, text, text, text, integer, timestamptz, jsonb, jsonb, integer)';
  several     text := home || '.save_events(uuid[], text[], text[], text[], integer[], timestamptz[], jsonb[], jsonb[], integer[])';
  grants      text[];
  given       text;
begin
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

  -- As before (000008), but for the time.
  execute 'create or replace function ' || home || $signature$.write_event(
    new_id   uuid,
    of_type  text,
    of_id    text,
    named    text,
    shape    integer,
    at       timestamptz,
    payload  jsonb,
    extra    jsonb,
    expected integer
  ) returns integer
  language plpgsql$signature$ || pinned || quote_literal(replace($body$
#variable_conflict use_column
declare
  given  integer;
  number bigint;
begin
  at := date_trunc('milliseconds', at);
  -- A head that is there moves; a new one is made. Twice, as another transaction may make it between the two.
  for attempt in 1 .. 2 loop
    if expected is distinct from 0 then
      update @home.aggregates as a set
        version = a.version + 1,
        previous_version = a.version,
        first_occurred_at = least(a.first_occurred_at, at),
        last_occurred_at = greatest(a.last_occurred_at, at),
        updated_at = now()
      where a.aggregate_type = of_type and a.aggregate_id = of_id
        and a.log_id is null and a.version = coalesce(expected, a.version)
      returning a.version into given;
      exit when given is not null or expected is not null;
    end if;
    insert into @home.aggregates as a
      (aggregate_type, aggregate_id, version, previous_version, first_occurred_at, last_occurred_at)
    select of_type, of_id, 1, 0, at, at
    where not exists (select from @home.actor_types t where t.aggregate_type = of_type)
    on conflict (aggregate_type, aggregate_id) do nothing
    returning a.version into given;
    exit when given is not null or expected is not null;
  end loop;
  if given is null then
    return @home.refuse_append(array[of_type], array[of_id], array[coalesce(expected, 0)]);
  end if;
  insert into @home.domain_events
    (id, aggregate_type, aggregate_id, event_type, schema_version, occurred_at, data, metadata, version)
  values (new_id, of_type, of_id, named, shape, at, payload, extra, given)
  returning sequence into number;
  insert into @home.outbox (sequence, id, occurred_at) values (number, new_id, at);
  return given;
end
$body$, '@home', home));

  -- As before (000008), but for the times and the look at the arrays.
  execute 'create or replace function ' || home || $signature$.write_events(
    new_ids  uuid[],
    of_types text[],
    of_ids   text[],
    named    text[],
    shapes   integer[],
    at       timestamptz[],
    payloads jsonb[],
    extras   jsonb[],
    wanted_versions integer[]
  ) returns integer[]
  language plpgsql$signature$ || pinned || quote_literal(replace($body$
#variable_conflict use_column
declare
  given_versions integer[];
  is_appended boolean;
  places integer := cardinality(new_ids);
begin
  if coalesce(places, 0) = 0 or exists (
    select from unnest(array[cardinality(of_types), cardinality(of_ids), cardinality(named), cardinality(shapes), cardinality(at),
      cardinality(payloads), coalesce(cardinality(extras), places), coalesce(cardinality(wanted_versions), places)]) as a (length)
    where a.length is distinct from places
  ) then
    raise exception using errcode = '22023', message = 'events are given as arrays, one event at least, with a place in each array for each';
  end if;
  at := array(select date_trunc('milliseconds', t.at) from unnest(at) with ordinality as t (at, place) order by t.place);
  with input as materialized (
    select i.*, (row_number() over (partition by aggregate_type, aggregate_id order by place))::integer as nth
    from unnest(new_ids, of_types, of_ids, named, shapes, at, payloads, extras, wanted_versions) with ordinality
      as i (id, aggregate_type, aggregate_id, event_type, schema_version, occurred_at, data, metadata, version, place)
  ), wanted as materialized (
    select aggregate_type, aggregate_id, count(*)::integer as events, max(version - nth) as expected,
      min(occurred_at) as first, max(occurred_at) as last
    from input group by aggregate_type, aggregate_id
    order by aggregate_type collate "C", aggregate_id collate "C"
  ), head as (
    insert into @home.aggregates as a
      (aggregate_type, aggregate_id, version, previous_version, first_occurred_at, last_occurred_at)
    select aggregate_type, aggregate_id, coalesce(expected, 0) + events, coalesce(expected, 0), first, last
    from wanted w
    where case when coalesce(expected, 0) = 0
      then not exists (select from @home.actor_types t where t.aggregate_type = w.aggregate_type)
      else exists (select from @home.aggregates h
        where h.aggregate_type = w.aggregate_type and h.aggregate_id = w.aggregate_id) end
    on conflict (aggregate_type, aggregate_id) do update set
      version = a.version + excluded.version - excluded.previous_version,
      previous_version = a.version,
      first_occurred_at = least(a.first_occurred_at, excluded.first_occurred_at),
      last_occurred_at = greatest(a.last_occurred_at, excluded.last_occurred_at),
      updated_at = excluded.updated_at
    where a.log_id is null and (a.version = excluded.previous_version or excluded.previous_version = 0
      and (select expected from wanted w
           where w.aggregate_type = a.aggregate_type and w.aggregate_id = a.aggregate_id) is null)
    returning aggregate_type, aggregate_id, previous_version
  ), numbered as materialized (
    select i.*, h.previous_version + i.nth as given from input i join head h using (aggregate_type, aggregate_id)
  ), event as (
    insert into @home.domain_events
      (id, aggregate_type, aggregate_id, event_type, schema_version, occurred_at, data, metadata, version)
    select id, aggregate_type, aggregate_id, event_type, schema_version, occurred_at, data, metadata, given from (
      select * from numbered where (select count(*) from head) = (select count(*) from wanted) order by place) as i
    returning sequence, id, occurred_at
  ), taken as (
    insert into @home.outbox (sequence, id, occurred_at) select sequence, id, occurred_at from event
  )
  select (select array_agg(given order by place) from numbered), exists (select from event)
    into given_versions, is_appended;
  if is_appended then
    return given_versions;
  end if;
  -- Says which, and why. A head that the statement above has moved is as it was before: the transaction ends here.
  perform @home.refuse_append(array_agg(aggregate_type), array_agg(aggregate_id), array_agg(expected)) from (
    select aggregate_type, aggregate_id, max(version - nth) as expected from (
      select aggregate_type, aggregate_id, version,
        (row_number() over (partition by aggregate_type, aggregate_id order by place))::integer as nth
      from unnest(of_types, of_ids, wanted_versions) with ordinality as i (aggregate_type, aggregate_id, version, place)
    ) as i group by aggregate_type, aggregate_id
  ) as w;
  return null;
end
$body$, '@home', home));

  -- What a function returns cannot be changed: both are made again, with the rights that roles have on them.
  select array_agg(format('grant execute on function %s to %s%s', f.door, case when a.grantee = 0 then 'public'
      else quote_ident(pg_get_userbyid(a.grantee)) end, case when a.is_grantable then ' with grant option' else '' end))
    into grants
    from unnest(array[one, several]) as f (door) join pg_proc p on p.oid = f.door::regprocedure
      cross join aclexplode(p.proacl) as a
    where a.privilege_type = 'EXECUTE' and a.grantee <> p.proowner;
  execute format('drop function %s, %s', one, several);

  -- As before (000024), but for the time and what it returns.
  execute 'create function ' || home || $signature$.save_event(
    new_id   uuid,
    of_type  text,
    of_id    text,
    named    text,
    shape    integer,
    at       timestamptz,
    payload  jsonb,
    extra    jsonb,
    expected integer
  ) returns setof integer
  language plpgsql security definer rows 1$signature$ || pinned || quote_literal(replace(replace($body$
#variable_conflict use_column
declare
  given  integer;
  number bigint;
begin
  at := date_trunc('milliseconds', at);
  if extra ?| array['databaseRole', 'databaseLogin'] then
    raise exception using errcode = '42501', message = 'metadata.databaseRole and databaseLogin are written by raise_event alone';
  end if;
  -- A head that is there moves; a new one is made. Twice, as another transaction may make it between the two. `on conflict do nothing`
  -- waits for whoever changes the row that is there: so it is not tried where that is a log's.
  for attempt in 1 .. 2 loop
    if expected is distinct from 0 then
      update @home.aggregates as a set
        version = a.version + 1,
        previous_version = a.version,
        first_occurred_at = least(a.first_occurred_at, at),
        last_occurred_at = greatest(a.last_occurred_at, at),
        updated_at = now()
      where a.aggregate_type = of_type and a.aggregate_id = of_id
        and a.log_id is null and a.version = coalesce(expected, a.version)
        and not exists (select from @home.actor_types t where t.aggregate_type = of_type)
      returning a.version into given;
      exit when given is not null or expected is not null;
    end if;
    insert into @home.aggregates as a
      (aggregate_type, aggregate_id, version, previous_version, first_occurred_at, last_occurred_at)
    select of_type, of_id, 1, 0, at, at
    where not exists (select from @home.actor_types t where t.aggregate_type = of_type)
      and not exists (select from @home.aggregates h
        where h.aggregate_type = of_type and h.aggregate_id = of_id and h.log_id is not null)
    on conflict (aggregate_type, aggregate_id) do nothing
    returning a.version into given;
    exit when given is not null or expected is not null;
  end loop;
  if given is null then
    perform @home.refuse_append(array[of_type], array[of_id], array[coalesce(expected, 0)]);
  end if;
  -- Drawn before, which costs less than to have the insert return it.
  number := nextval(@sequence::regclass);
  insert into @home.domain_events
    (id, aggregate_type, aggregate_id, event_type, schema_version, occurred_at, data, metadata, version, sequence)
  values (new_id, of_type, of_id, named, shape, at, payload, extra, given, number);
  insert into @home.outbox (sequence, id, occurred_at) values (number, new_id, at);
  return next given;
end
$body$, '@home', home), '@sequence', quote_literal(home || '.domain_events_sequence')));

  execute 'create function ' || home || $signature$.save_events(
    new_ids  uuid[],
    of_types text[],
    of_ids   text[],
    named    text[],
    shapes   integer[],
    at       timestamptz[],
    payloads jsonb[],
    extras   jsonb[],
    wanted_versions integer[]
  ) returns setof integer[]
  language plpgsql security definer rows 1$signature$ || pinned || quote_literal(replace($body$
declare
  taken record;
begin
  if exists (select from unnest(extras) as e (extra) where e.extra ?| array['databaseRole', 'databaseLogin']) then
    raise exception using errcode = '42501', message = 'metadata.databaseRole and databaseLogin are written by raise_event alone';
  end if;
  for taken in
    select w.of_type, w.of_id from unnest(of_types, of_ids) as w (of_type, of_id)
    where exists (select from @home.actor_types t where t.aggregate_type = w.of_type)
      or exists (select from @home.aggregates a where a.aggregate_type = w.of_type and a.aggregate_id = w.of_id and a.log_id is not null)
  loop
    perform @home.refuse_append(array[taken.of_type], array[taken.of_id], array[0]);
  end loop;
  return next @home.write_events(new_ids, of_types, of_ids, named, shapes, at, payloads, extras, wanted_versions);
end
$body$, '@home', home));

  execute format('revoke all on function %s, %s from public', one, several);
  foreach given in array coalesce(grants, '{}') loop
    execute given;
  end loop;

  -- As before (000023), but for times, log_id and position.
  execute 'create or replace function ' || home || $signature$.check_event_row() returns trigger
  language plpgsql set search_path = pg_catalog, pg_temp as $signature$ || quote_literal(replace(replace($body$
declare
  fault text := @home.event_fault(new.aggregate_type, new.aggregate_id, new.event_type, new.schema_version, new.occurred_at,
    new.data, new.metadata, 67108864, 67108864);
begin
  if new.position not between 1 and 9007199254740991 then
    fault := 'position must be from 1 to 2^53 - 1';
  end if;
  if fault is not null then
    raise exception using errcode = '22023', message = fault;
  end if;
  if tg_op <> 'INSERT' or has_any_column_privilege(@checkpoints, 'update') then
    return null;
  end if;
  if new.log_id is not null or new.position is not null then
    raise exception using errcode = '42501', message = format(
      'role %s may not write log_id or position of %s/%s: roles that may write flush_checkpoints write them',
      current_user, new.aggregate_type, new.aggregate_id);
  end if;
  if new.occurred_at <> date_trunc('milliseconds', new.occurred_at) then
    raise exception using errcode = '22023', message = 'occurred_at must be a whole number of milliseconds: date_trunc(''milliseconds'', …)';
  end if;
  if new.metadata ?| array['databaseRole', 'databaseLogin'] then
    raise exception using errcode = '42501', message = format(
      'role %s may not write metadata.databaseRole or databaseLogin: raise_event writes them', current_user);
  end if;
  if exists (select from @home.actor_types t where t.aggregate_type = new.aggregate_type)
      or exists (select from @home.aggregates a
        where a.aggregate_type = new.aggregate_type and a.aggregate_id = new.aggregate_id and a.log_id is not null) then
    raise exception using errcode = '42501', message = format(
      'role %s may not write events of %s/%s: it belongs to actors or to a log, whose events are written by roles that may write flush_checkpoints',
      current_user, new.aggregate_type, new.aggregate_id);
  end if;
  return null;
end
$body$, '@home', home), '@checkpoints', checkpoints));

  -- As before (000012), but for the role. Its right is looked at last: for each row of a flush.
  execute replace(replace($trigger$
    create or replace trigger event_gate after insert on @home.domain_events for each row
    when (new.log_id is null
      or new.schema_version not between 1 and 65535
      or new.occurred_at not between '4712-01-01 00:00:00+00 BC'::timestamptz and '275760-09-13 00:00:00+00'::timestamptz
      or octet_length(new.aggregate_type) not between 1 and 100
      or octet_length(new.aggregate_id) not between 1 and 255
      or octet_length(new.event_type) not between 1 and 100
      or jsonb_typeof(new.metadata) <> 'object'
      or new.position not between 1 and 9007199254740991
      or not has_any_column_privilege(@checkpoints::regclass, 'update'))
    execute function @home.check_event_row()
  $trigger$, '@home', home), '@checkpoints', checkpoints);

  perform set_config('search_path', home, true); -- as the migration has found it
end
$migration$;
