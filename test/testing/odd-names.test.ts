// Commands that are called as what every object has are commands like any other, also where a test kit or a rehearsal knows of their
// aggregate no more than the name.
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { type AnyAggregate, defineAggregate, event } from '../../src/index.ts';
import { anyCommandOf } from '../../src/shard/any-command.ts';
import { commandMethods } from '../../src/shard/execution.ts';
import { given } from '../../src/testing.ts';

const oddNames = ['toString', 'valueOf', 'hasOwnProperty', 'toLocaleString', 'asymmetricMatch', 'nodeType', '$$typeof'];

function add(odd: any, n: number): number {
  odd.raise('Added', { n });
  return n;
}

const Odd: AnyAggregate = defineAggregate('odd', {
  module: import.meta.url,
  state: () => ({ n: 0 }),
  events: { Added: event() },
  evolve: { Added: ({ n }) => ({ n: n + 1 }) },
  commands: Object.fromEntries(oddNames.map((name) => [name, add])),
});

const Asking: AnyAggregate = defineAggregate('asking', {
  module: import.meta.url,
  state: () => ({ n: 0 }),
  events: { Added: event() },
  evolve: { Added: (state) => state },
  commands: {
    send(asking, name: string) {
      (asking.send(Odd, 'a') as any)[name](7);
    },
    async ask(asking, name: string): Promise<unknown> {
      return (asking.ask(Odd, 'a') as any)[name](7);
    },
    marks: (asking) => {
      const made = asking.send({ ...Odd, commands: {} } as typeof Odd, 'a') as any;
      return [String(made), inspect(made), typeof made.valueOf(), typeof made.asymmetricMatch, typeof made.then];
    },
  },
});

test.each(oddNames)('%s', async (name) => {
  const when = given(Asking, [], { answer: (question) => question }).when as any;
  const question = { aggregateType: 'odd', id: 'a', command: name, input: [7] };
  expect(when.send(name).then([]).sent).toEqual([question]);
  expect(await when.ask(name).outcome()).toMatchObject({ value: question });
  expect(await (given(Odd).when as any)[name](3).then(['Added']).value).toBe(3);
});

test('of an aggregate without such a command they are what every object has', async () => {
  const { value, sent } = await (given(Asking).when as any).marks().then([]);
  expect(value).toEqual(['[object Object]', '{}', 'object', 'undefined', 'undefined']);
  expect(sent).toEqual([]);
});

test.each([undefined, null, 'text', 7])('commands that are %s name none of these', (commands) => {
  const target = { name: 'odd', commands: anyCommandOf({ name: 'odd', commands } as unknown as AnyAggregate) };
  const called: string[] = [];
  const methods: any = commandMethods(target as unknown as AnyAggregate, (name) => called.push(name));
  expect(`${methods}`).toBe('[object Object]');
  methods.anything();
  expect(called).toEqual(['anything']);
});
