// What brings events of transactions into the log, as entities know it: a runtime may have none, and has none while it starts.
// Host thread.

export interface OutboxDoor {
  /** Something may have been committed. */
  hint(): void;
  /** Types that database roles may raise. */
  readonly raisedTypes: ReadonlySet<string>;
}

export class OutboxHints implements Pick<OutboxDoor, 'hint'> {
  private door: OutboxDoor | undefined;

  /** The relay is there. What has been committed before, it finds by itself. */
  open(door: OutboxDoor): void {
    this.door = door;
  }

  /** A transaction with events in it has been committed: without the hint the relay would look a little later. */
  hint(): void {
    this.door?.hint();
  }

  /** Whether database roles may raise events of this type, in transactions: then they come through those alone. */
  mayBeRaised(aggregateType: string): boolean {
    return this.door?.raisedTypes.has(aggregateType) === true;
  }
}
