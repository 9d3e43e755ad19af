// How many messages are in progress, and what has come of the others since the start. Each end is counted and reported by one
// call, so that the counts and the events agree. Host thread.
import type { DeliveryEvents, Message, MessageFailure } from '../wire/message.ts';

export class Tally implements DeliveryEvents {
  /** Neither carried out nor among the dead letters. */
  underWay = 0;
  /** Refused by their targets. */
  refusedCount = 0;
  /** Given up after their attempts. */
  failedCount = 0;
  private readonly events: DeliveryEvents;

  constructor(events: DeliveryEvents) {
    this.events = events;
  }

  refused(message: Message, error: unknown): void {
    this.refusedCount++;
    this.events.refused(message, error);
  }

  /** `failure` undefined: it waits behind one that has failed. */
  parked(message: Message, failure: MessageFailure | undefined): void {
    if (failure !== undefined) this.failedCount++;
    this.events.parked(message, failure);
  }

  heldUp(message: Message, error: unknown): void {
    this.events.heldUp(message, error);
  }
}
