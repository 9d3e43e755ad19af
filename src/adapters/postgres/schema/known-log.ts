// Whether a schema is the one that a log is stored in: for those who come from outside with a data directory and a database.
import pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import { storeName } from '../session/failure.ts';
import { knownStatement } from './known-log-sql.ts';
import { checkSchema } from './session.ts';

/** @throws StoreSchemaMissing, StoreSchemaMismatch, StoreUnsuitable */
export async function checkKnowsLog(
  client: pg.ClientBase,
  schema: string,
  logId: string,
  whose: string,
): Promise<void> {
  await checkSchema(client, schema);
  const { database, known } = await knownStatement(pg.escapeIdentifier(schema)).one(client, { logId });
  if (known) return;
  const reason =
    `schema '${schema}' of database '${database}' does not hold log ${logId}${whose}: ` +
    'it is the store of another service; give the right --postgres and --schema';
  throw new TrunklineError('StoreUnsuitable', { store: storeName, reason });
}
