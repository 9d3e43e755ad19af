// A release to come that does what no release should.
import { defineAggregate } from '../../../src/model/aggregate.ts';
import { fileAt } from './gate.ts';
import { Till as Before } from './tills.ts';

const { name, ...before } = Before;

export const Till = defineAggregate(name, {
  ...before,
  module: import.meta.url,
  renamedFrom: [],
  commands: {
    ...before.commands,
    sell(till, cents: number) {
      if (cents === 1) for (;;);
      if (cents === 2) process.exit(3);
      if (cents === 3) setImmediate(() => Promise.reject(new Error('stray')));
      if (cents === 4) (till.state as { cents: number }).cents = 1_000_000;
      till.raise('Sold', { cents });
      return { total: till.state.cents };
    },
    pass: (_till, file: string) => fileAt(file),
    async sellLikewise(_till, _from: string): Promise<number> {
      return new Promise(() => {});
    },
  },
});
