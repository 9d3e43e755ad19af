// New code on old history: what a rehearsal finds, in the store of a data directory.
import { cpSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRuntime } from '../../src/index.ts';
import { type AnyAggregate, defineAggregate } from '../../src/model/aggregate.ts';
import { defineEntityEvents } from '../../src/model/entity-events.ts';
import { event, versions } from '../../src/model/event-spec.ts';
import { type Rehearsal, type RehearsalOptions, rehearse } from '../../src/testing.ts';
import { errorOf, until } from '../runtime/scratch.ts';
import { Basket, Order, type OrderState } from './orders.ts';
import { Order as Rounded } from './orders-rounded.ts';

let folder: string;
let dataDir: string;
/** Positions of what is no whole number of euros. */
const discountedAt: number[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'trunkline-rehearsal-'));
  dataDir = join(folder, 'data');
  await using runtime = await createRuntime({ logger: false, dataDir, shards: 1, aggregates: [Order, Basket] });
  for (let i = 1; i <= 30; i++) {
    const order = runtime.ref(Order, `o-${String(i).padStart(2, '0')}`);
    await order.add('shoe', 5_000);
    if (i % 10 === 0) discountedAt.push((await order.discount(250)).position);
    if (i % 10 === 5) await order.discount(300);
    await order.note('left at the door');
    await order.add('lace', 150);
  }
  await runtime.ref(Basket, 'b-1').fill(3);
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const events = 30 * 3 + 6;

const compared = (now: AnyAggregate, options: Partial<RehearsalOptions> = {}): Promise<Rehearsal> =>
  rehearse({ dataDir, old: [Order], new: [now], ...options });

/** The release to come, where it differs. */
const changed = (difference: object): AnyAggregate =>
  defineAggregate(name, { ...definition, module: import.meta.url, ...difference });
const { name, ...definition }: AnyAggregate = Order;

const evolving = (evolve: object): AnyAggregate => changed({ evolve: { ...Order.evolve, ...evolve } });

test('the same code: no difference', async () => {
  expect(await rehearse({ dataDir, old: [Order, Basket], new: [evolving({}), Basket] })).toMatchObject({
    ...{ aggregates: 31, events: events + 1, different: 0, ignored: 0, failedAlike: 0, incomplete: 0 },
    ...{ differences: [], onlyOld: [], onlyNew: [], notStored: 0, next: undefined },
  });
});

test('another reducer: where the states differ, and since which event', async () => {
  const { different, differences } = await compared(Rounded);
  expect(different).toBe(3); // 3.00 is a whole number of euros
  expect(differences.map(({ aggregateId }) => aggregateId)).toEqual(['o-10', 'o-20', 'o-30']);
  expect(differences[0]).toEqual({
    ...{ aggregateType: 'order', aggregateId: 'o-10', version: 2, position: discountedAt[0] },
    ...{ eventType: 'Discounted', oldFailure: undefined, newFailure: undefined },
    changes: [{ path: 'cents', old: '4900', new: '4950' }],
    changeCount: 1,
  });
  expect(differences.map(({ position }) => position)).toEqual(discountedAt);
});

test('a first state that differs shows at the first event', async () => {
  const { differences } = await compared(changed({ state: () => ({ ...Order.state(), notes: 1 }) }), { limit: 1 });
  expect(differences).toMatchObject([{ version: 1, eventType: 'LineAdded', changes: [{ path: 'notes' }] }]);
});

describe('a side that fails stops that aggregate alone', () => {
  test('an upcaster that throws', async () => {
    const evolved = changed({
      events: {
        ...Order.events,
        Discounted: versions<{ cents: number }>().next<{ euros: number }>(({ cents }) => {
          if (cents % 100 !== 0) throw new RangeError('not a whole number');
          return { euros: cents / 100 };
        }),
      },
      evolve: {
        ...Order.evolve,
        Discounted: (state: OrderState, { euros }: { euros: number }) => ({
          ...state,
          cents: state.cents - euros * 100,
        }),
      },
    });
    const { aggregates, different, differences } = await compared(evolved);
    expect([aggregates, different]).toEqual([30, 3]);
    expect(differences[1]).toMatchObject({
      ...{ aggregateId: 'o-20', version: 2, eventType: 'Discounted', changes: [], changeCount: 0 },
      oldFailure: undefined,
      newFailure: { code: 'UpcastFailed', message: expect.stringContaining('not a whole number') },
    });
    // UpcastFailed knows the place as well.
    expect(differences[1]!.newFailure!.message).toContain(`position ${differences[1]!.position}`);
  });

  test('a reducer that throws, and an event type that was forgotten', async () => {
    const { Discounted: _, ...events } = Order.events;
    const { Discounted: __, ...evolve } = Order.evolve;
    const forgotten = await compared(changed({ events, evolve }));
    expect(forgotten).toMatchObject({ different: 6, differences: { 0: { newFailure: { code: 'UnknownEventType' } } } });
    const throwing = await compared(
      evolving({
        Noted: () => {
          throw new TypeError('no notes');
        },
      }),
    );
    expect(throwing.different).toBe(30);
    expect(throwing.differences[0]).toMatchObject({
      ...{ version: 2, eventType: 'Noted', newFailure: { code: 'TypeError', message: 'no notes' } },
    });
    expect(throwing.differences).toHaveLength(20);
  });

  test('a first state that throws', async () => {
    const state = (): never => {
      throw new Error('not yet');
    };
    const { different, differences } = await compared(changed({ state }));
    expect(different).toBe(30);
    expect(differences[0]).toMatchObject({ version: 0, newFailure: { code: 'Error', message: 'not yet' } });
  });

  test('a first state that aggregates share, and a reducer that changes it: refused behind the first, as after a load', async () => {
    const shared = Order.state();
    const sharing = changed({
      state: () => shared,
      evolve: {
        ...Order.evolve,
        Noted: (state: OrderState) => Object.assign(state, { notes: 1 }),
        LineAdded: (state: OrderState, { sku }: { sku: string }) => {
          state.lines.push(sku);
          return state;
        },
      },
    });
    const { different, differences } = await compared(sharing);
    expect(different).toBe(30);
    expect(differences[0]).toMatchObject({ aggregateId: 'o-01', newFailure: undefined });
    expect(differences[1]).toMatchObject({ aggregateId: 'o-02', version: 1, newFailure: { code: 'TypeError' } });
  });

  test('both sides, by the same kind of error: the new release changes nothing', async () => {
    const { Discounted: _, ...events } = Order.events;
    const { Discounted: __, ...evolve } = Order.evolve;
    const old = changed({ events, evolve });
    const now = changed({ events: { ...events, Other: event() }, evolve: { ...evolve, Other: (state: any) => state } });
    const { different, failedAlike } = await rehearse({ dataDir, old: [old], new: [now] });
    expect({ different, failedAlike }).toEqual({ different: 0, failedAlike: 6 });
  });

  test('both sides, by errors of two kinds: that is a difference', async () => {
    const failing = (make: () => Error): AnyAggregate =>
      evolving({
        Discounted: () => {
          throw make();
        },
      });
    const [old, now] = [failing(() => new TypeError('no')), failing(() => new RangeError('no'))];
    const found = await rehearse({ dataDir, old: [old], new: [now] });
    expect(found).toMatchObject({ different: 6, failedAlike: 0 });
    expect(found.differences[0]).toMatchObject({
      oldFailure: { code: 'TypeError', message: 'no' },
      newFailure: { code: 'RangeError', message: 'no' },
    });
  });

  test('swapped sides: it is the old one that fails', async () => {
    const { Discounted: _, ...events } = Order.events;
    const { Discounted: __, ...evolve } = Order.evolve;
    const { differences } = await rehearse({ dataDir, old: [changed({ events, evolve })], new: [Order] });
    expect(differences[0]).toMatchObject({ oldFailure: { code: 'UnknownEventType' }, newFailure: undefined });
  });
});

test('a retired type: reducers pass over it', async () => {
  const { Noted: _, ...events } = Order.events;
  const { Noted: __, ...evolve } = Order.evolve;
  const retired = changed({ events, evolve, retired: ['Noted'] });
  const { different, differences } = await compared(retired);
  expect(different).toBe(30);
  expect(differences[0]).toMatchObject({
    version: 2,
    eventType: 'Noted',
    changes: [{ path: 'notes', old: '1', new: '0' }],
  });
  expect(await compared(retired, { ignore: ['order:notes'] })).toMatchObject({ different: 0, ignored: 30 });
});

describe('which aggregates', () => {
  test('one side alone: said, not compared', async () => {
    const result = await rehearse({ dataDir, old: [Order, Basket], new: [Order, changedName('parcel')] });
    expect(result).toMatchObject({ aggregates: 30, onlyOld: ['basket'], onlyNew: ['parcel'] });
  });

  test('declared entities: said, not compared, whichever side has them', async () => {
    const Stock = defineEntityEvents('stock', { events: { Counted: event<{ pieces: number }>() } });
    const both = await rehearse({ dataDir, old: [Order, Stock], new: [Order, Stock] });
    expect(both).toMatchObject({ aggregates: 30, failedAlike: 0, onlyOld: [], onlyNew: [], entities: ['stock'] });
    const alone = { aggregates: 0, failedAlike: 0, entities: ['stock'] };
    expect(await rehearse({ dataDir, old: [Stock], new: [Stock] })).toMatchObject(alone);
    expect(await rehearse({ dataDir, old: [Stock], new: [changedName('stock')] })).toMatchObject(alone);
    expect(await errorOf(rehearse({ dataDir, old: [Stock], new: [Stock], aggregateType: 'stock' }))).toMatchObject({
      code: 'InvalidOptions',
      message: expect.stringContaining('these are none'),
    });
  });

  test('by type, id, sample', async () => {
    const both = { dataDir, old: [Order, Basket], new: [Rounded, Basket] };
    expect(await rehearse({ ...both, aggregateType: 'basket' })).toMatchObject({ aggregates: 1, different: 0 });
    expect(await rehearse({ ...both, aggregateType: 'order', aggregateId: 'o-20' })).toMatchObject({
      aggregates: 1,
      different: 1,
    });
    expect(await rehearse({ ...both, aggregateType: 'order', aggregateId: 'none' })).toMatchObject({ aggregates: 0 });
    const { aggregates } = await compared(Rounded, { sample: 0.5 });
    expect(aggregates).toBeGreaterThan(5);
    expect(aggregates).toBeLessThan(25);
    expect((await compared(Rounded, { sample: 0.5 })).aggregates).toBe(aggregates);
    expect(await compared(Rounded, { sample: 1e-9 })).toMatchObject({ aggregates: 0 });
  });

  test('by time: of which an event is within, folded up to the end', async () => {
    const [past, future] = [new Date(0), new Date(Date.now() + 60_000)];
    expect(await compared(Rounded, { since: past, until: future })).toMatchObject({ aggregates: 30, different: 3 });
    expect(await compared(Rounded, { since: future })).toMatchObject({ aggregates: 0, events: 0 });
    expect(await compared(Rounded, { until: past })).toMatchObject({ aggregates: 0, events: 0 });
  });

  describe('by times between two events', () => {
    let own: string;
    /** Of the second event of `p`, which is the last one. */
    let second: Date;
    beforeAll(async () => {
      own = join(folder, 'times');
      await using runtime = await createRuntime({ logger: false, dataDir: own, shards: 1, aggregates: [Order] });
      await runtime.ref(Order, 'before').discount(1);
      const { events } = await runtime.ref(Order, 'p').discount(1);
      await until(Date.now, (now) => now > events[0]!.occurredAt.getTime());
      const last = await runtime.ref(Order, 'p').with({ ack: 'stored' }).note('late');
      second = last.events[0]!.occurredAt;
    });

    test('the event at `until` is not folded, the one at `since` is within', async () => {
      const same = { dataDir: own, old: [Order], new: [Order] };
      expect(await rehearse({ ...same, until: second })).toMatchObject({ aggregates: 2, events: 2 });
      expect(await rehearse({ ...same, since: second })).toMatchObject({ aggregates: 1, events: 2, leftOut: 1 });
    });

    const fail = (): never => {
      throw new TypeError('cannot be loaded');
    };
    const unreadable = versions<{ cents: number }>().next<{ euros: number }>(fail);
    test.each<[string, AnyAggregate, version: number]>([
      ['a reducer', evolving({ Discounted: fail }), 1],
      ['an upcaster', changed({ events: { ...Order.events, Discounted: unreadable } }), 1],
      ['a first state', changed({ state: fail }), 0],
    ])('%s that fails before `since` is found where an event is within, and only there', async (_, now, version) => {
      const found = await rehearse({ dataDir: own, old: [Order], new: [now], since: second });
      expect(found).toMatchObject({ aggregates: 1, different: 1, leftOut: 1 });
      expect(found.differences).toMatchObject([{ aggregateId: 'p', version, newFailure: {} }]);
      const alike = await rehearse({ dataDir: own, old: [now], new: [now], since: second });
      expect(alike).toMatchObject({ aggregates: 1, failedAlike: 1, leftOut: 1 });
    });
  });

  test('a signal ends it with what was found, and `from` goes on', async () => {
    const ended = new AbortController();
    let reads = 0;
    // The reducer of the new side ends it, in the middle: between two aggregates it is seen.
    const stopping = evolving({
      LineAdded: (state: OrderState, data: never, ...rest: never[]) => {
        if (++reads === 25) ended.abort();
        return (Rounded.evolve.LineAdded as (...all: unknown[]) => unknown)(state, data, ...rest);
      },
      Discounted: Rounded.evolve.Discounted,
    });
    const first = await compared(stopping, { signal: ended.signal });
    expect(first.next).toMatchObject({ aggregateType: 'order' });
    expect(first.aggregates).toBeLessThan(30);
    const second = await compared(Rounded, { from: first.next });
    expect(second.next).toBeUndefined();
    expect(first.aggregates + second.aggregates).toBe(30);
    expect(first.different + second.different).toBe(3);
  });
});

const changedName = (name: string): AnyAggregate => defineAggregate(name, { ...definition, module: import.meta.url });

describe('what is refused', () => {
  test.each<[string, Partial<RehearsalOptions>, string]>([
    ['no definitions', { new: [] }, 'new'],
    ['no name in common', { new: [Basket] }, 'new'],
    ['no place', { dataDir: undefined }, 'store'],
    ['a share above 1', { sample: 2 }, 'sample'],
    ['an id without a type', { aggregateId: 'o-1' }, 'aggregateId'],
    ['a type that is not there', { aggregateType: 'ordre' }, 'aggregateType'],
    ['a pattern of a type that is not there', { ignore: ['ordre:cents'] }, 'ignore'],
    ['a pattern without a path', { ignore: ['order:'] }, 'ignore'],
    [
      'a type to go on with that is not there',
      { from: { aggregateType: 'ordre', aggregateId: 'o-1' } },
      'from.aggregateType',
    ],
    ['a misspelt option', { ignroe: [] } as never, 'rehearse.ignroe'],
  ])('%s', async (_, options, option) => {
    expect(await errorOf(compared(Order, options))).toMatchObject({ code: 'InvalidOptions', details: { option } });
  });

  test('a folder that is no data directory, or has no history yet', async () => {
    expect(await errorOf(compared(Order, { dataDir: join(folder, 'none') }))).toMatchObject({
      code: 'DataDirUnreadable',
    });
  });
});

test('what the log has and the store has not is counted, as after a kill', async () => {
  const own = join(folder, 'behind');
  const fill = async (id: string): Promise<void> => {
    await using runtime = await createRuntime({ logger: false, dataDir: own, shards: 1, aggregates: [Basket] });
    await runtime.ref(Basket, id).fill(1);
  };
  await fill('b-1');
  cpSync(join(own, 'store'), join(own, 'store-before'), { recursive: true });
  await fill('b-2');
  rmSync(join(own, 'store'), { recursive: true });
  renameSync(join(own, 'store-before'), join(own, 'store'));
  const found = await rehearse({ dataDir: own, old: [Basket], new: [Basket] });
  expect(found).toMatchObject({ aggregates: 1, notStored: 1 });
});

test('a service that runs is not disturbed, in the same process either', async () => {
  await using runtime = await createRuntime({ logger: false, dataDir, shards: 1, aggregates: [Order, Basket] });
  await runtime.ref(Basket, 'b-2').with({ ack: 'stored' }).fill(1);
  expect(await rehearse({ dataDir, old: [Basket], new: [Basket] })).toMatchObject({ aggregates: 2, events: 2 });
  await runtime.ref(Basket, 'b-2').with({ ack: 'stored' }).fill(2);
  expect((await runtime.state(Basket, 'b-2'))?.state).toEqual({ items: 2 });
});

test('an aggregate type under a new name is beside itself, and is chosen by each name', async () => {
  const { name: _, ...rest } = Rounded;
  const Deal = defineAggregate('deal', { ...(rest as any), module: import.meta.url, renamedFrom: ['order'] });
  for (const aggregateType of [undefined, 'deal', 'order']) {
    expect(await compared(Deal, { aggregateType })).toMatchObject({
      aggregates: 30,
      different: 3,
      onlyOld: [],
      onlyNew: [],
    });
  }
  for (const aggregateType of ['deal', 'order']) {
    const from = { aggregateType, aggregateId: 'o-20' };
    expect(await compared(Deal, { from })).toMatchObject({ aggregates: 11, different: 2 });
  }
  for (const name of ['deal', 'order', '*']) {
    expect(await compared(Deal, { ignore: [`${name}:cents`] })).toMatchObject({ different: 0, ignored: 3 });
  }
  // The sides the wrong way round.
  expect(await rehearse({ dataDir, old: [Deal], new: [Order], aggregateType: 'deal' })).toMatchObject({
    aggregates: 30,
  });
  const Again = defineAggregate('bargain', {
    ...(rest as any),
    module: import.meta.url,
    renamedFrom: ['order', 'deal'],
  });
  expect(await rehearse({ dataDir, old: [Deal], new: [Again] })).toMatchObject({ aggregates: 30, different: 0 });
});
