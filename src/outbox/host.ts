// What a runtime whose store has an outbox does beside its log, as the runtime starts and stops it: the relay, and the upkeep
// of the store's tables. Host thread.

import { isError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { StopSteps } from '../base/stop-steps.ts';
import type { CommandDispatcher } from '../dispatch/dispatcher.ts';
import type { LogSource } from '../log/log.ts';
import type { ControlBlock } from '../shared/control-block.ts';
import { type OutboxAdapter, type RelayStatus, relayRingBytesLeast, type Upkeep, type UpkeepStatus } from './outbox.ts';
import { Relay } from './relay.ts';

export interface OutboxSurroundings {
  log: { logId: string; attach(ring: SharedArrayBuffer): number };
  logReader: LogSource;
  control: ControlBlock;
  dispatcher: CommandDispatcher;
}

/** What it takes of the runtime's options. */
export interface OutboxSettings {
  /** The store's own. */
  readonly store: unknown;
  /** Types of actors: events of entities may not have them. */
  readonly actorTypes: readonly string[];
  readonly ringBytes: number;
  readonly logger: Logger;
}

const pollMs = 50;

export class OutboxHost {
  private readonly relay: Relay;
  private readonly upkeep: Upkeep;

  private constructor(relay: Relay, upkeep: Upkeep) {
    this.relay = relay;
    this.upkeep = upkeep;
  }

  /** @throws AggregateTypeOwnedElsewhere if one of the actors' types has events of entities */
  static async start(
    settings: OutboxSettings,
    adapter: OutboxAdapter,
    around: OutboxSurroundings,
  ): Promise<OutboxHost> {
    const { log, logReader, control, dispatcher } = around;
    const { store, actorTypes, ringBytes, logger } = settings;
    const onError = (error: Error, what: string): void => logger.error({ err: error }, what);
    const { outbox, upkeep } = await adapter.openOutbox(store, {
      logId: log.logId,
      actorTypes,
      onError: (error) => onError(error, 'partition upkeep failed'),
    });
    const relay = new Relay({
      outbox,
      control,
      ringBytes: Math.max(ringBytes, relayRingBytesLeast),
      pollMs,
      onError: (error) => onError(error, 'the relay of the outbox failed; it is tried again'),
      onWarning: (message, details) => logger.warn(details, message),
    });
    dispatcher.inFlight.others.add(relay.ring.reading);
    log.attach(relay.ring.memory);
    relay.start(logReader, control.position('stored') + 1, control.position('written'));
    await relay.tried;
    const host = new OutboxHost(relay, upkeep);
    const { lastError } = relay.status;
    if (isError(lastError, 'AggregateTypeOwnedElsewhere')) {
      await host.stop();
      throw lastError;
    }
    upkeep.start();
    return host;
  }

  get status(): RelayStatus {
    return { ...this.relay.status };
  }

  get upkeepStatus(): UpkeepStatus {
    return this.upkeep.status;
  }

  /** Types that database roles may raise: their events do not come through this log. */
  get raisedTypes(): ReadonlySet<string> {
    return this.relay.raisedTypes;
  }

  /** A transaction with events in it has been committed. */
  hint(): void {
    this.relay.hint();
  }

  /** After the last flush. */
  finish(): Promise<void> {
    return this.relay.finish();
  }

  async stop(): Promise<void> {
    const steps = new StopSteps();
    const relay = steps.take('the relay', () => this.relay.stop());
    await steps.take('the upkeep of partitions', () => this.upkeep.stop());
    await relay;
    steps.end();
  }

  /** Neither is waited for any longer: nothing is written from now on. */
  cut(): void {
    this.relay.cut();
  }
}
