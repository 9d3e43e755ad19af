// The running release's tills have another name in the one to come; it has a context, too.
import { defineAggregate } from '../../../src/model/aggregate.ts';
import { event } from '../../../src/model/event-spec.ts';
import { fileAt } from './gate.ts';

export const Register = defineAggregate('register', {
  module: import.meta.url,
  renamedFrom: ['till'],
  state: () => ({ cents: 0, sales: 0 }),
  events: { Sold: event<{ cents: number }>(), Emptied: event<{ cents: number }>() },
  evolve: {
    Sold: (state, { cents }) => ({ cents: state.cents + cents, sales: state.sales + 1 }),
    Emptied: (state, { cents }) => ({ ...state, cents: state.cents - cents }),
  },
  commands: {
    sell(till, cents: number) {
      till.raise('Sold', { cents });
      return { total: till.state.cents };
    },
    async sellLikewise(till, from: string): Promise<number> {
      const { average } = await till.ask(Register, from).average();
      till.raise('Sold', { cents: average });
      return average;
    },
    async hold(_till, ms: number) {
      await new Promise((resolve) => setTimeout(resolve, ms));
    },
    async askBehind(till, file: string, from: string): Promise<void> {
      await fileAt(file);
      await till.ask(Register, from).average();
    },
    async pass(_till, _file: string) {},
    fail(_till, reason: string) {
      throw new TypeError(reason);
    },
    empty(till) {
      till.raise('Emptied', { cents: till.state.cents });
    },
    average(till): { average: number } {
      return { average: Math.round(till.state.cents / till.state.sales) };
    },
    passOn(till, to: string): void {
      till.send(Register, to).sell(till.state.cents + till.context.more);
    },
  },
});
