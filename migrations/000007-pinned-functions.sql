-- Every function of ours names its tables with their schema, and looks all other names up in the server's own schema,
-- temporary objects last: `search_path = pg_catalog, pg_temp`. Where a path does not name pg_temp, temporary tables come
-- first: raise_event calls refuse_append, whose path lacked it, so a caller's temporary view named `actor_types` ran the
-- caller's functions with the rights of this schema's owner. This schema is not in the path either: who may create
-- something in it must not be able to put it before the server's own functions and operators.
--
-- In the bodies @home stands for the schema's name as an identifier, @name for it as a text, and @sequence for the text
-- that names the sequence in it.
do $migration$
declare
  schema text := pg_catalog.current_schema();
  home   text := pg_catalog.quote_ident(schema);
  pinned text := ' set search_path = pg_catalog, pg_temp as ';
begin
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

  -- As before (000002).
  execute 'create or replace function ' || home || $signature$.refuse_append(
    types    text[],
    ids      text[],
    expected integer[]
  ) returns integer
  language plpgsql$signature$ || pinned || quote_literal(replace($body$
declare
  head record;
begin
  for i in 1 .. cardinality(types) loop
    if exists (select from @home.actor_types t where t.aggregate_type = types[i]) then
      raise exception using errcode = 'TKWRD', detail = types[i], message = format(
        '%s: its events are raised by commands of its actors; entities must use another type', types[i]);
    end if;
    select a.version, a.log_id into head from @home.aggregates a
      where a.aggregate_type = types[i] and a.aggregate_id = ids[i];
    if head.log_id is not null then
      raise exception using errcode = 'TKWRD', detail = types[i], message = format(
        '%s/%s: its events come through a log; save them through the runtime, not in a transaction', types[i], ids[i]);
    end if;
    if coalesce(head.version, 0) <> expected[i] then
      raise exception using errcode = 'TKCON',
        detail = json_build_array(types[i], ids[i], expected[i], coalesce(head.version, 0)),
        message = format('%s/%s is at version %s, not at %s', types[i], ids[i], coalesce(head.version, 0), expected[i]);
    end if;
  end loop;
  -- Another transaction has moved on between our look and its own.
  raise exception using errcode = 'TKCON', detail = json_build_array(types[1], ids[1], expected[1], -1),
    message = format('%s/%s was changed at the same time', types[1], ids[1]);
end
$body$, '@home', home));

  -- As before (000002).
  execute 'create or replace function ' || home || $signature$.new_event_id() returns uuid
  language sql volatile$signature$ || pinned || quote_literal(replace($body$
  -- The random UUID's first 48 bits become the time; its version goes from 4 (0100) to 7 (0111).
  select encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) placing
    substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
    52, 1), 53, 1), 'hex')::uuid
$body$, '@home', home));

  -- As before (000005).
  execute 'create or replace function ' || home || $signature$.check_event(
    aggregate_type text,
    aggregate_id   text,
    event_type     text,
    data           jsonb,
    metadata       jsonb
  ) returns void
  language plpgsql immutable$signature$ || pinned || quote_literal(replace($body$
#variable_conflict use_variable
declare
  named text;
begin
  if octet_length(aggregate_type) not between 1 and 100 or octet_length(aggregate_id) not between 1 and 255
     or octet_length(event_type) not between 1 and 100
     or aggregate_type is null or aggregate_id is null or event_type is null then
    raise exception using errcode = '22023',
      message = 'aggregate_type and event_type take 1 to 100 bytes, aggregate_id 1 to 255';
  end if;
  if data is null or octet_length(data::text) > 1048576 then
    raise exception using errcode = '22023', message = 'data must be a JSON value of at most 1 MiB';
  end if;
  if jsonb_typeof(metadata) <> 'object' or octet_length(metadata::text) > 65536 then
    raise exception using errcode = '22023', message = 'metadata must be a JSON object of at most 64 KiB';
  end if;
  -- The depth before anything that walks all the way down. Strict: lax would look through the lists that are sought.
  if data @? 'strict $.**{201} ? (@.type() == "object" || @.type() == "array")'
     or metadata @? 'strict $.**{201} ? (@.type() == "object" || @.type() == "array")' then
    raise exception using errcode = '22023', message = 'data or metadata is nested deeper than 200';
  end if;
  if jsonb_build_array(data, metadata)
     @? '$.** ? (@.type() == "number" && (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308))' then
    raise exception using errcode = '22023',
      message = 'data or metadata holds a number beyond what JSON readers can take';
  end if;
  select key into named from jsonb_each(metadata)
    where key in ('correlationId', 'causationId', 'commandId', 'tenantId', 'traceparent', 'source')
      and jsonb_typeof(value) <> 'null' and jsonb_typeof(value) <> 'string'
    limit 1;
  if named is not null then
    raise exception using errcode = '22023',
      message = format('metadata.%s must be text', named);
  end if;
end
$body$, '@home', home));

  -- As before (000005).
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
  perform @home.check_event(aggregate_type, aggregate_id, event_type, data, metadata);
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

  -- As before (000006).
  execute 'create or replace function ' || home || $signature$.make_partition(moment timestamptz) returns text
  language plpgsql set datestyle to 'ISO' set timezone to 'UTC'$signature$ || pinned
    || quote_literal(replace(replace($body$
declare
  month_start timestamptz := date_trunc('month', moment, 'UTC');
  month_end   timestamptz := (month_start at time zone 'UTC' + interval '1 month') at time zone 'UTC';
  partition   text := to_char(moment at time zone 'UTC', '"domain_events_"YYYY"_"MM');
begin
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

  perform set_config('search_path', home, true); -- as the migration has found it
end
$migration$;
