// The release that is running.
import { Rejected } from '../../../src/base/errors.ts';
import { defineAggregate } from '../../../src/model/aggregate.ts';
import { event } from '../../../src/model/event-spec.ts';
import { fileAt } from './gate.ts';

export const Till = defineAggregate('till', {
  module: import.meta.url,
  state: () => ({ cents: 0, sales: 0 }),
  events: { Sold: event<{ cents: number }>(), Emptied: event<{ cents: number }>() },
  evolve: {
    Sold: (state, { cents }) => ({ cents: state.cents + cents, sales: state.sales + 1 }),
    Emptied: (state, { cents }) => ({ ...state, cents: state.cents - cents }),
  },
  commands: {
    sell(till, cents: number) {
      if (cents <= 0) throw new Rejected('no-price', { cents });
      till.raise('Sold', { cents });
      return { total: till.state.cents };
    },
    empty(till) {
      if (till.state.cents === 0) throw new Rejected('is-empty');
      till.raise('Emptied', { cents: till.state.cents });
    },
    async sellLikewise(till, from: string): Promise<number> {
      const { average } = await till.ask(Till, from).average();
      till.raise('Sold', { cents: average });
      return average;
    },
    average(till): { average: number } {
      return { average: Math.round(till.state.cents / till.state.sales) };
    },
    passOn(till, to: string): void {
      till.send(Till, to).sell(till.state.cents);
    },
    async hold(_till, ms: number) {
      await new Promise((resolve) => setTimeout(resolve, ms));
    },
    async askBehind(till, file: string, from: string): Promise<void> {
      await fileAt(file);
      await till.ask(Till, from).average();
    },
    async pass(_till, _file: string) {},
    fail(_till, reason: string) {
      throw new TypeError(reason);
    },
  },
});
