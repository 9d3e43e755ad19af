// What a sink asks when it opens its session. `schema`: quoted.
import pg from 'pg';
import { flag, number, object, text } from '../../../base/json.ts';
import { beginSql } from '../session/session-sql.ts';
import { type Nothing, Statement } from '../session/statement.ts';

interface Rights {
  role: string;
  may: boolean;
}

export const rightsStatement: Statement<{ function: string }, Rights> = new Statement(
  'the rights of the role',
  "select current_user::text as role, pg_catalog.has_function_privilege($1, 'execute') as may",
  ['function'],
  object<Rights>({ role: text, may: flag }),
);

/** Four commands in one text: the checkpoint, made if there is none; its row is locked until the transaction ends, which is at once. */
export const checkpointStatements = (
  schema: string,
  logId: string,
  timeoutMs: number,
): Statement<Nothing, { position: number }> =>
  new Statement(
    'the checkpoint of the flush',
    `${beginSql(`lock_timeout = ${timeoutMs}`)};
     insert into ${schema}.flush_checkpoints (log_id, position) values (${pg.escapeLiteral(logId)}, 0)
       on conflict (log_id) do update set updated_at = pg_catalog.now() returning position::float8 as position;
     commit`,
    [],
    object({ position: number }),
  );
