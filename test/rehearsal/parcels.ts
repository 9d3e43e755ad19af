// Parcels whose payloads are nested.
import { defineAggregate } from '../../src/model/aggregate.ts';
import { event } from '../../src/model/event-spec.ts';

export interface Packed {
  weight: number;
  lines: { sku: string; tags: string[] }[];
  label: any;
}

export const Parcel = defineAggregate('parcel', {
  module: import.meta.url,
  state: () => ({ weight: 0 }),
  events: { Packed: event<Packed>() },
  evolve: { Packed: (state, { weight }) => ({ weight: state.weight + weight }) },
  commands: {
    pack(parcel, all: readonly Packed[]) {
      for (const one of all) parcel.raise('Packed', one);
    },
  },
});
