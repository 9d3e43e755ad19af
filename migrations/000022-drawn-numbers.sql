-- Numbers in the outbox that the sequence has given, not those that it will give: each raise_event and saveWithTx that drew one which was
-- there already failed, for as long as the row was there. A role that may move a log's checkpoint may write any (a repair by hand).
-- A number that another transaction has drawn and not written yet can still be taken: that one fails once, and draws another.
--
-- In the body @home stands for the schema's name as an identifier, @checkpoints and @sequence for the texts that name the table of
-- checkpoints and the sequence.
do $migration$
declare
  schema      text := pg_catalog.current_schema();
  home        text := pg_catalog.quote_ident(schema);
  checkpoints text := pg_catalog.quote_literal(home || '.flush_checkpoints');
  numbers     text := pg_catalog.quote_literal(home || '.domain_events_sequence');
begin
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

  execute 'create function ' || home || $signature$.refuse_number() returns trigger
  language plpgsql set search_path = pg_catalog, pg_temp as $body$
begin
  raise exception using errcode = '42501', message = format(
    'role %s may not write number %s of the outbox: domain_events_sequence has not given it yet', current_user, new.sequence);
end
$body$$signature$;

  execute replace(replace(replace($trigger$
    create trigger number_gate after insert on @home.outbox for each row
    when (not has_any_column_privilege(@checkpoints::regclass, 'update')
      and new.sequence > coalesce(pg_sequence_last_value(@sequence::regclass), 0))
    execute function @home.refuse_number()
  $trigger$, '@home', home), '@checkpoints', checkpoints), '@sequence', numbers);

  perform set_config('search_path', home, true); -- as the migration has found it
end
$migration$;
