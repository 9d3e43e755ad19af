-- What belongs to a log, only roles that may move a log's checkpoint write: heads that have a log or whose type belongs to actors, and
-- events of such aggregates. A role with the rights of saveWithTx writes heads and events of entities. By a head of an actor's that it
-- had moved, made or given away, the flush put acknowledged events into quarantine; by an event, actors were built from what nobody had
-- raised. Existing rows stay as they are.
--
-- For each row, but by a condition alone: it calls no function of ours where the role may write. On 500 heads it costs a flush
-- 0.2 ms of 14; transition tables cost as much, and more where there are few heads.
--
-- In the bodies @home stands for the schema's name as an identifier, @checkpoints for the text that names the table of checkpoints.
do $migration$
declare
  schema      text := pg_catalog.current_schema();
  home        text := pg_catalog.quote_ident(schema);
  pinned      text := ' set search_path = pg_catalog, pg_temp as ';
  checkpoints text := pg_catalog.quote_literal(home || '.flush_checkpoints');
begin
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

  execute 'create function ' || home || $signature$.check_head_row() returns trigger
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
  return null;
end
$body$, '@home', home));

  -- As before (000012), but for the aggregates of logs. A row that is changed stays with its aggregate's writers as it was.
  execute 'create or replace function ' || home || $signature$.check_event_row() returns trigger
  language plpgsql$signature$ || pinned || quote_literal(replace(replace($body$
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
  if tg_op = 'INSERT' and not has_any_column_privilege(@checkpoints, 'update') and (
      exists (select from @home.actor_types t where t.aggregate_type = new.aggregate_type)
      or exists (select from @home.aggregates a
        where a.aggregate_type = new.aggregate_type and a.aggregate_id = new.aggregate_id and a.log_id is not null)) then
    raise exception using errcode = '42501', message = format(
      'role %s may not write events of %s/%s: it belongs to actors or to a log, whose events are written by roles that may write flush_checkpoints',
      current_user, new.aggregate_type, new.aggregate_id);
  end if;
  return null;
end
$body$, '@home', home), '@checkpoints', checkpoints));

  execute replace(replace($triggers$
    create trigger head_gate after insert or update or delete on @home.aggregates for each row
    when (not has_any_column_privilege(@checkpoints::regclass, 'update'))
    execute function @home.check_head_row();
    create trigger head_truncate_gate before truncate on @home.aggregates for each statement
    when (not has_any_column_privilege(@checkpoints::regclass, 'update'))
    execute function @home.check_head_row()
  $triggers$, '@home', home), '@checkpoints', checkpoints);

  perform set_config('search_path', home, true); -- as the migration has found it
end
$migration$;
