// How a flush that stands still is ended. Why: frozen.ts. `schema`: quoted.
import pg from 'pg';
import { type Nothing, noColumns, Statement } from './statement.ts';

/** How long to wait for another flush's lock before looking whether it stands still, milliseconds. */
export const patienceMs = 1000;

/** A row for each session that was ended. Those of other roles stay, where this one has no right to end them. */
export const endStatement = (schema: string): Statement<{ name: string }, Nothing> =>
  new Statement(
    'a flush that stands still',
    `select pg_catalog.pg_terminate_backend(a.pid) from pg_catalog.pg_stat_activity a
     where a.datname = pg_catalog.current_database() and a.application_name = $1 and a.pid <> pg_catalog.pg_backend_pid()
       and pg_catalog.pg_has_role(current_user, a.usesysid, 'usage')
       and a.xact_start is not null and a.wait_event_type = 'Client'
       and a.state_change < pg_catalog.clock_timestamp() - interval '${patienceMs} milliseconds'
       and exists (select from pg_catalog.pg_locks l
         where l.pid = a.pid and l.granted and l.relation = pg_catalog.to_regclass(${pg.escapeLiteral(`${schema}.aggregates`)}))`,
    ['name'],
    noColumns,
  );
