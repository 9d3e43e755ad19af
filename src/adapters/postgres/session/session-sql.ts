// What sessions and transactions of ours are set to: roles and databases may set what our statements would otherwise print, read,
// wait and commit by. A pooler that hands one server connection to several clients keeps a few settings for each client and no
// others: behind one only these are set for the session, and what must hold there too is set in each transaction ({@link beginSql}).
import { number, object } from '../../../base/json.ts';
import { type Nothing, Statement } from './statement.ts';

/** What a connection is for. */
export interface SessionUse {
  /** As the server shows it in pg_stat_activity. */
  readonly name: string;
  /** How long one statement may take, milliseconds; 0: without end. The server ends it, or if that hangs, the client. */
  readonly timeoutMs: number;
  /** It runs statements of the user's own, too: names without a schema are looked up as the role has it. */
  readonly isUsers?: boolean;
}

/** For `set local` and the settings of sessions. Temporary objects last: the server looks at them first if they are not named. */
export const ownPath = 'pg_catalog, pg_temp';
const setOwnPath = `set local search_path = ${ownPath}`;

/**
 * What each transaction of ours on tables of ours alone is set to, and each statement that brings its settings along: the path, and
 * that rows which a policy hides are an error, not a smaller result.
 */
export const setOwn: string = `${setOwnPath}; set local row_security = off`;

/** Poolers keep these for each of their clients. */
const keptByPoolers: Readonly<Record<string, string>> = {
  datestyle: 'ISO, MDY',
  timezone: 'UTC',
  standard_conforming_strings: 'on',
};

const settings: Readonly<Record<string, string>> = {
  intervalstyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
  array_nulls: 'on',
  transform_null_equals: 'off',
  default_transaction_isolation: 'read committed',
  default_transaction_read_only: 'off',
  default_transaction_deferrable: 'off',
  synchronous_commit: 'on',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0', // the user's: by their own bound, see beginSql
  idle_session_timeout: '0',
  transaction_timeout: '0', // since PostgreSQL 17; a setting that the server does not know is passed over
};

/**
 * How long a transaction of ours may stand idle, milliseconds; then the server ends its connection, and the transaction is
 * undone and done again. Between its statements ours never wait, except for a thread that is held up.
 */
export const silentMs = 5_000;

/** Seconds until the first question to a client that says nothing, between questions, and how many go unanswered. */
const keepalives: Readonly<Record<string, string>> = {
  tcp_keepalives_idle: '10',
  tcp_keepalives_interval: '5',
  tcp_keepalives_count: '3',
};

/** What only sessions without statements of the user's are set to: theirs may read slowly, and stand idle by their own bound. */
const ofSilence: Readonly<Record<string, string>> = {
  idle_in_transaction_session_timeout: String(silentMs),
  tcp_user_timeout: '60000', // unacknowledged bytes, milliseconds
};

/** Where only tables of ours are read and written: rows that a policy hides are an error, not a smaller result. */
const ofOwnStatements: Readonly<Record<string, string>> = { search_path: ownPath, row_security: 'off' };

/** The server ends a statement somewhat before the client gives up its connection. */
const serverShare = 0.9;
/** A wait for one lock ends well before the statement's time: so what another holds up is known from what is too slow by itself. */
const lockShare = 0.3;

/** For {@link beginSql}, where a statement that took too long is done again in smaller parts. `timeoutMs`: of a statement. */
export const lockTimeoutMs = (timeoutMs: number): number => Math.max(1, Math.floor(timeoutMs * lockShare));

/**
 * An expression that makes the transaction's commit wait until it is on disk, whatever the role or the database says; what
 * is stronger stays. Within a single statement that writes and is a transaction of its own: `returning ${durable}`.
 */
export const durable = `case when pg_catalog.current_setting('synchronous_commit') operator(pg_catalog.<>) all ('{on,remote_apply}')
  then pg_catalog.set_config('synchronous_commit', 'on', true) end`;

/**
 * Begins a transaction of ours, whose commit is durable: what the role or the database says of transactions does not count.
 * `locals`: other settings until its end, as `name = value`.
 */
export const beginSql = (...locals: string[]): string => begin([setOwn], locals);

/** The same for a transaction in which statements of the user's run, too: by the role's own search_path. See own-path.ts. */
export const beginSharedSql = (...locals: string[]): string => begin([], locals);

function begin(first: readonly string[], locals: readonly string[]): string {
  const all = [idleFor(silentMs), ...locals]; // of two for the same setting the later one counts
  const set = all.map((local) => `set local ${local}`);
  return ['begin isolation level read committed read write', ...first, ...set, `select ${durable}`].join('; ');
}

/** For {@link beginSql}: how long the transaction may stand idle; Infinity: without end. */
export function idleFor(ms: number): string {
  return `idle_in_transaction_session_timeout = ${Number.isFinite(ms) ? Math.min(ms, 2 ** 31 - 1) : 0}`;
}

/** The session's own settings, and those of its use. */
export const allSql = (use: SessionUse): string =>
  `${setSql(keptByPoolers, settingsFor(use))}; ${use.isUsers ? ownNamesFirst : ''}`;

// pg_catalog comes before all other schemas unless the path names it: our statements find the server's own functions.
const ownNamesFirst = `select pg_catalog.set_config('search_path', pg_catalog.ltrim(pg_catalog.regexp_replace(
    pg_catalog.current_setting('search_path'), '(^|,)[[:space:]]*"?pg_catalog"?[[:space:]]*(?=,|$)', '', 'g'), ', '), false)`;

function settingsFor({ isUsers, timeoutMs }: SessionUse): Record<string, string> {
  const statement_timeout = String(Math.floor(timeoutMs * serverShare));
  return { ...settings, ...keepalives, ...(!isUsers && { ...ofOwnStatements, ...ofSilence }), statement_timeout };
}

function setSql(...each: Readonly<Record<string, string>>[]): string {
  const wanted = each.flatMap((one) => Object.entries(one));
  const values = wanted.map(([name, value]) => `('${name}', '${value}')`).join();
  // remote_apply is stronger than what we need: it is kept where it was chosen.
  return `select pg_catalog.set_config(s.name, w.value, false) from (values ${values}) as w (name, value)
    join pg_catalog.pg_settings s on pg_catalog.lower(s.name) operator(pg_catalog.=) w.name
    where s.setting operator(pg_catalog.<>) w.value
      and not (w.name operator(pg_catalog.=) 'synchronous_commit' and s.setting operator(pg_catalog.=) 'remote_apply')`;
}

export const processStatement: Statement<Nothing, { pid: number }> = new Statement(
  'the process that answers',
  'select pg_catalog.pg_backend_pid() as pid',
  [],
  object<{ pid: number }>({ pid: number }),
);

/** What statements of the user's may have left in a session. */
export const resetSql = `close all; set session authorization default; reset all; deallocate all; unlisten *; discard temp;
    select pg_catalog.pg_advisory_unlock_all()`;

/** Of a session whose other settings a pooler does not keep apart. */
export const pooledSql: string = setSql(keptByPoolers);
