// What the public door has of PostgreSQL, as functions that load their work when they are called: shards import the public
// door, too, by way of the user's modules, and should not load a client library for a type's sake.
import type { MigrateOptions, MigrateReport } from './schema/migrate.ts';

/**
 * Apply the migrations that the schema lacks.
 * @throws InvalidOptions, StoreUnavailable, StoreAccessDenied, StoreSchemaNewer, StoreSchemaMismatch, StoreSchemaUnsafe,
 * MigrationFailed
 */
export async function migrate(options: MigrateOptions): Promise<MigrateReport> {
  return (await import('./schema/migrate.ts')).migrate(options);
}
