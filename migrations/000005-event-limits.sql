-- One gate of limits for events that SQL raises: the same as every other door has (src/limits.ts), so that whatever a
-- transaction commits, a relay, a log and every sink can take.

-- Refuses with SQLSTATE 22023 what no log could take.
create function check_event(
  aggregate_type text,
  aggregate_id   text,
  event_type     text,
  data           jsonb,
  metadata       jsonb
) returns void
language plpgsql immutable as $$
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
$$;

-- As before (000002), behind the gate.
create or replace function raise_event(
  aggregate_type   text,
  aggregate_id     text,
  event_type       text,
  data             jsonb,
  metadata         jsonb default '{}',
  expected_version integer default null
) returns integer
language plpgsql security definer as $$
#variable_conflict use_variable
declare
  head   record;
  at     timestamptz := date_trunc('milliseconds', clock_timestamp());
  new_id uuid := new_event_id();
  number bigint;
begin
  metadata := coalesce(metadata, '{}');
  perform check_event(aggregate_type, aggregate_id, event_type, data, metadata);
  if exists (select from actor_types t where t.aggregate_type = aggregate_type) then
    perform refuse_append(array[aggregate_type], array[aggregate_id], array[coalesce(expected_version, 0)]);
  end if;
  -- The head first: its lock, held to the end of the transaction, puts an aggregate's numbers in the order of versions.
  insert into aggregates as a
      (aggregate_type, aggregate_id, version, previous_version, first_occurred_at, last_occurred_at)
    select aggregate_type, aggregate_id, 1, 0, at, at
    where coalesce(expected_version, 0) = 0 or exists (
      select from aggregates h where h.aggregate_type = aggregate_type and h.aggregate_id = aggregate_id)
    on conflict on constraint aggregates_pkey do update set
      version = a.version + 1,
      previous_version = a.version,
      first_occurred_at = least(a.first_occurred_at, excluded.first_occurred_at),
      last_occurred_at = greatest(a.last_occurred_at, excluded.last_occurred_at),
      updated_at = excluded.updated_at
    where a.log_id is null and a.version = coalesce(expected_version, a.version)
    returning a.version into head;
  if head.version is null then
    perform refuse_append(array[aggregate_type], array[aggregate_id], array[coalesce(expected_version, 0)]);
  end if;
  number := nextval('domain_events_sequence');
  insert into domain_events (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data,
                             metadata, sequence)
    values (new_id, aggregate_type, aggregate_id, head.version, event_type, 1, at, data, metadata, number);
  insert into outbox (sequence, id, occurred_at) values (number, new_id, at);
  return head.version;
end
$$;

-- What runs with its owner's rights looks names up in this schema alone, a caller's temporary tables last.
do $$
begin
  execute format('alter function raise_event set search_path = %I, pg_temp', current_schema());
end
$$;
