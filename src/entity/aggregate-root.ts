// Base class of entities that raise events: collects them until they are committed, and rebuilds an entity from them.
import { checkId } from '../base/checks.ts';
import { dateMs } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { AGGREGATE_TYPE_BYTES_LIMIT, NAME_BYTES_LIMIT } from '../base/name-limits.ts';
import { type EntityEvents, isEntityEvents, newestPayload, noteValidated } from '../model/entity-events.ts';
import { eventOf, type NewEvent, type StoredEvent } from '../model/event.ts';
import { newId } from '../wire/ids.ts';
import { checkVersion } from '../wire/limits.ts';
import type { Metadata } from '../wire/metadata.ts';
import { plainMetadataToJson, toPlainMetadata } from '../wire/metadata.ts';
import { deepFreeze, plainToJson, toPlain } from '../wire/payload.ts';

/** An event that an entity has raised. Frozen. */
export type RaisedEvent = Readonly<Required<NewEvent>> & { toJSON(): Record<string, unknown> };

/**
 * Extend it: change fields in `apply`, raise events in methods.
 *
 * ```ts
 * class Stock extends AggregateRoot {
 *   price = '0';
 *   constructor(id: string) {
 *     super('stock', id);
 *   }
 *   reprice(price: string) {
 *     this.raise('StockPriceUpdated', { oldPrice: this.price, newPrice: price });
 *   }
 *   protected override apply(event: { type: string; data: any }) {
 *     if (event.type === 'StockPriceUpdated') this.price = event.data.newPrice;
 *   }
 * }
 * ```
 */
export abstract class AggregateRoot {
  readonly aggregateType: string;
  readonly id: string;
  readonly #events: EntityEvents | undefined;
  #version = 0;
  #committedVersion = 0;
  #uncommitted: RaisedEvent[] = [];
  #isApplying = false;

  /**
   * `type`: by name; or what `defineEntityEvents` has returned: then events are checked as they are raised, and bear the version of
   * their declaration. @throws InvalidId
   */
  constructor(type: string | EntityEvents, id: string) {
    const aggregateType: string = isEntityEvents(type) ? type.name : (type as string);
    this.#events = isEntityEvents(type) ? type : undefined;
    checkId('aggregate type', aggregateType, AGGREGATE_TYPE_BYTES_LIMIT);
    checkId('aggregate id', id);
    this.aggregateType = aggregateType;
    this.id = id;
  }

  /** Change the entity's fields by one event: called by `raise` and by `rebuild` alike. */
  protected apply(
    _event: Pick<StoredEvent, 'type' | 'data' | 'schemaVersion' | 'version' | 'occurredAt' | 'metadata'>,
  ): void {}

  /**
   * Raise an event: past-tense type, JSON payload (decimals as text).
   * @throws UnserialisableValue, InvalidId, InvalidOptions; within `apply`: InsideReducer; of declared events: UnknownEventType,
   * SchemaViolation
   */
  protected raise(type: string, data: unknown, metadata: Metadata = {}): void {
    checkId('event type', type, NAME_BYTES_LIMIT);
    const declared = this.#events && newestPayload(this.#events, { type, data });
    const plain = toPlain(declared === undefined ? data : declared.data, type);
    const plainMetadata = toPlainMetadata(metadata);
    // What could not be published is refused here, where it can still be mended.
    plainToJson(plain, type);
    plainMetadataToJson(plainMetadata);
    // After the user's own toJSON() has run, which may raise.
    this.#checkOutside('raise');
    const event: RaisedEvent = eventOf({
      id: newId(),
      aggregateType: this.aggregateType,
      aggregateId: this.id,
      type,
      data: deepFreeze(plain),
      metadata: deepFreeze(plainMetadata),
      occurredAt: new Date(dateMs()),
      schemaVersion: declared?.schemaVersion ?? 1,
      version: this.#version + 1,
    });
    if (this.#events !== undefined) noteValidated(this.#events, event);
    this.#applyOne(event);
    this.#uncommitted.push(event);
  }

  /** Apply one event; its version counts once `apply` has returned. */
  #applyOne(event: RaisedEvent | StoredEvent): void {
    this.#isApplying = true;
    try {
      this.apply(event);
    } finally {
      this.#isApplying = false;
    }
    this.#version = event.version;
  }

  #checkOutside(called: string): void {
    if (!this.#isApplying) return;
    throw new TrunklineError('InsideReducer', { aggregateType: this.aggregateType, id: this.id, called });
  }

  /** The version with everything raised so far. */
  get version(): number {
    return this.#version;
  }

  /** The version as last committed or rebuilt: the expected version of a save. */
  get committedVersion(): number {
    return this.#committedVersion;
  }

  /** Raised, and in no store yet. */
  get uncommittedEvents(): readonly RaisedEvent[] {
    return [...this.#uncommitted];
  }

  /** `through`: the version of the last event that has been committed, if others have been raised since. */
  markEventsAsCommitted(through: number = this.#version): void {
    this.#uncommitted = this.#uncommitted.filter(({ version }) => version > through);
    this.#committedVersion = through;
  }

  /** The uncommitted events, which count as committed from here on. */
  pullEvents(): readonly RaisedEvent[] {
    const events = this.#uncommitted;
    this.markEventsAsCommitted();
    return events;
  }

  /**
   * Bring a new entity to where its stored events lead. Returns it. `version`: the aggregate's, as `store.head` has it; needed where
   * declared events are retired or skipped, since the last one may be such a one.
   * @throws VersionGap
   */
  rebuild(events: Iterable<StoredEvent>, version = 0): this {
    if (version !== 0) checkVersion('version', version);
    for (const event of events) {
      this.#checkOutside('rebuild');
      if (!this.#mayFollow(event.version)) {
        const { aggregateType, id: aggregateId } = this;
        const [expectedVersion, foundVersion] = [this.#version + 1, event.version];
        throw new TrunklineError('VersionGap', { aggregateType, aggregateId, expectedVersion, foundVersion });
      }
      this.#applyOne(event);
    }
    this.#version = Math.max(this.#version, version);
    this.#committedVersion = this.#version;
    return this;
  }

  /** Of declared events one that is retired or skipped is not there, and one that was split comes as several of one version. */
  #mayFollow(version: number): boolean {
    const next = this.#version + 1;
    return this.#events === undefined
      ? version === next
      : version >= next || (version === this.#version && version > 0);
  }
}
