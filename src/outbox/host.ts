// What a runtime whose store has an outbox does beside its log, as the runtime starts and stops it: the relay, and the upkeep
// of the store's tables. Host thread.

import { isError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { StopSteps } from '../base/stop-steps.ts';
import type { OtherRing } from '../dispatch/in-flight.ts';
import type { LogSource } from '../log/log.ts';
import type { ControlBlock } from '../shared/control-block.ts';
import { type OutboxAdapter, type RelayStatus, relayRingBytesLeast, type Upkeep, type UpkeepStatus } from './outbox.ts';
import { Relay } from './relay.ts';

export interface OutboxSurroundings {
  log: { logId: string; attach(ring: SharedArrayBuffer): number };
  logReader: LogSource;
  control: ControlBlock;
  /** Rings that the host thread reads beside those of the shards. */
  rings: Set<OtherRing>;
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

  private readonly around: OutboxSurroundings;

  private constructor(relay: Relay, upkeep: Upkeep, around: OutboxSurroundings) {
    this.relay = relay;
    this.upkeep = upkeep;
    this.around = around;
  }

  /** Nothing is relayed yet; from here on `stop` closes what is open. */
  static async open(settings: OutboxSettings, adapter: OutboxAdapter, around: OutboxSurroundings): Promise<OutboxHost> {
    const { log, control } = around;
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
    return new OutboxHost(relay, upkeep, around);
  }

  /** Resolves when the outbox has been opened, or could not be, for the first time. @throws AggregateTypeOwnedElsewhere if one of the actors' types has events of entities */
  async begin(): Promise<void> {
    const { relay, upkeep } = this;
    const { log, logReader, control, rings } = this.around;
    rings.add(relay.ring.reading);
    log.attach(relay.ring.memory);
    relay.start(logReader, control.position('stored') + 1, control.position('written'));
    await relay.tried;
    const { lastError } = relay.status;
    if (isError(lastError, 'AggregateTypeOwnedElsewhere')) throw lastError;
    upkeep.start();
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
