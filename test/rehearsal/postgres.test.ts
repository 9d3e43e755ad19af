// The same over PostgreSQL, where a history comes page by page, several aggregates at a time, and may have lost events.
import { beforeAll, expect, test } from 'vitest';
import { createRuntime, postgres } from '../../src/index.ts';
import { defineAggregate } from '../../src/model/aggregate.ts';
import { rehearse } from '../../src/testing.ts';
import { administer, migratedDatabase } from '../postgres.ts';
import { scratchFolder } from '../runtime/scratch.ts';
import { Basket, Order } from './orders.ts';
import { Order as Rounded } from './orders-rounded.ts';

const long = 5_500; // more than a page
let connectionString: string;

beforeAll(async () => {
  connectionString = await migratedDatabase();
  await using runtime = await createRuntime({
    ...{ logger: false, dataDir: scratchFolder(), shards: 1, aggregates: [Order, Basket] },
    store: postgres({ connectionString }),
  });
  for (let i = 0; i < 20; i++) {
    const order = runtime.ref(Order, `o-${String(i).padStart(2, '0')}`);
    await order.add('shoe', 5_000);
    await order.discount(i % 5 === 4 ? 250 : 300);
    await order.note('rang');
  }
  const longOne = runtime.ref(Order, 'long');
  await Promise.all(Array.from({ length: long }, () => longOne.note('again')));
  await longOne.discount(199);
  await longOne.with({ ack: 'stored' }).note('done');
}, 120_000);

const compared = (more: object = {}): ReturnType<typeof rehearse> =>
  rehearse({ store: postgres({ connectionString }), old: [Order], new: [Rounded], ...more });

test('differences in the order of their ids, with the event since which they are', async () => {
  const { differences, ...counts } = await compared();
  expect(counts).toMatchObject({ aggregates: 21, events: 20 * 3 + long + 2, different: 5, incomplete: 0 });
  expect(differences.map(({ aggregateId, version }) => [aggregateId, version])).toEqual([
    ['long', long + 1],
    ...['o-04', 'o-09', 'o-14', 'o-19'].map((id) => [id, 2]),
  ]);
  expect(differences[0]).toMatchObject({
    eventType: 'Discounted',
    changes: [{ path: 'cents', old: '-199', new: '-100' }],
  });
  expect(differences[0]!.position).toBeGreaterThan(long);
});

test('one that has lost an event is left out and counted; others go on', async () => {
  const lose = (id: string, version: number): Promise<unknown> =>
    administer(
      connectionString,
      'with gone as (delete from trunkline.domain_events where aggregate_id = $1 and version = $2 returning 1) select * from gone',
      [id, version],
    );
  await lose('o-04', 1);
  await lose('o-05', 2);
  await lose('o-09', 3);
  expect(await compared()).toMatchObject({ aggregates: 21, different: 3, incomplete: 3 });
  // What comes behind the gap is not folded: reducers would see what never was.
  const { name, ...before } = Order;
  const strict = defineAggregate(name, {
    ...before,
    evolve: {
      ...before.evolve,
      Discounted: (state, data, event) => {
        if (state.lines.length === 0 && event.aggregateId !== 'long') throw new Error('a discount on nothing');
        return before.evolve.Discounted(state, data, event);
      },
    },
  });
  expect(await compared({ new: [strict] })).toMatchObject({ different: 0, incomplete: 3 });
});

test('a server that is not there', async () => {
  const store = postgres({ connectionString: 'postgres://nobody@127.0.0.1:1/none' });
  await expect(compared({ store })).rejects.toMatchObject({ code: 'StoreUnavailable' });
});
