// Aggregates that the runtime's tests use. Imported by shard threads: no side effects, no test library. The suite starts
// thousands of shards, so this imports only what it uses: all of index.ts and a schema library cost each of them some 0.2 s
// of CPU time. That a shard bears both is seen with trunks.ts, meddler.ts and the README's programs.
import type { StandardJSONSchemaV1, StandardSchemaV1 } from '@standard-schema/spec';
import { Rejected } from '../../src/base/errors.ts';
import { defineAggregate } from '../../src/model/aggregate.ts';
import { event } from '../../src/model/event-spec.ts';

export interface CounterState {
  total: number;
  labels: string[];
}

function fail(what: string): never {
  throw new TypeError(what);
}

function revokedProxy(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

const labelSchema = (): Record<string, unknown> => ({
  type: 'object',
  required: ['label'],
  properties: { label: { type: 'string', minLength: 1 } },
});

const labelled: StandardSchemaV1<{ label: string }> & StandardJSONSchemaV1<{ label: string }> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    jsonSchema: { input: labelSchema, output: labelSchema },
    validate(value) {
      const label = (value as { label?: unknown } | null)?.label;
      if (typeof label === 'string' && label !== '') return { value: { label } };
      return { issues: [{ message: 'a label has at least one character', path: ['label'] }] };
    },
  },
};

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export const Counter = defineAggregate('counter', {
  module: import.meta.url,
  state: (): CounterState => ({ total: 0, labels: [] }),
  events: {
    Added: event<{ amount: number }>(),
    Labelled: event(labelled),
    Stamped: event<{ at: Date; price: { toJSON(): string } }>(),
    Checked: event({
      '~standard': { version: 1, vendor: 'test', validate: async (value: unknown) => ({ value }) },
    } as never),
  },
  evolve: {
    Added: (state, data) => ({ ...state, total: state.total + data.amount }),
    Labelled: (state, data) => ({ ...state, labels: [...state.labels, data.label] }),
    Stamped: (state, data) => ({ ...state, labels: [...state.labels, `${typeof data.at}:${data.at}:${data.price}`] }),
    Checked: (state) => state,
  },
  snapshot: { every: 10 },
  commands: {
    add(counter, amount: number) {
      counter.raise('Added', { amount });
      return counter.state.total;
    },
    addMany(counter, count: number) {
      for (let i = 0; i < count; i++) counter.raise('Added', { amount: 1 });
      return counter.version;
    },
    label(counter, label: string) {
      counter.raise('Labelled', { label });
    },
    stamp(counter) {
      counter.raise('Stamped', { at: new Date(0), price: { toJSON: () => '1.50' } });
      return counter.state.labels;
    },
    check(counter) {
      counter.raise('Checked', {} as never);
    },
    total(counter) {
      return counter.state.total;
    },
    whole(counter) {
      return { state: counter.state, version: counter.version };
    },
    addThenReject(counter, amount: number) {
      counter.raise('Added', { amount });
      throw new Rejected('too-much', { amount, total: counter.state.total });
    },
    addThenThrow(counter) {
      counter.raise('Added', { amount: 1 });
      throw new RangeError('broken on purpose');
    },
    raiseAnything(counter, type: string, data: unknown) {
      counter.raise(type as 'Added', data as { amount: number });
    },
    raiseOdd(counter, what: string) {
      const cycle: Record<string, unknown> = {};
      cycle.self = cycle;
      const odd: Record<string, unknown> = {
        nan: Number.NaN,
        function: () => 1,
        bigint: 1n,
        cycle,
        map: new Map(),
        hole: [undefined],
        invalidDate: new Date(Number.NaN),
        throwingGetter: Object.defineProperty({}, 'x', { enumerable: true, get: () => fail('getter') }),
        throwingToJson: { toJSON: () => fail('toJSON') },
        revoked: revokedProxy(),
        nul: 'a\0b',
        surrogate: '\ud800',
      };
      counter.raise('Added', { amount: odd[what] as number });
    },
    returnOdd() {
      return () => 1;
    },
    mutateInput(counter) {
      const labels = ['a'];
      counter.raise('Added', { amount: 1, labels } as never);
      labels.push('b');
      return labels;
    },
    async addSlowly(counter, amount: number, ms: number) {
      const before = counter.state.total;
      await sleep(ms);
      counter.raise('Added', { amount });
      await sleep(ms);
      return { before, after: counter.state.total };
    },
    async addAndFail(counter) {
      counter.raise('Added', { amount: 1 });
      await sleep(1);
      throw new Rejected('changed-my-mind');
    },
    async waitForAbort(counter) {
      await new Promise((resolve) => counter.signal.addEventListener('abort', resolve));
      counter.raise('Added', { amount: 100 });
      return 'aborted';
    },
    async forget(counter) {
      setTimeout(() => {
        try {
          counter.raise('Added', { amount: 1 });
        } catch (error) {
          (globalThis as { late?: string }).late = (error as { code: string }).code;
        }
      }, 1);
    },
    lateError() {
      return (globalThis as { late?: string }).late;
    },
    async askOther(counter, id: string, amount: number): Promise<number> {
      const total: number = await counter.ask(Counter, id).add(amount);
      counter.raise('Added', { amount: total });
      return counter.state.total;
    },
    /** Asks the first one on the route to go along the rest of it; then counts one. */
    async askAlong(counter, route: readonly string[]): Promise<number> {
      const [next, ...rest] = route;
      const asked: number = next === undefined ? 0 : await counter.ask(Counter, next).askAlong(rest);
      counter.raise('Added', { amount: 1 });
      return asked + 1;
    },
    async askAlongEach(counter, routes: readonly (readonly string[])[]): Promise<number> {
      const asked: number[] = await Promise.all(
        routes.map(([next, ...rest]) => counter.ask(Counter, next!).askAlong(rest)),
      );
      return asked.reduce((sum, one) => sum + one, 0);
    },
    async catchAlong(counter, route: readonly string[]): Promise<string> {
      const [next, ...rest] = route;
      try {
        await counter.ask(Counter, next!).askAlong(rest);
        return 'no error';
      } catch (error) {
        counter.raise('Added', { amount: 1 });
        return (error as { code: string }).code;
      }
    },
    sendAlong(counter, route: readonly string[]) {
      const [next, ...rest] = route;
      counter.send(Counter, next!).askAlong(rest);
    },
    async askTooLate(counter, id: string): Promise<number> {
      counter.raise('Added', { amount: 1 });
      return counter.ask(Counter, id).add(1);
    },
    async askItself(counter): Promise<number> {
      return counter.ask(Counter, counter.id, { deadlineMs: 50 }).add(1);
    },
    async askSlowly(counter, id: string, ms: number, deadlineMs: number): Promise<unknown> {
      return counter.ask(Counter, id, { deadlineMs }).addSlowly(1, ms);
    },
    async askForBigRejection(counter, id: string, length: number): Promise<unknown> {
      try {
        return await counter.ask(Counter, id).rejectWith('text', length);
      } catch (error) {
        return {
          code: (error as Rejected).code,
          length: ((error as Rejected).details as { text?: string }).text?.length,
        };
      }
    },
    rejectWith(_counter, what: string, length = 0) {
      const cycle: Record<string, unknown> = {};
      cycle.self = cycle;
      const details: Record<string, unknown> = {
        text: { text: 'x'.repeat(length) },
        function: { at: { call: () => 1 } },
        bigint: { amount: 1n },
        nan: { amount: Number.NaN },
        date: { at: new Date(Number.NaN) },
        cycle,
        scalar: 5,
      };
      if (what === 'number as its code') throw new Rejected(404 as never, 5); // as plain JavaScript may
      throw new Rejected('no', details[what]);
    },
    async askForRejection(counter, id: string): Promise<string> {
      try {
        await counter.ask(Counter, id).addThenReject(5);
        return 'not rejected';
      } catch (error) {
        return (error as Rejected).code;
      }
    },
    sendOther(counter, id: string, amount: number) {
      counter.raise('Added', { amount: 1 });
      counter.send(Counter, id).add(amount);
      counter.send(Counter, id).add(amount);
    },
    sendRejected(counter, id: string) {
      counter.raise('Added', { amount: 1 });
      counter.send(Counter, id).addThenReject(7);
    },
    readContext(counter) {
      return { shard: counter.context.shard, made: counter.context.made };
    },
    thread() {
      return process.pid;
    },
    mutate(counter, where: string) {
      const state = counter.state as CounterState;
      if (where === 'total') state.total = 99;
      else state.labels.push('in place');
    },
    crash() {
      process.exit(3);
    },
    block(_counter, ms: number) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    },
  },
});
