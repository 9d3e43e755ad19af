// Which sessions may hold a lock that a flush, or who makes a month, has waited for in vain. `schema`: quoted, as a value.
import { nullable, number, object, text } from '../../../base/json.ts';
import { Statement } from './statement.ts';

export interface Holder {
  /** null: a prepared transaction, which has no session. */
  pid: number | null;
  /** null: a process of the server's own. */
  role: string | null;
  /** Of a prepared transaction its name. */
  application: string | null;
  /** How long its transaction has been open; null: only its role, and who may read all statistics, can see it. */
  seconds: number | null;
  /** Of all that may hold one. */
  count: number;
}

/**
 * All that have locked rows of our tables, or the tables themselves, and have not ended; the first `most`, and those first that
 * wait for no lock, by the age of their writes. `pg_locks` shows the locks of every session, also of one whose details this role may not see.
 * A row's lock is in no list of the server's, but comes with one on its table. `passedOver`: what holds up no session here.
 */
const holdersStatement = (passedOver: string): Statement<{ schema: string; most: number }, Holder> =>
  new Statement(
    'a session that holds locks',
    `select held.pid, coalesce(session.usename, prepared.owner)::text as role,
       coalesce(session.application_name, prepared.gid) as application,
       pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - coalesce(session.xact_start, prepared.prepared)))::float8
         as seconds,
       (pg_catalog.count(*) over ())::float8 as count
     from (
       select l.pid, l.virtualtransaction, pg_catalog.bool_or(not l.granted) as is_waiting,
         pg_catalog.max(pg_catalog.age(l.transactionid)) filter (where l.granted) as age,
         pg_catalog.array_agg(l.transactionid) filter (where l.granted) as transactions
       from pg_catalog.pg_locks l where l.pid is distinct from pg_catalog.pg_backend_pid()
       group by l.pid, l.virtualtransaction
       having pg_catalog.bool_or(l.granted and l.mode not in (${passedOver})
         and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
         and l.relation in (select c.oid from pg_catalog.pg_class c
           where c.relnamespace = pg_catalog.to_regnamespace($1) and c.relkind in ('r', 'p')))
     ) held
     left join pg_catalog.pg_stat_activity session on session.pid = held.pid
     left join pg_catalog.pg_prepared_xacts prepared
       on held.pid is null and prepared.transaction = any(held.transactions)
     order by held.is_waiting, held.age desc nulls last, held.pid limit $2`,
    ['schema', 'most'],
    object<Holder>({
      pid: nullable(number),
      role: nullable(text),
      application: nullable(text),
      seconds: nullable(number),
      count: number,
    }),
  );

/** Readers and `vacuum` stand in no flush's way. */
export const lockHoldersStatement: ReturnType<typeof holdersStatement> = holdersStatement(
  `'AccessShareLock', 'ShareUpdateExclusiveLock'`,
);

/** Every transaction that has used our tables stands in the way of a lock against all. */
export const openOnesStatement: ReturnType<typeof holdersStatement> = holdersStatement(`''`);
