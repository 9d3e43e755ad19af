-- The rights on tables that saveWithTx asked for before 000024 end. By `update` on columns of aggregates a role that is no service locks
-- any head, those of actors among them (`select … for update`), and holds up the flush for as long as it leaves its transaction open.
-- Who has them as they were documented, on columns, gets `execute` on save_event and save_events in their place, and goes on saving
-- what rows of raise_rights give it (000027). What it may read it goes on reading. Rights on whole tables were never documented for
-- roles that are no services, and stay: who gave them has to know why.
do $migration$
declare
  schema      text := pg_catalog.current_schema();
  home        text := pg_catalog.quote_ident(schema);
  checkpoints text := home || '.flush_checkpoints';
  doors       text := pg_catalog.format('%1$s.save_event, %1$s.save_events', home);
  written     text := pg_catalog.format('%1$s.aggregates, %1$s.domain_events, %1$s.outbox', home);
  saver       record;
begin
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

  for saver in
    select distinct r.rolname as name, case when a.grantee = 0 then 'public' else quote_ident(r.rolname) end as quoted
    from pg_attribute c cross join aclexplode(c.attacl) as a left join pg_roles r on r.oid = a.grantee
    where c.attrelid = (home || '.aggregates')::regclass and a.privilege_type = 'UPDATE' and (a.grantee = 0 or r.oid is not null)
  loop
    continue when has_any_column_privilege(coalesce(saver.name, 'public'), checkpoints, 'update');
    execute format('revoke insert, update on %s from %s cascade', written, saver.quoted);
    execute format('revoke usage on sequence %s.domain_events_sequence from %s cascade', home, saver.quoted);
    if saver.name is not null then
      execute format('grant execute on function %s to %s', doors, saver.quoted);
    end if;
  end loop;

  perform set_config('search_path', home, true); -- as the migration has found it
end
$migration$;
