// Both of today: a person's events have been renamed and split; an account's upcaster changes its argument, which it must not.
import { defineAggregate, event, versions } from '../../src/index.ts';

export const Person = defineAggregate('person', {
  module: import.meta.url,
  state: (): { ids: string[] } => ({ ids: [] }),
  events: {
    SignedUp: versions<{ name: string }>()
      .next<{ given: string }>(({ name }) => ({ given: name }))
      .renamedFrom('Registered'),
    AddressGiven: event<{ street: string }>().splitFrom('Moved', ({ street, phone }) => [
      ['AddressGiven', { street }],
      ['PhoneGiven', { phone }],
    ]),
    PhoneGiven: event<{ phone: string }>(),
    Noted: event<{ text: string }>(),
  },
  evolve: {
    SignedUp: (state, _data, { id }) => ({ ids: [...state.ids, id] }),
    AddressGiven: (state, _data, { id }) => ({ ids: [...state.ids, id] }),
    PhoneGiven: (state, _data, { id }) => ({ ids: [...state.ids, id] }),
    Noted: (state) => ({ ...state }),
  },
  commands: {},
});

export const Account = defineAggregate('account', {
  module: import.meta.url,
  state: (): { count: number } => ({ count: 0 }),
  events: {
    Registered: versions<{ name: string }>().next<{ name: string; size: number }>((old) =>
      Object.assign(old as { name: string }, { size: old.name.length }),
    ),
    SignedUp: event<{ name: string }>(),
  },
  evolve: {
    Registered: (state, { size }) => ({ count: state.count + size }),
    SignedUp: (state) => ({ ...state }),
  },
  commands: {
    count(account) {
      return account.state.count;
    },
  },
});
