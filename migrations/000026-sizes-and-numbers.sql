-- What a row of an event may hold beside what 000025 looks at.
--
-- - Its size. The gate took 64 MiB of data: as a value in JavaScript that is gigabytes, and the process that relayed it ended, again at each
--   start. It takes twice what saveWithTx sends (src/wire/limits.ts): the server's text of the same value is longer by its blanks and by
--   the digits of numbers such as 1e300. Rows of a log have passed its doors, and stay bounded as before.
-- - The transaction and the number by which a tail goes on. A role with `insert` on the whole of domain_events wrote any: every tail then
--   failed at each connect. A role that may not move a log's checkpoint writes its own transaction's, and numbers that were drawn.
--
-- In the body @home stands for the schema's name as an identifier, @sequence for the text that names the sequence in it, and @checkpoints
-- for the text that names the table of checkpoints.
do $migration$
declare
  schema      text := pg_catalog.current_schema();
  home        text := pg_catalog.quote_ident(schema);
  checkpoints text := pg_catalog.quote_literal(home || '.flush_checkpoints');
  numbers     text := pg_catalog.quote_literal(home || '.domain_events_sequence');
begin
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

  -- As before (000025), but for the sizes, and for transaction_id and sequence.
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
  return null;
end
$body$, '@home', home), '@checkpoints', checkpoints), '@sequence', numbers));

  perform set_config('search_path', home, true); -- as the migration has found it
end
$migration$;
