-- One gate of limits for every event that comes by SQL: raise_event, append_event, append_events, and rows that a role inserts or
-- changes itself. The limits are those of every other door (src/wire/limits.ts): a row beyond them could be read by no log, sink,
-- tail or handler. `event_fault` alone holds them; whichever door the row came by, a trigger of domain_events asks it.
--
-- Rows that a flush brings (they have a log_id) have passed the log's doors: of these only the widths are looked at, in the
-- trigger's condition, which costs no call of a function. After, not before: COPY goes on writing many rows at once.
--
-- In the bodies @home stands for the schema's name as an identifier.
do $migration$
declare
  schema text := pg_catalog.current_schema();
  home   text := pg_catalog.quote_ident(schema);
  pinned text := ' set search_path = pg_catalog, pg_temp as ';
begin
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

  -- Why no reader could take the event; null: each can. `data_most`, `metadata_most`: bytes as the server prints them.
  execute 'create function ' || home || $signature$.event_fault(
    aggregate_type text,
    aggregate_id   text,
    event_type     text,
    schema_version integer,
    occurred_at    timestamptz,
    data           jsonb,
    metadata       jsonb,
    data_most      integer,
    metadata_most  integer
  ) returns text
  language plpgsql immutable$signature$ || pinned || quote_literal($body$
#variable_conflict use_variable
declare
  named text;
begin
  if octet_length(aggregate_type) not between 1 and 100 or octet_length(aggregate_id) not between 1 and 255
     or octet_length(event_type) not between 1 and 100
     or aggregate_type is null or aggregate_id is null or event_type is null then
    return 'aggregate_type and event_type take 1 to 100 bytes, aggregate_id 1 to 255';
  end if;
  if schema_version is null or schema_version not between 1 and 65535 then
    return 'schema_version must be from 1 to 65535';
  end if;
  if occurred_at is null
     or occurred_at not between '4712-01-01 00:00:00+00 BC'::timestamptz and '275760-09-13 00:00:00+00'::timestamptz then
    return 'occurred_at must lie between the years 4712 B. C. and 275760';
  end if;
  if data is null or octet_length(data::text) > data_most then
    return format('data must be a JSON value of at most %s bytes', data_most);
  end if;
  if jsonb_typeof(metadata) <> 'object' or octet_length(metadata::text) > metadata_most then
    return format('metadata must be a JSON object of at most %s bytes', metadata_most);
  end if;
  -- The depth before anything that walks all the way down. Strict: lax would look through the lists that are sought.
  if data @? 'strict $.**{201} ? (@.type() == "object" || @.type() == "array")'
     or metadata @? 'strict $.**{201} ? (@.type() == "object" || @.type() == "array")' then
    return 'data or metadata is nested deeper than 200';
  end if;
  if jsonb_build_array(data, metadata)
     @? '$.** ? (@.type() == "number" && (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308))' then
    return 'data or metadata holds a number beyond what JSON readers can take';
  end if;
  if metadata is null then
    return null;
  end if;
  select key into named from jsonb_each(metadata)
    where key in ('correlationId', 'causationId', 'commandId', 'tenantId', 'traceparent', 'source')
      and jsonb_typeof(value) <> 'null' and jsonb_typeof(value) <> 'string'
    limit 1;
  if named is not null then
    return format('metadata.%s must be text', named);
  end if;
  return null;
end
$body$);

  -- As before (000007), by the one list of limits. What raise_event asks before it takes a lock.
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
  fault text := @home.event_fault(aggregate_type, aggregate_id, event_type, 1, '2000-01-01 00:00:00+00'::timestamptz, data, metadata,
    1048576, 65536);
begin
  if fault is not null then
    raise exception using errcode = '22023', message = fault;
  end if;
end
$body$, '@home', home));

  -- What a transaction of the user's may write is bounded by the client in the bytes of its own JSON; the server's text of the same
  -- value is longer (blanks, digits), so what no reader could take is all that is refused here.
  execute 'create function ' || home || $signature$.check_event_row() returns trigger
  language plpgsql$signature$ || pinned || quote_literal(replace($body$
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
  return null;
end
$body$, '@home', home));

  execute replace($trigger$
    create trigger event_gate after insert on @home.domain_events for each row
    when (new.log_id is null
      or new.schema_version not between 1 and 65535
      or new.occurred_at not between '4712-01-01 00:00:00+00 BC'::timestamptz and '275760-09-13 00:00:00+00'::timestamptz
      or octet_length(new.aggregate_type) not between 1 and 100
      or octet_length(new.aggregate_id) not between 1 and 255
      or octet_length(new.event_type) not between 1 and 100
      or jsonb_typeof(new.metadata) <> 'object'
      or new.position not between 1 and 9007199254740991)
    execute function @home.check_event_row();
    create trigger event_change_gate after update of
      aggregate_type, aggregate_id, event_type, schema_version, occurred_at, data, metadata on @home.domain_events for each row
    execute function @home.check_event_row()
  $trigger$, '@home', home);

  -- Heads and rows of the outbox that a role with the rights of saveWithTx may write: numbers and times that their readers bear.
  execute replace($checks$
    alter table @home.aggregates add constraint aggregates_numbers
      check (version >= 0 and previous_version >= 0 and position between 0 and 9007199254740991) not valid;
    alter table @home.outbox add constraint outbox_times check (isfinite(occurred_at)) not valid
  $checks$, '@home', home);

  perform set_config('search_path', home, true); -- as the migration has found it
end
$migration$;
