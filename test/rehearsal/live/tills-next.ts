// The release to come, with faults of each kind.
import { Rejected } from '../../../src/base/errors.ts';
import { defineAggregate } from '../../../src/model/aggregate.ts';
import { Till as Before } from './tills.ts';

const { name, ...before } = Before;

export const Till = defineAggregate(name, {
  ...before,
  module: import.meta.url,
  // Where more was sold it counts the sales otherwise: seen by `average` alone.
  evolve: {
    ...Before.evolve,
    Sold: (state, { cents }) => ({ cents: state.cents + cents, sales: state.sales + (cents === 777 ? 2 : 1) }),
  },
  commands: {
    ...before.commands,
    sell(till, cents: number) {
      if (cents === 1) throw new Rejected('too-little', { cents });
      if (cents === 666) return (undefined as unknown as { total: number }).total as never;
      if (cents <= 0) throw new Rejected('no-price', { cents });
      till.raise('Sold', { cents: cents === 13 ? 12 : cents });
      if (cents === 99) till.raise('Sold', { cents: 1 });
      return { total: till.state.cents };
    },
    passOn(till, to: string) {
      till.send(Before, to === 'lost' ? 'found' : to).sell(till.state.cents);
    },
    async sellLikewise(till, from: string) {
      const { average } = await till.ask(Before, from === 'b' ? 'c' : from).average();
      till.raise('Sold', { cents: average });
      return average;
    },
  },
});
