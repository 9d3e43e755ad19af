// Handlers: what they keep, and requests of other processes that concern them.

import { unawaited } from '../base/guarded.ts';
import type { Given } from './given.ts';
import { HandlerStage } from './handlers-stage.ts';
import type { DirectoryStage } from './stage-directory.ts';
import type { HostStage } from './stage-host.ts';
import type { LogStage } from './stage-log.ts';
import type { ReadersStage } from './stage-readers.ts';

export interface HandlersStage {
  readonly handlers: HandlerStage;
}

export async function openHandlers(
  made: Given & DirectoryStage & HostStage & LogStage & ReadersStage,
): Promise<HandlersStage> {
  const { options, directory, control, log, reading, dispatch, shutdown } = made;
  const { deliveries, inFlight } = dispatch;
  const handlers = await HandlerStage.open({
    folder: directory.handlersFolder,
    logId: log.logId,
    store: options.store,
    history: reading.history,
    control,
    progress: dispatch.progress,
    runtimeHasFailed: () => inFlight.closed !== undefined,
    messageCounts: () => deliveries.counts,
    lanes: deliveries,
    definitions: made.declared,
    moduleRoots: options.moduleRoots,
    logger: options.logger,
    waitTimeoutMs: options.waitTimeoutMs,
    moduleMs: options.starts.timeoutMs,
    options: options.handlers,
  });
  // What goes wrong with what handlers keep is reported, and may be the fault of its store.
  const report = (error: unknown): void => options.logger.error({ err: error }, 'the handlers did not end in order');
  unawaited(shutdown.abandoned.then(() => handlers.endWithin(0)));
  shutdown.add('handlers', () => Promise.race([handlers.close().catch(report), shutdown.abandoned]));
  shutdown.add('handlerState', () => shutdown.orCut(handlers.closeTables().catch(report), () => handlers.cut()));
  return { handlers };
}
