-- What `saveWithTx` does, as functions: the server keeps their plans for each session. As statements sent by the client they
-- would be planned anew for each event (0.7 ms on a machine where the rest takes 0.2 ms), or be named ones, which do not
-- outlive a turn with a pooler. They run with the caller's rights.
--
-- @home stands for the schema's name as an identifier.
do $migration$
declare
  schema text := pg_catalog.current_schema();
  home   text := pg_catalog.quote_ident(schema);
  pinned text := ' set search_path = pg_catalog, pg_temp as ';
begin
  -- One event, by simple statements: as one statement it takes a fifth longer, and as the function for several, with arrays
  -- of length one, three times as long. Whether a type belongs to actors is looked up for new aggregates only: the head of
  -- an old one says it by its log. Returns the version.
  execute 'create function ' || home || $signature$.append_event(
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

  -- Several, all or none, with one place in each array for each. Events may carry a version or not; one version that is
  -- given decides for all of its aggregate. Heads are taken in byte order. Returns the versions, in the events' order.
  execute 'create function ' || home || $signature$.append_events(
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
begin
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
end
$migration$;
