// Durable timers: those that the last run has left, and those that commands set now.
import { unawaited } from '../base/guarded.ts';
import { PendingTimers } from '../timers/pending-timers.ts';
import { recoverTimers } from '../timers/recovery.ts';
import { Timers } from '../timers/timers.ts';
import type { Given } from './given.ts';
import type { HandlersStage } from './stage-handlers.ts';
import type { HostStage } from './stage-host.ts';
import type { LastRunStage } from './stage-last-run.ts';

export interface TimersStage {
  readonly timers: PendingTimers;
}

export function startTimers(made: Given & HostStage & HandlersStage & LastRunStage): TimersStage {
  const { dispatch, handlers, lastRun, releaseLastRun, shutdown, options } = made;
  const { deliveries, dispatcher } = dispatch;
  const timers = new Timers({
    feed: dispatch.timers,
    delivery: deliveries,
    tables: handlers.stores.messageBox.timers,
    synced: (position) => dispatcher.reached('synced', position),
  });
  shutdown.add('messages', () => timers.close());
  unawaited(
    deliveries.recovered
      .then((resolved) => recoverTimers(timers, dispatch.timers, lastRun, resolved))
      .then(releaseLastRun),
    (error) => options.logger.error({ err: error }, 'timers of the last run cannot be read: none is due in this run'),
  );
  return { timers: new PendingTimers(timers, made.evolution) };
}
