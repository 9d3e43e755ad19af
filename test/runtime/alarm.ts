// An aggregate that sets timers. Imported by shards: no side effects.
import { existsSync } from 'node:fs';
import { Rejected } from '../../src/base/errors.ts';
import { defineAggregate } from '../../src/model/aggregate.ts';
import { event } from '../../src/model/event-spec.ts';

export const Alarm = defineAggregate('alarm', {
  module: import.meta.url,
  state: () => ({ rung: [] as string[], dates: [] as number[] }),
  events: { Rung: event<{ what: string; at: number }>(), Touched: event<object>() },
  evolve: {
    Rung: ({ rung, dates }, { what, at }) => ({ rung: [...rung, what], dates: [...dates, at] }),
    Touched: (state) => state,
  },
  commands: {
    /** Each to ring after so many milliseconds. */
    set(alarm, delays: Record<string, number>) {
      for (const [what, delayMs] of Object.entries(delays)) alarm.after(delayMs).ring(what);
    },
    setAt(alarm, date: number, what: string, name?: string) {
      alarm.at(new Date(date), name === undefined ? {} : { name }).ring(what);
    },
    setNamed(alarm, name: string, delayMs: number, what: string, command: 'ring' | 'ringUnless' | 'refuse' = 'ring') {
      alarm.raise('Touched', {});
      alarm.after(delayMs, { name })[command](what);
    },
    stop(alarm, name: string) {
      alarm.cancel(name);
    },
    /** Takes so long that a timer comes due behind it, and cancels it then. */
    stopLate(alarm, name: string, ms: number) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
      alarm.cancel(name);
    },
    failAfter(alarm, delayMs: number) {
      alarm.after(delayMs, { name: 'never' }).ring('never');
      alarm.cancel('kept');
      throw new Rejected('not-now');
    },
    ring(alarm, what: string) {
      alarm.raise('Rung', { what, at: Date.now() });
    },
    ringUnless(alarm, file: string) {
      if (existsSync(file)) throw new Error('the file is there');
      alarm.raise('Rung', { what: 'unless', at: Date.now() });
    },
    refuse() {
      throw new Rejected('no');
    },
    rung(alarm) {
      return alarm.state;
    },
  },
});
