// Ledgers whose state keeps each event, and changes in place.
import { defineAggregate } from '../../src/model/aggregate.ts';
import { event } from '../../src/model/event-spec.ts';

/** Each look at a line is counted: a comparison looks at all. */
export const looked = { count: 0 };

class Line {
  readonly #n: number;
  constructor(n: number) {
    this.#n = n;
  }
  toJSON(): number {
    looked.count++;
    return this.#n;
  }
}

/** `before`: called with each event. */
export const ledger = (n: (given: number) => number, before: (given: number) => void = () => {}) =>
  defineAggregate('ledger', {
    module: import.meta.url,
    state: () => ({ lines: [] as Line[] }),
    events: { Added: event<{ n: number }>() },
    evolve: {
      Added: (state, { n: given }) => {
        before(given);
        (state.lines as Line[]).push(new Line(n(given)));
        return state;
      },
    },
    commands: {
      add(one, from: number, count: number) {
        for (let i = from; i < from + count; i++) one.raise('Added', { n: i });
      },
    },
  });

/** What writes the history: shards freeze what a command has seen, so its reducer keeps nothing. */
export const Ledger = (() => {
  const { name, ...rest } = ledger((n) => n);
  return defineAggregate(name, { ...rest, module: import.meta.url, evolve: { Added: (state) => state } });
})();
