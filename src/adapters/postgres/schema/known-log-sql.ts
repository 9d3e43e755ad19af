// Whether a log has been stored in a schema. `schema`: quoted.
import { flag, object, text } from '../../../base/json.ts';
import { Statement } from '../session/statement.ts';

interface Known {
  database: string;
  known: boolean;
}

/** A log's first run writes its checkpoint. */
export const knownStatement = (schema: string): Statement<{ logId: string }, Known> =>
  new Statement(
    'whether a log is known',
    `select pg_catalog.current_database()::text as database,
       exists (select from ${schema}.flush_checkpoints where log_id = $1) as known`,
    ['logId'],
    object<Known>({ database: text, known: flag }),
  );
