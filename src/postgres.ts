// `trunkline/postgres`: events in PostgreSQL, and what reads and keeps them there. Its client library is loaded when it is used.
import './node-version.ts';

export {
  type ArchiveInfo,
  type ArchiveLimits,
  type ArchiveOrigin,
  readArchive,
  verifyArchive,
} from './store/postgres/archive-file.ts';
export type { Connection, ConnectionParts } from './store/postgres/connection.ts';
export { migrate } from './store/postgres/doors.ts';
export type { MigrateOptions, MigrateReport } from './store/postgres/migrate.ts';
export {
  type PostgresOptions,
  type PostgresPool,
  type PostgresStoreOptions,
  postgres,
} from './store/postgres/postgres.ts';
export { type TailedEvent, type TailOptions, tailEvents } from './store/postgres/tail.ts';
