-- The right to save events in a transaction of one's own is the right to execute save_event and save_events, and none on a table. With
-- the rights on tables that saveWithTx has asked for until now, a role can also lock heads of actors (`select … for update`), and so hold
-- up the flush for as long as it leaves its transaction open, and write rows of its own.
--
-- Both run with the owner's rights, so no trigger asks for the caller's: whoever calls, no head of an actor's or of a log is locked,
-- and no name of a role is written. They need not know who that is, since the server itself asks the role in effect for `execute`.
-- What belongs to a log is refused before anything is locked, without waiting for a flush. Should a flush take a head over between
-- that look and the lock, the refusal ends the lock with the (sub)transaction.
--
-- append_event and append_events stay what saveWithTx calls. They take this way for who has `execute`, and go on with the caller's own
-- rights on the tables for all others.
--
-- In the bodies @home stands for the schema's name as an identifier, @sequence for the text that names the sequence in it, and @door for
-- the text that names the function whose `execute` the caller needs.
do $migration$
declare
  schema text := pg_catalog.current_schema();
  home   text := pg_catalog.quote_ident(schema);
  pinned text := ' set search_path = pg_catalog, pg_temp as ';
  one    text := '(uuid, text, text, text, integer, timestamptz, jsonb, jsonb, integer)';
  lists  text := '(uuid[], text[], text[], text[], integer[], timestamptz[], jsonb[], jsonb[], integer[])';
begin
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

  -- What does the work (000008): with the rights of who calls it.
  execute 'alter function ' || home || '.append_event' || one || ' rename to write_event';
  execute 'alter function ' || home || '.append_events' || lists || ' rename to write_events';

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
  ) returns integer
  language plpgsql security definer$signature$ || pinned || quote_literal(replace(replace($body$
#variable_conflict use_column
declare
  given  integer;
  number bigint;
begin
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
    return @home.refuse_append(array[of_type], array[of_id], array[coalesce(expected, 0)]);
  end if;
  -- Drawn before, which costs less than to have the insert return it.
  number := nextval(@sequence::regclass);
  insert into @home.domain_events
    (id, aggregate_type, aggregate_id, event_type, schema_version, occurred_at, data, metadata, version, sequence)
  values (new_id, of_type, of_id, named, shape, at, payload, extra, given, number);
  insert into @home.outbox (sequence, id, occurred_at) values (number, new_id, at);
  return given;
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
  ) returns integer[]
  language plpgsql security definer$signature$ || pinned || quote_literal(replace($body$
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
  return @home.write_events(new_ids, of_types, of_ids, named, shapes, at, payloads, extras, wanted_versions);
end
$body$, '@home', home));

  execute 'revoke all on function ' || home || '.save_event' || one || ', ' || home || '.save_events' || lists || ' from public';

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
  language plpgsql$signature$ || pinned || quote_literal(replace(replace($body$
begin
  if has_function_privilege(@door::regprocedure, 'execute') then
    return @home.save_event(new_id, of_type, of_id, named, shape, at, payload, extra, expected);
  end if;
  return @home.write_event(new_id, of_type, of_id, named, shape, at, payload, extra, expected);
end
$body$, '@home', home), '@door', quote_literal(home || '.save_event' || one)));

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
  language plpgsql$signature$ || pinned || quote_literal(replace(replace($body$
begin
  if has_function_privilege(@door::regprocedure, 'execute') then
    return @home.save_events(new_ids, of_types, of_ids, named, shapes, at, payloads, extras, wanted_versions);
  end if;
  return @home.write_events(new_ids, of_types, of_ids, named, shapes, at, payloads, extras, wanted_versions);
end
$body$, '@home', home), '@door', quote_literal(home || '.save_events' || lists)));

  perform set_config('search_path', home, true); -- as the migration has found it
end
$migration$;
