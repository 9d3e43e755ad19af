// Counts what happened, from the live events.
import type { StoredEvent } from 'trunkline';

const outcomes: Readonly<Record<number, string>> = {
  402: '402 no credit',
  403: '403 not allowed',
  404: '404 no route',
  408: '408 no answer',
  486: '486 busy',
  487: '487 cancelled',
};

export class Tally {
  readonly #calls: Record<string, number> = {};
  readonly #trunks: Record<string, number> = {};
  readonly #events: Record<string, number> = {};
  #total = 0;
  #firstAt = 0;
  #lastAt = 0;

  count({ type, data }: StoredEvent): void {
    this.#lastAt = performance.now();
    this.#firstAt ||= this.#lastAt;
    this.#total++;
    add(this.#events, type);
    if (type === 'CallCompleted') add(this.#calls, 'completed');
    if (type === 'CallFailed') {
      const { status } = data as { status: number };
      add(this.#calls, outcomes[status] ?? `${status} failed`);
    }
  }

  forwarded(trunk: string): void {
    add(this.#trunks, trunk);
  }

  report(): {
    calls: Record<string, number>;
    trunks: Record<string, number>;
    events: Record<string, number>;
    eventsPerSecond: number;
  } {
    const seconds = (this.#lastAt - this.#firstAt) / 1_000;
    const eventsPerSecond = seconds > 0 ? this.#total / seconds : 0;
    return { calls: this.#calls, trunks: this.#trunks, events: this.#events, eventsPerSecond };
  }
}

function add(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}
