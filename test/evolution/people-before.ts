// Two aggregates that share names of events, as the release before has them.
import { defineAggregate, event } from '../../src/index.ts';

export const Person = defineAggregate('person', {
  module: import.meta.url,
  state: (): { names: string[] } => ({ names: [] }),
  events: { Registered: event<{ name: string }>(), Moved: event<{ street: string; phone: string }>() },
  evolve: { Registered: (state, { name }) => ({ names: [...state.names, name] }), Moved: (state) => ({ ...state }) },
  commands: {
    register(person, name: string) {
      person.raise('Registered', { name });
    },
    move(person, street: string, phone: string) {
      person.raise('Moved', { street, phone });
    },
  },
});

export const Account = defineAggregate('account', {
  module: import.meta.url,
  state: (): { count: number } => ({ count: 0 }),
  events: { Registered: event<{ name: string }>(), SignedUp: event<{ name: string }>() },
  evolve: { Registered: (state) => ({ ...state }), SignedUp: (state) => ({ ...state }) },
  commands: {
    register(account, name: string) {
      account.raise('Registered', { name });
    },
    signUp(account, name: string) {
      account.raise('SignedUp', { name });
    },
  },
});
