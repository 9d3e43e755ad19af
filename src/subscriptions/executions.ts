// What of one subscription is being executed: what waits for its end is woken by it. Owned by the host thread.
//
// Invariant: a handler's first turn counts by itself. It may ask there for the end of what it is part of (`close()`, `pause()`),
// as an execution like any other.
import { Condition } from './condition.ts';

export class Executions {
  /** Events being executed or tried again; not what users have asked for. */
  private events = 0;
  /** Handlers that have been called and have not returned: not among `events` yet. */
  private firstTurns = 0;
  /** Changes when an execution, or a lane, has ended. */
  private readonly changes = new Condition();

  get isInFirstTurn(): boolean {
    return this.firstTurns > 0;
  }

  /** Whether no event is executed. */
  get isStill(): boolean {
    return this.events === 0 && this.firstTurns === 0;
  }

  firstTurnBegins(): void {
    this.firstTurns++;
  }

  firstTurnEnds(): void {
    this.firstTurns--;
  }

  /** `isEvent`: not what a user has asked for. */
  async during(execution: Promise<void>, isEvent: boolean): Promise<void> {
    if (isEvent) this.events++;
    try {
      await execution;
    } finally {
      if (isEvent) this.events--;
      this.changes.changed();
    }
  }

  /** Something has ended. */
  ended(): void {
    this.changes.changed();
  }

  /** Resolves when it holds: looked at whenever something has ended. */
  until(holds: () => boolean): Promise<void> {
    return this.changes.until(holds);
  }
}
