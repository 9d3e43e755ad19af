// What the host thread reads: the log, the store in the data directory, and a store elsewhere, if there is one.
import { isError } from '../base/errors.ts';
import { openLogReader } from '../log/lmdb.ts';
import type { LogSource } from '../log/log.ts';
import type { OutboxAdapter } from '../outbox/outbox.ts';
import { loadAdapter, type StoreAdapter, type StoreOptions } from '../store/adapter.ts';
import type { LocalStore } from '../store/local.ts';
import { Reading } from '../store/reading.ts';
import type { Given } from './given.ts';
import type { DirectoryStage } from './stage-directory.ts';
import type { FlushStage } from './stage-flush.ts';
import type { HostStage } from './stage-host.ts';
import type { LogStage } from './stage-log.ts';
import { checkStrayTypes } from './stray-types.ts';

export interface ReadersStage {
  readonly logReader: LogSource;
  readonly reading: Reading;
  /** undefined: events are kept in the data directory. */
  readonly elsewhere:
    | { readonly options: StoreOptions; readonly adapter: StoreAdapter & Partial<OutboxAdapter> }
    | undefined;
}

export async function openReaders(
  made: Given & DirectoryStage & HostStage & LogStage & FlushStage,
): Promise<ReadersStage> {
  const { options, directory, control, log, local, shutdown, answers, dispatch, evolution } = made;
  const { store } = options;
  const logReader = openLogReader(directory.logFolder, made.mapBytes);
  shutdown.add('logReader', () => shutdown.orAbandoned(logReader.close()));
  const elsewhere = store && {
    options: store,
    adapter: await loadAdapter<StoreAdapter & Partial<OutboxAdapter>>(store.describe()),
  };
  const reading = await Reading.open({
    openLocal: async () => (await loadAdapter<LocalStore>(local)).openArchive(local.folder),
    logId: log.logId,
    log: logReader,
    control,
    store: elsewhere,
    report: (error) => options.logger.error({ err: error }, error.message),
    progress: dispatch.progress,
    waitTimeoutMs: options.waitTimeoutMs,
    evolution,
  });
  shutdown.add('readers', () => shutdown.orAbandoned(reading.close()));
  answers.open(reading);
  await checkStrayTypes(options.aggregates, (type) => reading.holds(type)).catch((error: unknown) => {
    if (!isError(error, 'StoreUnavailable')) throw error; // a runtime starts without it
    options.logger.warn({ err: error }, 'the store could not be asked for aggregates by former names of their types');
  });
  return { logReader, reading, elsewhere };
}
