// The states of all aggregates of one type, kept current from their events by their own `evolve`. The router reads bids and
// accounts here, in memory, instead of asking the actors for each call.
import type { AnyAggregate, StateOf, StoredEvent } from 'trunkline';

type Evolve<State> = (state: State, data: unknown, event: StoredEvent) => State;

export class LiveStates<A extends AnyAggregate> {
  readonly #aggregate: A;
  readonly #entries = new Map<string, { version: number; state: StateOf<A> }>();

  constructor(aggregate: A) {
    this.#aggregate = aggregate;
  }

  /** Events come in version order per aggregate, from the replay and from the bus; what both bring counts once. */
  apply(event: StoredEvent): void {
    if (event.aggregateType !== this.#aggregate.name) return;
    const entry = this.#entries.get(event.aggregateId) ?? { version: 0, state: this.#aggregate.state() };
    if (event.version <= entry.version) return;
    const evolve = this.#aggregate.evolve[event.type] as Evolve<StateOf<A>>;
    const state = evolve(entry.state, event.data, event);
    this.#entries.set(event.aggregateId, { version: event.version, state });
  }

  get(id: string): StateOf<A> | undefined {
    return this.#entries.get(id)?.state;
  }

  *[Symbol.iterator](): Generator<[id: string, state: StateOf<A>]> {
    for (const [id, { state }] of this.#entries) yield [id, state];
  }
}
