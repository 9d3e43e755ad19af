// An aggregate whose state JSON does not bring back.
import { defineAggregate, event } from 'trunkline';

export const Tally = defineAggregate('tally', {
  module: import.meta.url,
  state: (): { counts: Map<string, number> } => ({ counts: new Map() }),
  events: { Counted: event<{ name: string }>() },
  evolve: {
    Counted: ({ counts }, { name }) => ({ counts: new Map([...counts, [name, (counts.get(name) ?? 0) + 1]]) }),
  },
  commands: {
    count(tally, name: string): void {
      tally.raise('Counted', { name });
    },
  },
});

export interface LotState {
  title: string;
  /** Undefined until there is one. */
  winner: string | undefined;
  bids: { by: string; note?: string | undefined }[];
}

/** Its state has properties that are `undefined`, before and after events. */
export const Lot = defineAggregate('lot', {
  module: import.meta.url,
  state: (): LotState => ({ title: '', winner: undefined, bids: [] }),
  events: { Bid: event<{ by: string }>(), Reset: event() },
  evolve: {
    Bid: (state, { by }) => ({ ...state, winner: by, bids: [...state.bids, { by, note: undefined }] }),
    Reset: (state) => ({ ...state, winner: undefined }),
  },
  snapshot: { every: 2 },
  commands: {
    bid(lot, by: string): void {
      lot.raise('Bid', { by });
      lot.raise('Reset', {});
    },
  },
});
