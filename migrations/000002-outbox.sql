-- Events of the user's own transactions, and their way from there into a log.

-- Types whose events actors raise, through a log: registered by each runtime. Transactions may not write them.
create table actor_types (
  aggregate_type text primary key
);

-- What no log has yet: one row for each event in domain_events. A relay claims rows for one log (log_id, batch) and
-- appends their events to it; that log's flusher deletes them in the transaction that moves its checkpoint past them.
create table outbox (
  sequence    bigint      primary key,
  id          uuid        not null,
  occurred_at timestamptz not null,
  log_id      text,
  batch       bigint
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

create index idx_outbox_claimed on outbox (batch, sequence) where batch is not null;
create sequence outbox_batch as bigint owned by outbox.batch;

-- Says why events could not be appended: called when an aggregate was not as expected. Never returns.
create function refuse_append(types text[], ids text[], expected integer[]) returns integer
language plpgsql set search_path from current as $$
declare
  head record;
begin
  for i in 1 .. cardinality(types) loop
    if exists (select from actor_types t where t.aggregate_type = types[i]) then
      raise exception using errcode = 'TKWRD', detail = types[i], message = format(
        '%s: its events are raised by commands of its actors; entities must use another type', types[i]);
    end if;
    select a.version, a.log_id into head from aggregates a where a.aggregate_type = types[i] and a.aggregate_id = ids[i];
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
$$;

-- A UUIDv7 of now.
create function new_event_id() returns uuid
language sql volatile as $$
  -- The random UUID's first 48 bits become the time; its version goes from 4 (0100) to 7 (0111).
  select encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) placing
    substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
    52, 1), 53, 1), 'hex')::uuid
$$;

-- Raise an event of an entity within the caller's transaction, from any language. Returns the aggregate's version with it.
-- Refuses with SQLSTATE TKCON if the aggregate is not at expected_version, TKWRD if its type belongs to actors, and 22023
-- for what no log could take. Needs no right on the tables: grant execute to whoever may raise events.
create function raise_event(
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
  if octet_length(aggregate_type) not between 1 and 100 or octet_length(aggregate_id) not between 1 and 255
     or octet_length(event_type) not between 1 and 100
     or aggregate_type is null or aggregate_id is null or event_type is null then
    raise exception using errcode = '22023',
      message = 'aggregate_type and event_type take 1 to 100 bytes, aggregate_id 1 to 255';
  end if;
  if data is null or octet_length(data::text) > 1048576 then
    raise exception using errcode = '22023', message = 'data must be a JSON value of at most 1 MiB';
  end if;
  metadata := coalesce(metadata, '{}');
  if jsonb_typeof(metadata) <> 'object' or octet_length(metadata::text) > 65536 then
    raise exception using errcode = '22023', message = 'metadata must be a JSON object of at most 64 KiB';
  end if;
  if jsonb_build_array(data, metadata)
     @? '$.** ? (@.type() == "number" && (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308))' then
    raise exception using errcode = '22023',
      message = 'data or metadata holds a number beyond what JSON readers can take';
  end if;
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
  execute format('alter function new_event_id set search_path = %I, pg_temp', current_schema());
end
$$;
revoke all on function raise_event from public;
