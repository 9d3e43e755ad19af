// What `createRuntime` does once its options are checked: the stages of a runtime, from top to bottom in the order in which they
// start, and what becomes of a start that fails. Loaded by a start alone, since each module that defines an aggregate imports
// `runtime.ts`. Host thread.
//
// The order in which a runtime ends is in `shutdown.ts`.
import { StageList } from '../base/stage-list.ts';
import { ControlBlockWriter } from '../shared/control-block.ts';
import { closeDeadlineMs } from './close-options.ts';
import type { Given } from './given.ts';
import type { ResolvedOptions } from './options.ts';
import { Shutdown } from './shutdown.ts';
import { type DirectoryStage, openDataDirectory } from './stage-directory.ts';
import { type EntitiesStage, openEntities } from './stage-entities.ts';
import { type FlushStage, startFlush } from './stage-flush.ts';
import { type HandlersStage, openHandlers } from './stage-handlers.ts';
import { type HostStage, makeHost } from './stage-host.ts';
import { type LastRunStage, readLeftOver, recoverMessages } from './stage-last-run.ts';
import { type LogStage, startLog } from './stage-log.ts';
import { type OutboxStage, startOutbox } from './stage-outbox.ts';
import { openReaders, type ReadersStage } from './stage-readers.ts';
import { openRehearsals, type RehearsalsStage } from './stage-rehearsals.ts';
import { type ShardsStage, startShards } from './stage-shards.ts';
import { startTimers, type TimersStage } from './stage-timers.ts';

/** The parts of a running runtime. */
export type Stages = Given &
  DirectoryStage &
  HostStage &
  LogStage &
  FlushStage &
  ReadersStage &
  EntitiesStage &
  HandlersStage &
  LastRunStage &
  ShardsStage &
  RehearsalsStage &
  TimersStage &
  OutboxStage;

/** Exported for tests, which let each stage fail. */
export const stages: StageList<Given, Stages> = StageList.of<Given>()
  .next('the data directory', openDataDirectory)
  .next('the host', makeHost)
  .next('the log', startLog)
  .next('the flush', startFlush)
  .next('the readers', openReaders)
  .next('entities', openEntities)
  .next('handlers', openHandlers)
  .next('the last run', readLeftOver)
  .next('shards', startShards)
  .next('rehearsals', openRehearsals)
  .next('messages', recoverMessages)
  .next('timers', startTimers)
  .next('the outbox', startOutbox);

/**
 * Start them all. If one fails, nothing is left open: no thread, no descriptor, no lock.
 * @throws DataDirInUse, DataDirUnsafe, DataDirNotWritable, DiskFull, DataDirNewerFormat, LogDamaged, StoreDamaged, ModuleMismatch,
 * StartTimedOut
 */
export async function startStages(options: ResolvedOptions): Promise<Stages> {
  const control = new ControlBlockWriter('host');
  const shutdown = new Shutdown(control);
  try {
    return await stages.start({ options, control, shutdown });
  } catch (error) {
    await shutdown.within(closeDeadlineMs).catch((err: unknown) => {
      options.logger.warn({ err }, 'what had started of the runtime did not end in order');
    });
    throw error;
  }
}
