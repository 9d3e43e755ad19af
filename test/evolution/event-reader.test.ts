// Stored events that a program has in hand, read as they are today.
import { expect, test } from 'vitest';
import { eventReader } from '../../src/index.ts';
import { eventOf } from '../../src/model/event.ts';
import { errorOf } from '../runtime/scratch.ts';
import { Cart } from './cart.ts';
import { Person } from './people.ts';

const stored = (aggregateType: string, type: string, data: unknown, schemaVersion = 1) =>
  eventOf({
    id: '0198c0de-0000-7000-8000-000000000000',
    position: 7,
    version: 3,
    aggregateId: 'p',
    occurredAt: new Date(0),
    metadata: {},
    ...{ aggregateType, type, schemaVersion, data },
  });

test('a stored event is one of today, or several; those of other aggregates stay', async () => {
  const read = await eventReader([Person, Cart]);
  const shown = (...given: Parameters<typeof stored>) =>
    read(stored(...given)).map(({ aggregateType, type, schemaVersion, data }) => [
      aggregateType,
      type,
      schemaVersion,
      data,
    ]);
  expect(shown('person', 'Registered', { name: 'Ada' })).toEqual([['person', 'SignedUp', 2, { given: 'Ada' }]]);
  expect(shown('person', 'Moved', { street: 's', phone: '5' })).toEqual([
    ['person', 'AddressGiven', 1, { street: 's' }],
    ['person', 'PhoneGiven', 1, { phone: '5' }],
  ]);
  expect(shown('basket', 'ItemAdded', { sku: 'x' })).toEqual([['cart', 'ItemAdded', 1, { sku: 'x' }]]);
  const other = stored('other', 'Registered', { name: 'Ada' });
  expect(read(other)).toEqual([other]);
});

test('what cannot be read says so when it is looked at; what is no definition is refused', async () => {
  const read = await eventReader([Person]);
  const [event] = read(stored('person', 'SignedUp', {}, 3));
  expect(() => event!.data).toThrow(expect.objectContaining({ code: 'UnsupportedEventVersion' }));
  expect(await errorOf(eventReader([]))).toMatchObject({ code: 'InvalidOptions' });
  expect(await errorOf(eventReader(['person' as never]))).toMatchObject({ code: 'InvalidOptions' });
});
