-- The role that has raised an event, as the server has written it into the event's metadata, comes from raise_event alone: a role that
-- inserts rows of its own (saveWithTx) signed with any other's name. Roles that may move a log's checkpoint are trusted not to.
--
-- In the body @home stands for the schema's name as an identifier, @checkpoints for the text that names the table of checkpoints.
do $migration$
declare
  schema      text := pg_catalog.current_schema();
  home        text := pg_catalog.quote_ident(schema);
  checkpoints text := pg_catalog.quote_literal(home || '.flush_checkpoints');
begin
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

  -- As before (000020), but for the names of roles.
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

  perform set_config('search_path', home, true); -- as the migration has found it
end
$migration$;
