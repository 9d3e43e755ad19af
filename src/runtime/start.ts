// What `createRuntime` does once its options are checked: take the directory, and make the parts of a runtime. Loaded by a start
// alone, since each module that defines an aggregate imports `runtime.ts`. Host thread.
import { Bus, type ListenerErrorHandler } from '../bus/bus.ts';
import { openDirectory } from './directory.ts';
import type { ResolvedOptions } from './options.ts';
import { Stages } from './stages.ts';

/** `admit` throws when no events come any more, or none of this aggregate. */
export type PartsFor = (
  listenerFailed: ListenerErrorHandler,
  admit: ConstructorParameters<typeof Bus>[1],
) => { readonly bus: Bus; readonly stages: Stages };

interface Prepared {
  readonly partsFor: PartsFor;
  /** Give the directory back: there is no runtime. */
  release(): void;
}

/** @throws DataDirInUse, DataDirUnsafe, DataDirNotWritable, DiskFull, DataDirNewerFormat */
export function prepare(options: ResolvedOptions): Prepared {
  const { dataDir, logger } = options;
  const directory = openDirectory(dataDir, (reason) => logger.warn({ dataDir }, `the data directory: ${reason}`));
  return {
    partsFor(listenerFailed, admit) {
      const bus = new Bus(listenerFailed, admit);
      return { bus, stages: new Stages(options, directory, bus) };
    },
    release: () => directory.release(),
  };
}
