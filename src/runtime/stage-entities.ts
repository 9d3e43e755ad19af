// Entities of the host thread: what publishes their events, and the store as users have it.
import { guarded } from '../base/guarded.ts';
import { OutboxHints } from '../entity/outbox-door.ts';
import { EventPublisher } from '../entity/publisher.ts';
import { RuntimeStore } from '../entity/store.ts';
import { Transactions } from '../entity/transactions.ts';
import type { Given } from './given.ts';
import type { HostStage } from './stage-host.ts';
import type { LogStage } from './stage-log.ts';
import type { ReadersStage } from './stage-readers.ts';

export interface EntitiesStage {
  readonly publisher: EventPublisher;
  readonly transactions: Transactions;
  readonly store: RuntimeStore;
  readonly outboxHints: OutboxHints;
}

export async function openEntities(made: Given & HostStage & LogStage & ReadersStage): Promise<EntitiesStage> {
  const { options, control, log, reading, logReader, elsewhere, dispatch, news } = made;
  const { declared, entities } = made;
  const { definitions: actorTypes } = dispatch.refs;
  const outboxHints = new OutboxHints();
  const append = await elsewhere?.adapter.openAppend?.(elsewhere.options.settings);
  const transactions = new Transactions(append, actorTypes, outboxHints, entities);
  const publisher = new EventPublisher({
    dispatcher: dispatch.dispatcher,
    control,
    storedHead: reading.localHead,
    lookUp: reading.lookUp,
    ...{ actorTypes, entities },
    options: { ...options, ringBytes: options.flush.ringBytes },
    transactions,
  });
  dispatch.inFlight.others.add(publisher.reading);
  log.attach(publisher.ring);
  news.on(
    'refused',
    guarded((refused) => publisher.fenced(refused)),
  );
  publisher.recover(logReader, control.position('remembered') + 1, log.recovery.lastPosition);
  const store = new RuntimeStore(reading, publisher, transactions, declared);
  return { publisher, transactions, store, outboxHints };
}
