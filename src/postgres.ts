// `trunkline/postgres`: events in PostgreSQL, and what reads and keeps them there. Its client library is loaded when it is used.
import './base/node-version.ts';

export { migrate } from './adapters/postgres/doors.ts';
export {
  type ArchiveInfo,
  type ArchiveLimits,
  type ArchiveOrigin,
  readArchive,
  verifyArchive,
} from './adapters/postgres/partitions/archive-file.ts';
export type { MigrateOptions, MigrateReport } from './adapters/postgres/schema/migrate.ts';
export type { Connection, ConnectionParts } from './adapters/postgres/session/connection.ts';
export {
  type PostgresOptions,
  type PostgresPool,
  type PostgresStoreOptions,
  postgres,
} from './adapters/postgres/session/postgres.ts';
export { type TailedEvent, type TailOptions, tailEvents } from './adapters/postgres/tail/tail.ts';
