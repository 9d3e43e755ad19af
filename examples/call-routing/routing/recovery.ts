// What the router knows when it starts: everything that ever happened, read once from the store and the log, and then kept
// current from the bus without a seam.
import type { Runtime, StoredEvent } from 'trunkline';

/**
 * Feed `apply` the past, then everything live.
 * Live events that arrive during the replay wait until it is done, so each aggregate's come in version order.
 */
export async function follow(runtime: Runtime, apply: (event: StoredEvent) => void): Promise<void> {
  const early: StoredEvent[] = [];
  let isReplaying = true;
  runtime.bus.on('*', (event) => {
    if (isReplaying) early.push(event);
    else apply(event);
  });
  for await (const event of runtime.events()) apply(event);
  for (const event of early) apply(event);
  isReplaying = false;
}

/** The calls that have begun and not ended. */
export class OpenCalls {
  readonly #open = new Set<string>();

  apply({ type, aggregateId }: StoredEvent): void {
    if (type === 'CallCreated') this.#open.add(aggregateId);
    else if (type === 'CallCompleted' || type === 'CallFailed') this.#open.delete(aggregateId);
  }

  get ids(): readonly string[] {
    return [...this.#open];
  }
}
