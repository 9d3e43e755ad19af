// An aggregate that sets timers. Imported by shard threads: only what it uses.
import { defineAggregate } from '../src/model/aggregate.ts';
import { event } from '../src/model/event-spec.ts';

export const Timed = defineAggregate('timed', {
  module: import.meta.url,
  state: (): { rung: number } => ({ rung: 0 }),
  events: { Rung: event<{ due: number }>() },
  evolve: { Rung: ({ rung }) => ({ rung: rung + 1 }) },
  snapshot: { every: 0 },
  commands: {
    /** One for each date. */
    setAt(timed, dates: number[]) {
      for (const due of dates) timed.at(new Date(due)).ring(due);
    },
    set(timed, name: string, delayMs: number) {
      timed.after(delayMs, { name }).ring(0);
    },
    cancelOne(timed, name: string) {
      timed.cancel(name);
    },
    sendOne(timed, to: string) {
      timed.send(Timed, to).nothing();
    },
    ring(timed, due: number) {
      timed.raise('Rung', { due });
    },
    nothing() {},
  },
});
