-- The table of migration 13 goes: the flush waits for a lock of others, and stores everything in the order of the log (ADR 37).
-- A row says that events of an aggregate are in a log alone, before the log's checkpoint: without it they would never be stored.
do $migration$
begin
  lock table held_aggregates in access exclusive mode; -- a flush of the release before adds none any more
  if exists (select from held_aggregates) then
    raise exception 'held_aggregates has rows: events that wait in the logs of the release before, which alone can store them. '
      'Run that release until the table is empty (it is, soon after the transactions that lock those aggregates have ended), then migrate';
  end if;
  drop table held_aggregates;
end
$migration$;
