-- What durable handlers keep. Runs with search_path set to the configured schema; names are therefore unqualified.

-- How far each handler of each log is: everything up to `position` is done, and so is what lies in `completed` above it
-- (first and last position of each range, flat, ascending). A position means something in one log only. The last event is
-- null until there has been one.
alter table event_handler_positions
  drop constraint event_handler_positions_pkey,
  alter column last_processed_id drop not null,
  alter column last_processed_at drop not null,
  alter column log_id set not null,
  alter column position set not null,
  add column completed bigint[] not null default '{}',
  add column paused boolean not null default false,
  add primary key (log_id, handler_name);

-- Everything else, as entries under (table, key): dead letters, inbox rows, what effects have put there. Keys are bytes and
-- sort as such. json, not jsonb: a value comes back exactly as it was put.
create table handler_entries (
  log_id     text  not null,
  table_name text  not null,
  key        bytea not null,
  value      json  not null,
  primary key (log_id, table_name, key)
);

-- Dead letters, for whoever looks at them by SQL. To change them: `npx trunkline dead-letters`.
create view dead_letters as
  select
    log_id,
    value ->> 'handler'                      as handler_name,
    value ->> 'reason'                       as reason,
    value -> 'event' ->> 'aggregateType'     as aggregate_type,
    value -> 'event' ->> 'aggregateId'       as aggregate_id,
    (value -> 'event' ->> 'version')::int    as version,
    value -> 'event' ->> 'type'              as event_type,
    (value -> 'event' ->> 'id')::uuid        as event_id,
    (value -> 'event' ->> 'position')::bigint as position,
    (value ->> 'attempts')::int              as attempts,
    value -> 'error' ->> 'message'           as error,
    (value ->> 'parkedAt')::timestamptz      as parked_at
  from handler_entries
  where table_name = 'dead-letters';
