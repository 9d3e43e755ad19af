// The host thread's own part: refs, commands in flight, messages, live listeners. It takes no command before there are shards.
import { EventEmitter } from 'eventemitter3';
import { openHostsOf } from '../adapters/kafka/settings.ts';
import { TrunklineError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { Bus } from '../bus/bus.ts';
import { Dispatch } from '../dispatch/dispatch.ts';
import type { Refused } from '../dispatch/fences.ts';
import { StoreAnswers } from '../dispatch/store-answers.ts';
import { admitBytesOf } from '../log/lmdb.ts';
import type { FlushPolicy } from '../log/policy.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import { AggregatesByName } from '../model/aggregate-names.ts';
import { checkRegistered } from '../model/catalogue.ts';
import { Evolution } from '../model/evolution.ts';
import { deliveryEvents } from '../model/undelivered.ts';
import type { ControlBlockWriter } from '../shared/control-block.ts';
import { shutExitGuardAtExit } from '../shared/exit-guard.ts';
import { RuntimeFailure } from './failure.ts';
import { flushBy } from './flush-policy.ts';
import type { ResolvedOptions } from './options.ts';
import type { Shutdown } from './shutdown.ts';

/** News that the flush thread brings to parts which may not have been made yet. */
interface HostNews {
  refused: [events: readonly Refused[]];
}

export interface HostStage {
  readonly dispatch: Dispatch;
  readonly bus: Bus;
  readonly failure: RuntimeFailure;
  /** How stored events are read. */
  readonly evolution: Evolution;
  /** All whose events are declared, by every name: actors and entities. */
  readonly declared: ReadonlyMap<string, AnyAggregate>;
  /** The entities among them. */
  readonly entities: ReadonlyMap<string, AnyAggregate>;
  readonly answers: StoreAnswers;
  readonly news: EventEmitter<HostNews>;
  readonly listenerErrors: { readonly count: number };
  /** Puts a flush policy into force. */
  applyFlush(flush: FlushPolicy): void;
  /** What the log takes at most, in bytes. */
  readonly admitBytes: number;
}

export function makeHost(made: {
  readonly options: ResolvedOptions;
  readonly control: ControlBlockWriter<'host'>;
  readonly shutdown: Shutdown;
}): HostStage {
  const { options, control, shutdown } = made;
  const { aggregates, logger } = options;
  const { declared, entities, evolution, entityEvents } = declaredIn(options);
  warnOfOpenHosts(options);
  shutdown.add('gate', shutExitGuardAtExit(control));
  // Of each shard, of this thread, and of the relay.
  const admitBytes = admitBytesOf(options.log, (options.shards + 2) * options.flush.ringBytes);
  control.publish('admitBytes', admitBytes);
  const listenerErrors = new ListenerErrors(logger);
  const bus = new Bus(
    (error, event) => listenerErrors.add(error, event.id, event.type),
    (aggregate) => {
      if (shutdown.isClosed) throw new TrunklineError('RuntimeClosed', { state: 'closed' });
      if (aggregate !== undefined) checkRegistered([aggregate], declared);
    },
  );
  const answers = new StoreAnswers();
  const dispatch: Dispatch = new Dispatch({
    aggregates,
    control,
    bus,
    answers,
    options: {
      ack: options.ack,
      maxInFlight: options.maxInFlight,
      whenFull: options.flush.whenFull,
      logLimitBytes: admitBytes,
      hasStream: options.stream !== undefined,
      waitTimeoutMs: options.waitTimeoutMs,
      isStoreElsewhere: options.store !== undefined,
      todaysType: (aggregateType) => evolution.todaysType(aggregateType),
    },
    entityEvents,
    messages: { settings: options.messages, events: deliveryEvents(logger, options.messages, evolution) },
    report: (error) => reportDefect(error, logger),
  });
  const failure = new RuntimeFailure(logger, (error) => dispatch.inFlight.fail(error));
  const applyFlush = (flush: FlushPolicy): void => flushBy(flush, control, dispatch);
  applyFlush(options.flush);
  endInSteps(dispatch, failure, shutdown);
  const news = new EventEmitter<HostNews>();
  return {
    dispatch,
    bus,
    failure,
    evolution,
    declared,
    entities,
    answers,
    news,
    listenerErrors,
    applyFlush,
    admitBytes,
  };
}

function declaredIn({ aggregates, entities }: ResolvedOptions): Pick<
  HostStage,
  'declared' | 'entities' | 'evolution'
> & {
  readonly entityEvents: Evolution;
} {
  const all = [...aggregates, ...entities];
  return {
    declared: new AggregatesByName(all),
    entities: new AggregatesByName(entities),
    evolution: new Evolution(all),
    entityEvents: new Evolution(entities),
  };
}

/** How commands in flight and messages end: as far as they can, then as given up, then with the runtime. */
function endInSteps(dispatch: Dispatch, failure: RuntimeFailure, shutdown: Shutdown): void {
  const { inFlight, deliveries } = dispatch;
  shutdown.add('admission', () => inFlight.close(new TrunklineError('RuntimeClosed', { state: 'closing' })));
  shutdown.add('messages', () => deliveries.close());
  const left = (): string | undefined => (inFlight.count > 0 ? `${inFlight.count} commands in flight` : undefined);
  const drained = (): unknown => failure.error ?? Promise.race([inFlight.whenDrained(), shutdown.abandoned]);
  shutdown.add('drained', drained, left);
  shutdown.add('messagesEnd', () => deliveries.end());
  shutdown.add('unanswered', () => {
    dispatch.turn();
    inFlight.abandon('the runtime was closed before it ended');
  });
  shutdown.add('waits', () => {
    dispatch.turn();
    inFlight.fail(new TrunklineError('RuntimeClosed', { state: 'closed' }));
  });
}

class ListenerErrors {
  private errors = 0;
  private readonly logger: Logger;

  constructor(logger: Logger) {
    this.logger = logger;
  }

  get count(): number {
    return this.errors;
  }

  add(error: unknown, eventId: string, eventType: string): void {
    this.errors++;
    this.logger.error({ err: error, eventId, eventType }, 'a live listener threw');
  }
}

function warnOfOpenHosts({ store, stream, logger }: ResolvedOptions): void {
  for (const one of [...openHostsOf(stream?.options), ...(store?.openHosts() ?? [])]) {
    logger.warn(one, 'a connection to another machine has no TLS, or does not verify the server');
  }
}

/** An exception that was caught where none is expected; what it concerned has failed, everything else goes on. */
function reportDefect(error: unknown, logger: Logger): void {
  try {
    logger.error({ err: error }, 'an unexpected exception; everything else goes on');
  } catch {} // a logger's own exception has no other place to go
}
