// An aggregate whose messages bear numbers, and write as much as they are asked to. Imported by shards: no side effects.
import { existsSync } from 'node:fs';
import { defineAggregate } from '../../src/model/aggregate.ts';
import { event } from '../../src/model/event-spec.ts';

/** Numbers in the order in which they were taken, by sender. */
type Taken = Record<string, number[]>;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What stands in its way: files that say that targets are slow, or fail. */
export const slowFile = (folder: string, id: string): string => `${folder}/slow-${id}`;
export const failsFile = (folder: string, id: string): string => `${folder}/fails-${id}`;

export const Parcel = defineAggregate('parcel', {
  module: import.meta.url,
  state: () => ({ sent: {} as Record<string, number>, taken: {} as Taken }),
  events: {
    Sent: event<{ to: string; count: number }>(),
    Taken: event<{ from: string; number: number; text: string }>(),
  },
  evolve: {
    Sent: (state, { to, count }) => ({ ...state, sent: { ...state.sent, [to]: (state.sent[to] ?? 0) + count } }),
    Taken: (state, { from, number }) => ({
      ...state,
      taken: { ...state.taken, [from]: [...(state.taken[from] ?? []), number] },
    }),
  },
  commands: {
    /** So many to each of them, numbered from where the last ones ended. */
    send(parcel, to: string[], count: number, bytes: number, folder: string) {
      for (const target of to) {
        const first = parcel.state.sent[target] ?? 0;
        for (let i = 1; i <= count; i++) parcel.send(Parcel, target).take(parcel.id, first + i, bytes, folder);
        parcel.raise('Sent', { to: target, count });
      }
    },
    async take(parcel, from: string, number: number, bytes: number, folder: string) {
      if (existsSync(failsFile(folder, parcel.id))) throw new Error('the file is there');
      while (existsSync(slowFile(folder, parcel.id))) await sleep(2);
      parcel.raise('Taken', { from, number, text: 'x'.repeat(bytes) });
    },
    whole(parcel) {
      return parcel.state;
    },
  },
});
