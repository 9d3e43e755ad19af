// Compiled, never run: arguments and results of commands go through JSON, and their types say so.
import { defineAggregate, event, type Runtime } from 'trunkline';
import { given } from 'trunkline/testing';
import { expectTypeOf } from 'vitest';

declare const runtime: Runtime;
class Decimal {
  toJSON(): string {
    return '1.20';
  }
}

const Clock = defineAggregate('clock', {
  module: import.meta.url,
  state: () => ({ at: '' }),
  events: { Set: event<{ at: Date }>() },
  evolve: { Set: (_state, data) => ({ at: data.at }) },
  commands: {
    now(): { at: Date; price: Decimal; parts: number[] } {
      return { at: new Date(), price: new Decimal(), parts: [] };
    },
    async later(): Promise<Date> {
      return new Date();
    },
    maybe(_clock, sync: boolean): number | Promise<number> {
      return sync ? 1 : Promise.resolve(1);
    },
    nothing(): void {},
    set(_clock, _at: Date): void {},
    setAll(_clock, _all: { times: Date[] }): void {},
    pay(_clock, _amount: Decimal, _of?: string): void {},
    fill(_clock, _lists: { byName: Map<string, number> }): void {},
    text(_clock, _at: string, _options?: { note?: string; tags: readonly string[] }): void {},
  },
});
const clock = runtime.ref(Clock, 'c');

// results arrive as JSON has them
expectTypeOf((await clock.now()).value).toEqualTypeOf<{
  readonly at: string;
  readonly price: string;
  readonly parts: readonly number[];
}>();
expectTypeOf((await clock.later()).value).toEqualTypeOf<string>();
expectTypeOf((await clock.nothing()).value).toEqualTypeOf<void>();

// arguments that would arrive as something else do not compile
// @ts-expect-error: a Date arrives as text
clock.set(new Date());
// @ts-expect-error: deep in it
clock.setAll({ times: [new Date()] });
// @ts-expect-error: a Decimal arrives as text
clock.pay(new Decimal());
// @ts-expect-error: a Map does not arrive
clock.fill({ byName: new Map() });
clock.text('2026-01-01', { tags: [] });
clock.text('2026-01-01', undefined);
// @ts-expect-error: the same in the test kit
given(Clock).when.set(new Date());

// the test kit: what an asynchronous command comes to is a promise
expectTypeOf(given(Clock).when.now().then([]).value.at).toEqualTypeOf<string>();
expectTypeOf(given(Clock).when.nothing().then([]).version).toEqualTypeOf<number>();
expectTypeOf((await given(Clock).when.later().then([])).value).toEqualTypeOf<string>();
// @ts-expect-error: it is not there before it is awaited
given(Clock).when.later().then([]).value;
// @ts-expect-error: nor where the command may be asynchronous
given(Clock).when.maybe(true).then([]).value;
expectTypeOf((await given(Clock).when.later().after(1).then([])).value).toEqualTypeOf<undefined>();
// @ts-expect-error: behind an asynchronous command all is a promise
given(Clock).when.later().after(1).then([]).state;
// @ts-expect-error: and timers may have any of the commands
given(Clock).when.now().after(1).then([]).state;
expectTypeOf((await given(Clock).when.now().after(1).after(1).then(['Set'])).state.at).toEqualTypeOf<string>();

// rows of projections, and what an effect of `once` returns
runtime.project({ name: 'calls', init: () => ({ n: 0, first: '' as string | undefined }), apply: (row) => row });
// @ts-expect-error: it would be a Date at the first event, and text once the row is read again
runtime.project({ name: 'calls', init: () => ({ first: new Date() }), apply: (row) => row });
interface Day {
  day: string;
  calls: number;
  parts: readonly { name: string; note?: string }[];
}
runtime.project<Day>({ name: 'days', init: (day) => ({ day, calls: 0, parts: [] }), apply: (row) => row });
expectTypeOf(await runtime.once('key', () => ({ at: new Date() }))).toEqualTypeOf<{ readonly at: string }>();
expectTypeOf(await runtime.once('key', async () => {})).toEqualTypeOf<void>();
