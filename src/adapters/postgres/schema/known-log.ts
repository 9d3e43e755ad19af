// Whether a schema is the one that a log is stored in: for those who come from outside with a data directory and a database.
import pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import { storeName } from '../session/failure.ts';
import { checkSchema } from './session.ts';

/** A log's first run says here that it has begun. @throws StoreSchemaMissing, StoreSchemaMismatch, StoreUnsuitable */
export async function checkKnowsLog(
  client: pg.ClientBase,
  schema: string,
  logId: string,
  whose: string,
): Promise<void> {
  await checkSchema(client, schema);
  const { rows } = await client.query(
    `select pg_catalog.current_database() as database,
       exists (select from ${pg.escapeIdentifier(schema)}.flush_checkpoints where log_id = $1) as known`,
    [logId],
  );
  const { database, known } = rows[0] as { database: string; known: boolean };
  if (known) return;
  const reason =
    `schema '${schema}' of database '${database}' does not hold log ${logId}${whose}: ` +
    'it is the store of another service; give the right --postgres and --schema';
  throw new TrunklineError('StoreUnsuitable', { store: storeName, reason });
}
