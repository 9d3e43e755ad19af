// Durable timers: those that the last run has left, and those that commands set now.
import { isError } from '../base/errors.ts';
import { unawaited } from '../base/guarded.ts';
import { PendingTimers } from '../timers/pending-timers.ts';
import { recoverTimers } from '../timers/recovery.ts';
import { Schedules } from '../timers/schedules.ts';
import { Timers } from '../timers/timers.ts';
import type { Given } from './given.ts';
import type { HandlersStage } from './stage-handlers.ts';
import type { HostStage } from './stage-host.ts';
import type { LastRunStage } from './stage-last-run.ts';

export interface TimersStage {
  readonly timers: PendingTimers;
  readonly schedules: Schedules;
}

export function startTimers(made: Given & HostStage & HandlersStage & LastRunStage): TimersStage {
  const { dispatch, handlers, lastRun, releaseLastRun, shutdown, options, control } = made;
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
  const schedules = new Schedules({
    delivery: deliveries,
    tables: handlers.stores.local,
    logger: options.logger,
    definition: (name) => dispatch.refs.definition(name),
    position: () => control.position('written'),
  });
  shutdown.add('messages', () => schedules.close());
  if (options.store === undefined && handlers.stores.hasLocal()) {
    const release = dispatch.timers.hold(lastRun.from);
    unawaited(deliveries.recovered.then(() => schedules.recover(lastRun.carriedOut)).then(release), (error) => {
      const message = 'schedules of the last run cannot be read: the log is kept for the next run';
      if (!isError(error, 'RuntimeClosed')) options.logger.error({ err: error }, message);
    });
  }
  return { timers: new PendingTimers(timers, made.evolution), schedules };
}
