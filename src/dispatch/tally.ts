// How many messages are in progress, and what has come of the others since the start. Each end is counted and reported by one
// call, so that the counts and the events agree. Host thread.
import type { DeliveryEvents, Message, MessageFailure } from '../wire/message.ts';

export class Tally implements DeliveryEvents {
  private inProgress = 0;
  private refusals = 0;
  private failures = 0;
  private readonly events: DeliveryEvents;

  constructor(events: DeliveryEvents) {
    this.events = events;
  }

  /** Neither carried out nor among the dead letters. */
  get underWay(): number {
    return this.inProgress;
  }

  /** Refused by their targets. */
  get refusedCount(): number {
    return this.refusals;
  }

  /** Given up after their attempts. */
  get failedCount(): number {
    return this.failures;
  }

  began(count: number): void {
    this.inProgress += count;
  }

  ended(count: number): void {
    this.inProgress -= count;
  }

  refused(message: Message, error: unknown): void {
    this.refusals++;
    this.events.refused(message, error);
  }

  /** `failure` undefined: it waits behind one that has failed. */
  parked(message: Message, failure: MessageFailure | undefined): void {
    if (failure !== undefined) this.failures++;
    this.events.parked(message, failure);
  }

  heldUp(message: Message, error: unknown): void {
    this.events.heldUp(message, error);
  }
}
