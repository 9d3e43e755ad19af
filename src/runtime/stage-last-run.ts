// What the last run has left: read before the shards start, and delivered once they have.
import { type LastRun, readLastRun } from '../dispatch/last-run.ts';
import type { KeptLetters } from '../wire/message.ts';
import type { Given } from './given.ts';
import type { HandlersStage } from './stage-handlers.ts';
import type { HostStage } from './stage-host.ts';
import type { LogStage } from './stage-log.ts';
import type { ReadersStage } from './stage-readers.ts';
import type { ShardsStage } from './stage-shards.ts';

export interface LastRunStage {
  readonly lastRun: LastRun;
  /** Timers need no more of what the last run has left in the log. */
  releaseLastRun(): void;
  readonly letters: {
    /** undefined: they cannot be read. */
    readonly kept: KeptLetters | undefined;
    /** Try again. */
    load(): Promise<KeptLetters>;
  };
}

export async function readLeftOver(
  made: Given & HostStage & LogStage & ReadersStage & HandlersStage,
): Promise<LastRunStage> {
  const { options, control, dispatch, log, logReader, handlers } = made;
  const { logger } = options;
  const { lastEnd, lastPosition } = log.recovery;
  const firstOpen = Math.max(log.recoveredFloor, control.position('settledBefore') + 1);
  const lastRun = await readLastRun(logReader, firstOpen, lastPosition);
  // What handlers keep may be damaged, or another log's: everything but messages goes on without it.
  const load = async (): Promise<KeptLetters> => {
    try {
      return await handlers.stores.messageBox.load(firstOpen, lastRun.carriedOut);
    } catch (error) {
      logger.error({ err: error }, 'dead letters of messages cannot be read: messages wait, retrying');
      throw error;
    }
  };
  handlers.serveRequests();
  const kept = await load().catch(() => undefined);
  if (lastEnd === 'killed' || lastEnd === 'power loss') {
    await handlers.stores.recover(lastPosition, lastRun.carriedOut).catch((error: unknown) => {
      logger.error({ err: error }, 'what was in hand at the end of the last run cannot be read');
    });
  }
  return { lastRun, releaseLastRun: dispatch.timers.hold(lastRun.from), letters: { kept, load } };
}

/** Deliver what is left over, and what comes now. */
export function recoverMessages({
  dispatch,
  handlers,
  lastRun,
  letters,
  shards,
}: HostStage & HandlersStage & LastRunStage & ShardsStage): object {
  handlers.tellOf(shards);
  const { deliveries } = dispatch;
  const { messageBox, care } = handlers.stores;
  if (letters.kept) deliveries.recover(lastRun, messageBox, letters.kept, care);
  else deliveries.recoverLater(lastRun, messageBox, letters.load, care);
  dispatch.turn();
  return {};
}
