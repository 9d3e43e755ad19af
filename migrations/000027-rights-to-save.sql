-- Who may save events of which types. A role with `execute` on save_event made heads of any entity: also of one that a service's log has
-- acknowledged and not stored yet. Such a transaction held up the flush while it was open, and put the log's events into quarantine
-- once it had committed. Now a row of raise_rights must name the role and the type, as for raise_event. The doors of the log refuse a
-- type that a row names (000009), so no head is made by both.
--
-- The schema's owner, and roles that may move a log's checkpoint (services), are not asked: what they publish and what they save is
-- theirs to tell apart.
--
-- A function with the owner's rights cannot see which role has called it. So save_event and save_events insert into a view with the
-- rights of who calls them; step_1 writes down the role in effect, and step_2 saves for that role (as in 000016 and 000017). No function
-- with the owner's rights can be called any more. A role with rights of its own on the tables is asked by their triggers, and needs
-- `select` on raise_rights for it.
--
-- In the bodies @home stands for the schema's name as an identifier, @name for it as a text; @checkpoints, @rights and @sequence for the
-- texts that name tables and the sequence in it; @one and @several for those that name the functions whose `execute` the caller needs.
do $migration$
declare
  schema      text := pg_catalog.current_schema();
  home        text := pg_catalog.quote_ident(schema);
  pinned      text := ' set search_path = pg_catalog, pg_temp as ';
  checkpoints text := pg_catalog.quote_literal(home || '.flush_checkpoints');
  rights      text := pg_catalog.quote_literal(home || '.raise_rights');
  numbers     text := pg_catalog.quote_literal(home || '.domain_events_sequence');
  one         text := '(uuid, text, text, text, integer, timestamptz, jsonb, jsonb, integer)';
  lists       text := '(uuid[], text[], text[], text[], integer[], timestamptz[], jsonb[], jsonb[], integer[])';
begin
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

  -- Columns that are not in this grant (`caller`, the result) callers cannot give, and do not have to.
  execute replace($view$
    create view @home.save_intake as select null::name as caller, null::uuid[] as ids, null::text[] as aggregate_types,
      null::text[] as aggregate_ids, null::text[] as event_types, null::integer[] as schema_versions, null::timestamptz[] as times,
      null::jsonb[] as data, null::jsonb[] as metadata, null::integer[] as wanted_versions, null::integer[] as versions where false;
    grant insert (ids, aggregate_types, aggregate_ids, event_types, schema_versions, times, data, metadata, wanted_versions),
      select (versions) on @home.save_intake to public
  $view$, '@home', home);

  -- `of_event` null: a head, of which no event is known yet.
  execute 'create function ' || home || $signature$.check_save(caller name, of_type text, of_event text) returns void
  language plpgsql$signature$ || pinned || quote_literal(replace(replace(replace($body$
begin
  if has_any_column_privilege(caller, @checkpoints, 'update') or @home.has_rights_of(caller,
      (select pg_get_userbyid(c.relowner) from pg_class c where c.oid = @rights::regclass)) then
    return;
  end if;
  if not has_table_privilege(@rights, 'select') then
    raise exception using errcode = '42501', message = format(
      'role %s may not save: it cannot read raise_rights, as who writes rows must; let it save by save_event', caller);
  end if;
  if not exists (
    select from @home.raise_rights r
    where (r.aggregate_type = '*' or r.aggregate_type = of_type)
      and (of_event is null or r.event_type = '*' or r.event_type = of_event)
      and (r.role_name = '*' or @home.has_rights_of(caller, r.role_name))
  ) then
    raise exception using errcode = '42501', message = format(
      'role %s may not save %s.%s: raise_rights needs a row (%L, %L, ''*'')',
      caller, left(of_type, 100), left(coalesce(of_event, '*'), 100), caller, left(of_type, 100));
  end if;
end
$body$, '@home', home), '@checkpoints', checkpoints), '@rights', rights));

  -- As before (000025), but that it does not wait for a flush to refuse what is a log's: `on conflict do nothing` waits for whoever
  -- changes the row that is there, so it is not tried where that is a log's.
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
  insert into @home.domain_events
    (id, aggregate_type, aggregate_id, event_type, schema_version, occurred_at, data, metadata, version)
  values (new_id, of_type, of_id, named, shape, at, payload, extra, given)
  returning sequence into number;
  insert into @home.outbox (sequence, id, occurred_at) values (number, new_id, at);
  return given;
end
$body$, '@home', home));

  -- As save_event and save_events before (000025), but for the role.
  execute 'create function ' || home || $signature$.save_for_caller() returns trigger
  language plpgsql security definer$signature$ || pinned
    || quote_literal(replace(replace(replace(replace($body$
declare
  names    constant text[] := array['databaseRole', 'databaseLogin'];
  refusal  constant text := 'metadata.databaseRole and databaseLogin are written by raise_event alone';
  is_one   boolean := coalesce(cardinality(new.ids) = 1 and cardinality(new.aggregate_types) = 1 and cardinality(new.aggregate_ids) = 1
    and cardinality(new.event_types) = 1 and cardinality(new.schema_versions) = 1 and cardinality(new.times) = 1
    and cardinality(new.data) = 1 and coalesce(cardinality(new.metadata), 1) = 1 and coalesce(cardinality(new.wanted_versions), 1) = 1, false);
  taken    record;
begin
  -- In a trigger of another table, `caller` would be what its owner says.
  if tg_table_schema <> @name or tg_table_name <> 'save_intake' or new.caller is null
      or not (is_one and has_function_privilege(new.caller, @one::regprocedure, 'execute')
        or has_function_privilege(new.caller, @several::regprocedure, 'execute')) then
    raise exception using errcode = '42501', message = format('permission denied for function save_event to role %s', new.caller);
  end if;
  if not @home.names_caller(tg_relid) then
    raise exception using errcode = '55000', message = format(
      '%s.%s has a trigger that its migrations did not make: drop it', tg_table_schema, tg_table_name);
  end if;
  if not is_one then
    if exists (select from unnest(new.metadata) as m (metadata) where m.metadata ?| names) then
      raise exception using errcode = '42501', message = refusal;
    end if;
    perform @home.check_save(new.caller, w.of_type, w.of_event)
      from (select distinct * from unnest(new.aggregate_types, new.event_types) as each (of_type, of_event)) as w;
    for taken in
      select w.of_type, w.of_id from unnest(new.aggregate_types, new.aggregate_ids) as w (of_type, of_id)
      where exists (select from @home.actor_types t where t.aggregate_type = w.of_type)
        or exists (select from @home.aggregates a
          where a.aggregate_type = w.of_type and a.aggregate_id = w.of_id and a.log_id is not null)
    loop
      perform @home.refuse_append(array[taken.of_type], array[taken.of_id], array[0]);
    end loop;
    new.versions := @home.write_events(new.ids, new.aggregate_types, new.aggregate_ids, new.event_types, new.schema_versions,
      new.times, new.data, new.metadata, new.wanted_versions);
    return new;
  end if;
  if new.metadata[1] ?| names then
    raise exception using errcode = '42501', message = refusal;
  end if;
  perform @home.check_save(new.caller, new.aggregate_types[1], new.event_types[1]);
  new.versions := array[@home.write_event(new.ids[1], new.aggregate_types[1], new.aggregate_ids[1], new.event_types[1],
    new.schema_versions[1], new.times[1], new.data[1], new.metadata[1], new.wanted_versions[1] - 1)];
  return new;
end
$body$, '@home', home), '@name', quote_literal(schema)),
    '@one', quote_literal(home || '.save_event' || one)), '@several', quote_literal(home || '.save_events' || lists)));

  -- Triggers of one kind run in the order of their names. Who may not execute a function cannot make a trigger of it.
  execute replace($triggers$
    revoke all on function @home.save_for_caller() from public;
    create trigger step_1 instead of insert on @home.save_intake for each row execute function @home.name_caller();
    create trigger step_2 instead of insert on @home.save_intake for each row execute function @home.save_for_caller()
  $triggers$, '@home', home);

  execute 'create or replace function ' || home || $signature$.save_event(
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
  language plpgsql security invoker rows 1$signature$ || pinned || quote_literal(replace($body$
declare
  given integer[];
begin
  insert into @home.save_intake as i
    (ids, aggregate_types, aggregate_ids, event_types, schema_versions, times, data, metadata, wanted_versions)
  values (array[new_id], array[of_type], array[of_id], array[named], array[shape], array[at], array[payload], array[extra],
    array[expected + 1])
  returning i.versions into given;
  if given is null then
    raise exception using errcode = '55000', message = 'save_event needs the triggers of its schema: set session_replication_role to origin';
  end if;
  return next given[1];
end
$body$, '@home', home));

  execute 'create or replace function ' || home || $signature$.save_events(
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
  language plpgsql security invoker rows 1$signature$ || pinned || quote_literal(replace($body$
#variable_conflict use_variable
declare
  given integer[];
begin
  insert into @home.save_intake as i
    (ids, aggregate_types, aggregate_ids, event_types, schema_versions, times, data, metadata, wanted_versions)
  values (new_ids, of_types, of_ids, named, shapes, at, payloads, extras, wanted_versions)
  returning i.versions into given;
  if given is null then
    raise exception using errcode = '55000', message = 'save_events needs the triggers of its schema: set session_replication_role to origin';
  end if;
  return next given;
end
$body$, '@home', home));

  -- As before (000024), but that a service writes by its own rights, which costs less than to ask for them.
  execute 'create or replace function ' || home || $signature$.append_event(
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
  language plpgsql$signature$ || pinned || quote_literal(replace(replace(replace(replace($body$
begin
  if has_function_privilege(@door::regprocedure, 'execute')
      and not (has_any_column_privilege(@checkpoints::regclass, 'update') and has_table_privilege(@outbox::regclass, 'insert')) then
    return @home.save_event(new_id, of_type, of_id, named, shape, at, payload, extra, expected);
  end if;
  return @home.write_event(new_id, of_type, of_id, named, shape, at, payload, extra, expected);
end
$body$, '@home', home), '@checkpoints', checkpoints), '@outbox', quote_literal(home || '.outbox')),
    '@door', quote_literal(home || '.save_event' || one)));

  execute 'create or replace function ' || home || $signature$.append_events(
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
  language plpgsql$signature$ || pinned || quote_literal(replace(replace(replace(replace($body$
begin
  if has_function_privilege(@door::regprocedure, 'execute')
      and not (has_any_column_privilege(@checkpoints::regclass, 'update') and has_table_privilege(@outbox::regclass, 'insert')) then
    return @home.save_events(new_ids, of_types, of_ids, named, shapes, at, payloads, extras, wanted_versions);
  end if;
  return @home.write_events(new_ids, of_types, of_ids, named, shapes, at, payloads, extras, wanted_versions);
end
$body$, '@home', home), '@checkpoints', checkpoints), '@outbox', quote_literal(home || '.outbox')),
    '@door', quote_literal(home || '.save_events' || lists)));

  -- As before (000020), but for the rights of a role with rights of its own on the table.
  execute 'create or replace function ' || home || $signature$.check_head_row() returns trigger
  language plpgsql$signature$ || pinned || quote_literal(replace($body$
declare
  of_type text;
  of_id   text;
begin
  if tg_op = 'TRUNCATE' then
    raise exception using errcode = '42501', message = format(
      'role %s may not empty aggregates: heads of logs are written by roles that may write flush_checkpoints', current_user);
  end if;
  if tg_op <> 'INSERT' and (old.log_id is not null
      or exists (select from @home.actor_types t where t.aggregate_type = old.aggregate_type)) then
    of_type := old.aggregate_type;
    of_id := old.aggregate_id;
  elsif tg_op <> 'DELETE' and (new.log_id is not null
      or exists (select from @home.actor_types t where t.aggregate_type = new.aggregate_type)) then
    of_type := new.aggregate_type;
    of_id := new.aggregate_id;
  end if;
  if of_type is not null then
    raise exception using errcode = '42501', message = format(
      'role %s may not write the head of %s/%s: it belongs to actors or to a log, whose heads are written by roles that may write flush_checkpoints',
      current_user, of_type, of_id);
  end if;
  if tg_op <> 'INSERT' then
    perform @home.check_save(current_user, old.aggregate_type, null);
  end if;
  if tg_op = 'INSERT' or tg_op = 'UPDATE' and new.aggregate_type <> old.aggregate_type then
    perform @home.check_save(current_user, new.aggregate_type, null);
  end if;
  return null;
end
$body$, '@home', home));

  -- As before (000026), but for the same rights.
  execute 'create or replace function ' || home || $signature$.check_event_row() returns trigger
  language plpgsql set search_path = pg_catalog, pg_temp as $signature$ || quote_literal(replace(replace(replace($body$
declare
  is_wide boolean := new.log_id is not null and has_any_column_privilege(@checkpoints, 'update');
  fault   text := @home.event_fault(new.aggregate_type, new.aggregate_id, new.event_type, new.schema_version, new.occurred_at,
    new.data, new.metadata, case when is_wide then 67108864 else 2097152 end, case when is_wide then 67108864 else 131072 end);
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
  if new.transaction_id <> pg_current_xact_id() or new.sequence < 1
      or new.sequence > coalesce(pg_sequence_last_value(@sequence::regclass), 0) then
    raise exception using errcode = '42501', message = format(
      'role %s may not write transaction %s or number %s: they are the current transaction, and what domain_events_sequence has given',
      current_user, new.transaction_id, new.sequence);
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
  perform @home.check_save(current_user, new.aggregate_type, new.event_type);
  return null;
end
$body$, '@home', home), '@checkpoints', checkpoints), '@sequence', numbers));

  perform set_config('search_path', home, true); -- as the migration has found it
end
$migration$;
