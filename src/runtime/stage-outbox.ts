// The relay of the outbox, where users' transactions can take events: what they commit comes into this log.
import { namesOf } from '../model/aggregate-names.ts';
import type { OutboxHost } from '../outbox/host.ts';
import type { OutboxAdapter } from '../outbox/outbox.ts';
import type { Given } from './given.ts';
import type { EntitiesStage } from './stage-entities.ts';
import type { HostStage } from './stage-host.ts';
import type { LogStage } from './stage-log.ts';
import type { ReadersStage } from './stage-readers.ts';

export interface OutboxStage {
  /** undefined: the store has none. */
  readonly outbox: OutboxHost | undefined;
}

/** @throws AggregateTypeOwnedElsewhere */
export async function startOutbox(
  made: Given & HostStage & LogStage & ReadersStage & EntitiesStage,
): Promise<OutboxStage> {
  const { options, control, log, logReader, elsewhere, dispatch, shutdown } = made;
  if (!elsewhere?.adapter.openOutbox) return { outbox: undefined };
  const { OutboxHost } = await import('../outbox/host.ts');
  const settings = {
    store: elsewhere.options.settings,
    actorTypes: options.aggregates.flatMap(namesOf),
    ringBytes: options.flush.ringBytes,
    logger: options.logger,
  };
  const around = { log, logReader, control, rings: dispatch.inFlight.others };
  const outbox = await OutboxHost.open(settings, elsewhere.adapter as OutboxAdapter, around);
  shutdown.add('relay', () => shutdown.orCut(outbox.stop(), () => outbox.cut()));
  await outbox.begin();
  shutdown.add('relayEnd', () => shutdown.orCut(outbox.finish(), () => outbox.cut()));
  made.outboxHints.open(outbox);
  dispatch.turn();
  return { outbox };
}
