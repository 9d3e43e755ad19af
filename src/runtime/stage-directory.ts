// First stage: the data directory, which is this runtime's alone until the last step of its end.
import { type DataDirectory, openDirectory } from './directory.ts';
import type { ResolvedOptions } from './options.ts';
import type { Shutdown } from './shutdown.ts';

export interface DirectoryStage {
  readonly directory: DataDirectory;
}

/** @throws DataDirInUse, DataDirUnsafe, DataDirNotWritable, DiskFull, DataDirNewerFormat */
export function openDataDirectory(made: {
  readonly options: ResolvedOptions;
  readonly shutdown: Shutdown;
}): DirectoryStage {
  const { dataDir, logger } = made.options;
  const directory = openDirectory(dataDir, (reason) => logger.warn({ dataDir }, `the data directory: ${reason}`));
  made.shutdown.add('lock', () => directory.release());
  return { directory };
}
