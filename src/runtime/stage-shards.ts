// The shards: from here on commands are carried out.
import { Shards } from '../dispatch/shards.ts';
import { shardSettings } from '../shard/settings.ts';
import { Signal, StopStage } from '../shared/control-block.ts';
import type { Given } from './given.ts';
import type { DirectoryStage } from './stage-directory.ts';
import type { FlushStage } from './stage-flush.ts';
import type { HostStage } from './stage-host.ts';
import type { LogStage } from './stage-log.ts';
import type { ReadersStage } from './stage-readers.ts';

export interface ShardsStage {
  readonly shards: Shards;
}

/** @throws ModuleMismatch, StartTimedOut, ThreadFailed, what a module of the user's throws */
export async function startShards(
  made: Given & DirectoryStage & HostStage & LogStage & FlushStage & ReadersStage,
): Promise<ShardsStage> {
  const { options, directory, control, log, local, dispatch, failure, shutdown } = made;
  const { logger } = options;
  const common = {
    local,
    logFolder: directory.logFolder,
    controlBlock: control.memory,
    logId: log.logId,
    mapBytes: made.mapBytes,
  };
  const shards = new Shards(dispatch, log, shardSettings(options, common), options.starts, {
    warning: (message, details) => logger.warn(details, message),
    died: (shard, cause) => logger.error({ shard, cause }, 'a shard died; starting another'),
    failed: (error) => failure.fail(error),
  });
  shutdown.add('shards', () => {
    control.setFlag(Signal.stopping, StopStage.shards);
    return shards.close(shutdown.abandoned);
  });
  await shards.start();
  made.earlierRefusals.begin(made.logReader);
  dispatch.turn();
  return { shards };
}
