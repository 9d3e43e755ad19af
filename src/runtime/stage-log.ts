// Starts the log's two threads, in the host thread. Once they run, it is known what the last run has left.
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { TrunklineError } from '../base/errors.ts';
import { mapBytesFor } from '../log/lmdb.ts';
import { bootId, markerFile } from '../log/run-manifest.ts';
import { LogThreads } from '../log/threads.ts';
import { relayRingBytesLeast } from '../outbox/outbox.ts';
import { Signal, StopStage } from '../shared/control-block.ts';
import { checkLogOrigin, checkOrigin } from './directory.ts';
import type { Given } from './given.ts';
import type { DirectoryStage } from './stage-directory.ts';
import type { HostStage } from './stage-host.ts';

export interface LogStage {
  readonly log: LogThreads;
  /** What LMDB maps of the log's file. */
  readonly mapBytes: number;
  /** The flush thread's end of the channel on which the sync thread wakes it. */
  readonly flushWake: MessagePort;
}

/** @throws LogDamaged, DiskFull, DataDirNewerFormat */
export async function startLog(made: Given & DirectoryStage & HostStage): Promise<LogStage> {
  const { options, directory, control, dispatch, failure, shutdown } = made;
  const { logger } = options;
  checkOrigin(directory, markerFile(directory.logFolder));
  const mapBytes = mapBytesFor(options.log.maxBytes);
  const flushWake = new MessageChannel();
  const log = await LogThreads.start(
    {
      folder: directory.logFolder,
      mapBytes,
      maxBytes: options.log.maxBytes,
      admitBytes: made.admitBytes,
      batchBytesLimit: 64 << 20,
      groupLimit: Math.max(options.flush.ringBytes, options.store ? relayRingBytesLeast : 0) / 2,
      retainMs: options.log.retainMs,
      retainBytes: options.log.retainBytes,
      bootId: options.bootId ?? bootId(),
    },
    control,
    {
      wake: () => dispatch.turn(),
      poisoned: (cause) => {
        dispatch.turn();
        failure.fail(new TrunklineError('LogPoisoned', { cause }));
      },
      diskFull: (isFull) =>
        logger.warn(
          { dataDir: directory.path },
          isFull
            ? 'the disk is full: the log takes no commands until there is room on it'
            : 'the disk has room again: the log goes on',
        ),
      retention: ({ isGivenUp, fromPosition, toPosition }) =>
        logger.warn(
          { dataDir: directory.path, fromPosition, toPosition },
          isGivenUp
            ? 'the disk is short: the log gives up what it retains (fromPosition to toPosition); until there is room, a database that comes back from an earlier state cannot be refilled from it'
            : 'the disk is not short any more: the log retains what it has and takes, fromPosition first',
        ),
    },
    flushWake.port2,
  );
  const reported = (): void => {}; // `poisoned` has heard of it
  shutdown.add('logThread', () => {
    control.setFlag(Signal.stopping, StopStage.log);
    return log.logEnded().catch(reported);
  });
  shutdown.add('syncThread', () => {
    control.setFlag(Signal.stopping, StopStage.sync);
    return log.syncEnded().catch(reported);
  });
  checkLogOrigin(directory, log.logId);
  const { recovery } = log;
  if (recovery.leftOut.length > 0) {
    logger.warn({ recovery }, 'the log was damaged; what could not be kept is named');
  }
  return { log, mapBytes, flushWake: flushWake.port1 };
}
