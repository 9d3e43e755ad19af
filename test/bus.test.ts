// The live bus by itself: who hears what, in which order, and that nobody is hurt by another.
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { Bus, type ListenerHandle } from '../src/bus/bus.ts';
import type { StoredEvent } from '../src/model/event.ts';
import { event } from '../src/model/event-spec.ts';
import { Counter as Fixture } from './fixtures/counter.ts';
import { storedEvent } from './fixtures/events.ts';

const Counter = { ...Fixture, events: { ...Fixture.events, Removed: event<{ amount: number }>() } };
const Other = { ...Counter, name: 'other' };
let errors: { error: unknown; type: string }[];
let bus: Bus;

beforeEach(() => {
  errors = [];
  bus = new Bus((error, event) => errors.push({ error, type: event.type }));
});

const added = storedEvent('counter', 'Added', { data: { amount: 2 } });
const removed = storedEvent('counter', 'Removed');
const elsewhere = storedEvent('other', 'Added');

describe('who hears what', () => {
  test('one type, all of an aggregate, everything', () => {
    const heard: string[] = [];
    const note = (who: string) => (event: StoredEvent) => heard.push(`${who} ${event.aggregateType}.${event.type}`);
    bus.on(Counter, 'Added', note('one'));
    bus.on(Counter, '*', note('aggregate'));
    bus.on('*', note('all'));
    for (const event of [added, removed, elsewhere]) bus.emit(event);
    expect(heard).toEqual([
      'one counter.Added',
      'aggregate counter.Added',
      'all counter.Added',
      'aggregate counter.Removed',
      'all counter.Removed',
      'all other.Added',
    ]);
  });

  test('names cannot be mistaken for one another', () => {
    const heard: string[] = [];
    bus.on({ ...Counter, name: 'a.b' }, 'Added', () => heard.push('a.b'));
    bus.emit(storedEvent('a', 'b.Added'));
    bus.emit(storedEvent('__proto__', 'toString'));
    expect(heard).toEqual([]);
  });

  test('only what the predicate lets through', () => {
    const heard: number[] = [];
    bus.on(Counter, 'Added', (event) => heard.push(event.data.amount), { where: ({ data }) => data.amount > 1 });
    for (const amount of [1, 2, 3]) bus.emit(storedEvent('counter', 'Added', { data: { amount } }));
    expect(heard).toEqual([2, 3]);
  });

  test('wants() is true exactly when emit() would be heard', () => {
    type Choice = { aggregate: 'counter' | 'other' | '*'; type: 'Added' | 'Removed' | '*' };
    const choice: fc.Arbitrary<Choice> = fc.record({
      aggregate: fc.constantFrom('counter', 'other', '*'),
      type: fc.constantFrom('Added', 'Removed', '*'),
    });
    fc.assert(
      fc.property(fc.array(choice, { maxLength: 4 }), fc.array(fc.nat(3)), (choices, ends) => {
        const fresh = new Bus(() => {});
        let heard = 0;
        const hear = (): void => {
          heard++;
        };
        const listening: ListenerHandle[] = choices.map(({ aggregate, type }) =>
          aggregate === '*'
            ? fresh.on('*', hear)
            : fresh.on(aggregate === 'other' ? Other : Counter, type as never, hear),
        );
        for (const end of ends) listening[end]?.off();
        const left = choices.filter((_, i) => !ends.includes(i));
        expect(fresh.isIdle).toBe(left.length === 0);
        for (const event of [added, removed, elsewhere, storedEvent('other', 'Removed')]) {
          const { aggregateType, type } = event;
          const matches = left.filter(
            (one) =>
              one.aggregate === '*' || (one.aggregate === aggregateType && (one.type === '*' || one.type === type)),
          );
          heard = 0;
          fresh.emit(event);
          expect(heard).toBe(matches.length);
          expect(fresh.wants(aggregateType, type)).toBe(matches.length > 0);
        }
      }),
    );
  });
});

describe('an end of listening', () => {
  test('by off(), by using, and by the same arguments as on()', () => {
    const heard: string[] = [];
    const listener = (): void => {
      heard.push('listener');
    };
    bus.on(Counter, 'Added', listener).off();
    {
      using _ = bus.on('*', listener);
    }
    bus.on(Counter, 'Added', listener);
    bus.on('*', listener);
    bus.off(Counter, 'Added', listener);
    bus.off('*', listener);
    bus.off(Counter, 'Added', listener);
    bus.emit(added);
    expect(heard).toEqual([]);
    expect(bus.isIdle).toBe(true);
    expect(bus.wants('counter', 'Added')).toBe(false);
  });

  test('by arguments ends that listening alone, not the same listener elsewhere', () => {
    let heard = 0;
    const listener = (): void => {
      heard++;
    };
    bus.on(Counter, 'Added', listener);
    bus.on(Counter, '*', listener);
    bus.on(Other, 'Added', listener);
    bus.off(Counter, 'Added', listener);
    bus.emit(added);
    bus.emit(elsewhere);
    expect(heard).toBe(2);
  });

  test('while an event is being delivered: the one who leaves hears it no more, the others do', () => {
    const heard: string[] = [];
    bus.on('*', () => {
      heard.push('first');
      second.off();
    });
    const second = bus.on('*', () => heard.push('second'));
    bus.on('*', () => heard.push('third'));
    bus.emit(added);
    bus.emit(added);
    expect(heard.filter((who) => who === 'first')).toHaveLength(2);
    expect(heard.filter((who) => who === 'third')).toHaveLength(2);
    expect(heard.filter((who) => who === 'second').length).toBeLessThanOrEqual(1);
  });

  test('one listener may listen twice, and each ends for itself', () => {
    let heard = 0;
    const listener = (): void => {
      heard++;
    };
    const first = bus.on(Counter, 'Added', listener);
    bus.on(Counter, 'Added', listener);
    first.off();
    first.off();
    bus.emit(added);
    expect(heard).toBe(1);
  });
});

describe('a listener that fails is reported, and hurts nobody', () => {
  const broken = new Error('broken listener');

  test('when it throws, when its predicate throws, when it rejects', async () => {
    const heard: string[] = [];
    bus.on('*', () => {
      throw broken;
    });
    bus.on('*', () => heard.push('never'), {
      where: () => {
        throw broken;
      },
    });
    bus.on('*', async () => {
      throw broken;
    });
    bus.on('*', () => heard.push('last'));
    bus.emit(added);
    bus.emit(removed);
    await setImmediate();
    expect(heard).toEqual(['last', 'last']);
    expect(errors.filter(({ error }) => error === broken)).toHaveLength(6);
    expect(errors.filter(({ type }) => type === 'Removed')).toHaveLength(3);
  });
});

describe('batches', () => {
  test('one call a turn, with all events of the turn, in order', () => {
    const batches: string[][] = [];
    bus.on('*', (events) => batches.push(events.map(({ type }) => type)), { batch: true });
    bus.endTurn();
    for (const event of [added, removed, elsewhere]) bus.emit(event);
    expect(batches).toEqual([]);
    bus.endTurn();
    bus.endTurn();
    bus.emit(removed);
    bus.endTurn();
    expect(batches).toEqual([['Added', 'Removed', 'Added'], ['Removed']]);
  });

  test('only what the predicate lets through; no call for nothing', () => {
    let calls = 0;
    bus.on(Counter, '*', () => calls++, { batch: true, where: () => false });
    bus.emit(added);
    bus.endTurn();
    expect(calls).toBe(0);
  });

  test('who has left by the end of the turn gets nothing; one that throws does not keep the others from theirs', () => {
    const heard: string[] = [];
    const leaving = bus.on('*', () => heard.push('left'), { batch: true });
    bus.on(
      '*',
      () => {
        throw new Error('broken');
      },
      { batch: true },
    );
    bus.on('*', (events) => heard.push(`${events.length}`), { batch: true });
    bus.emit(added);
    bus.emit(added);
    leaving.off();
    bus.endTurn();
    expect(heard).toEqual(['2']);
    expect(errors).toHaveLength(1);
  });

  test('a batch is handed over: what comes later is not added to it', () => {
    const batches: (readonly StoredEvent[])[] = [];
    bus.on('*', (events) => batches.push(events), { batch: true });
    bus.emit(added);
    bus.endTurn();
    bus.emit(removed);
    expect(batches[0]).toHaveLength(1);
  });
});

test('an event that a listener makes another emit comes behind it', () => {
  const heard: string[] = [];
  let again = true;
  bus.on(Counter, 'Added', () => {
    if (!again) return;
    again = false;
    bus.emit(removed);
  });
  bus.on('*', ({ type }) => heard.push(type));
  bus.emit(added);
  expect(heard.sort()).toEqual(['Added', 'Removed']);
});
