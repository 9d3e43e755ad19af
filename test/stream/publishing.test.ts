// Which events are published, by each name that an aggregate type or an event has or had.
import { describe, expect, test } from 'vitest';
import { Publishing } from '../../src/adapters/kafka/publishing.ts';
import { defineAggregate, event } from '../../src/index.ts';
import { declaredEvents } from '../../src/model/catalogue.ts';

const Cart = defineAggregate('cart', {
  module: import.meta.url,
  renamedFrom: ['basket', 'trolley'],
  state: () => ({}),
  events: { ItemAdded: event().renamedFrom('LineAdded'), Emptied: event() },
  evolve: { ItemAdded: (state) => state, Emptied: (state) => state },
  commands: {},
});
const events = declaredEvents([Cart]);
const switched = (switches: Record<string, boolean>): Publishing =>
  new Publishing(events, 'stream.publishing', switches);
/** As they are stored: by the first name of the type, and the one that the event had then. */
const on = (publishing: Publishing): boolean[] =>
  ['LineAdded', 'ItemAdded', 'Emptied'].map((type) => publishing.isOn('basket', type));

describe('an aggregate or event that was renamed', () => {
  test.each(['cart', 'basket', 'trolley'])('by %s', (aggregate) => {
    expect(on(switched({ [aggregate]: false }))).toEqual([false, false, false]);
    expect(on(switched({ [`${aggregate}.ItemAdded`]: false }))).toEqual([false, false, true]);
    expect(on(switched({ [`${aggregate}.LineAdded`]: false }))).toEqual([false, false, true]);
    expect(on(switched({ [aggregate]: false, [`${aggregate}.LineAdded`]: true }))).toEqual([true, true, false]);
    expect(() => switched({ [`${aggregate}.Itemadded`]: false })).toThrow(/declares no such event/);
  });

  test('the last word counts, by whichever name', () => {
    const publishing = switched({ 'basket.LineAdded': false });
    publishing.change('publishing', { 'cart.ItemAdded': true });
    expect(on(publishing)).toEqual([true, true, true]);
    publishing.change('publishing', { trolley: false });
    expect(on(publishing)).toEqual([true, true, false]);
  });
});

test('others are entities’, and go by the name that they have', () => {
  const publishing = switched({ 'invoice.Paid': false, receipt: false });
  expect(publishing.isOn('invoice', 'Paid')).toBe(false);
  expect(publishing.isOn('invoice', 'Sent')).toBe(true);
  expect(publishing.isOn('receipt', 'Sent')).toBe(false);
});
