// The user's own code runs in the middle of a raise: in reducers, validators, toJSON(). A command that is called from there
// gives out no version twice.
import { expect, test } from 'vitest';
import { AggregateRoot, defineAggregate } from '../../src/index.ts';
import { given } from '../../src/testing.ts';
import { Meddler } from './meddler.ts';
import { errorOf, scratchFolder, startRuntime } from './scratch.ts';

const ways = ['raise', 'send', 'ask'] as const;

test('what a reducer calls is refused; the aggregate, the store and a restart go on', async () => {
  const dataDir = scratchFolder();
  const runtime = await startRuntime({ dataDir, aggregates: [Meddler], shards: 1 });
  const meddler: any = runtime.ref(Meddler, 'a');
  for (const command of ['inReducer', 'inReducerLater']) {
    for (const called of ways) {
      const error = await errorOf(meddler[command](called));
      expect(error).toMatchObject({ code: 'InsideReducer', details: { aggregateType: 'meddler', id: 'a', called } });
    }
  }
  expect(await meddler.count()).toMatchObject({ value: 1, version: 1 });
  await runtime.reached('stored');
  await runtime.close();
  const again = await startRuntime({ dataDir, aggregates: [Meddler], shards: 1 });
  expect(await (again.ref(Meddler, 'a') as any).count()).toMatchObject({ value: 2, version: 2 });
});

test('what a validator or toJSON() raises comes first, with a version of its own', async () => {
  const runtime = await startRuntime({ aggregates: [Meddler], shards: 1 });
  const versions = async (command: string): Promise<number[]> =>
    (await (runtime.ref(Meddler, command) as any)[command]()).events.map(({ version }: any) => version);
  expect(await versions('inValidator')).toEqual([1, 2]);
  expect(await versions('inToJson')).toEqual([1, 2]);
  expect(await errorOf((runtime.ref(Meddler, 'b') as any).inArgument())).toMatchObject({ code: 'AskAfterRaise' });
  expect((await (runtime.ref(Meddler, 'b') as any).count()).version).toBe(1);
  await runtime.reached('stored');
});

test('the test kit refuses what a shard refuses', () => {
  for (const called of ways) {
    const outcome = () => (given(Meddler).when as any).inReducer(called).then(['Reduced']);
    expect(outcome).toThrow(expect.objectContaining({ cause: expect.objectContaining({ code: 'InsideReducer' }) }));
  }
});

test('an entity raises and is rebuilt outside of apply only, and keeps its versions', () => {
  class Account extends AggregateRoot {
    meddle: (() => void) | undefined;
    constructor() {
      super('account', 'a');
    }
    open(data: unknown = {}): void {
      this.raise('Opened', data);
    }
    protected override apply(): void {
      const { meddle } = this;
      this.meddle = undefined;
      meddle?.();
    }
  }
  const account = new Account();
  const refused = (called: string) =>
    expect.objectContaining({ code: 'InsideReducer', details: expect.objectContaining({ called }) });
  account.meddle = () => account.open();
  expect(() => account.open()).toThrow(refused('raise'));
  account.meddle = () => account.rebuild([{ version: 1 } as never]);
  expect(() => account.open()).toThrow(refused('rebuild'));
  expect(account).toMatchObject({ version: 0, uncommittedEvents: [] });
  account.open({
    toJSON() {
      account.open();
      return {};
    },
  });
  expect(account.uncommittedEvents.map(({ version }) => version)).toEqual([1, 2]);
  const rebuilt = new Account();
  rebuilt.meddle = () => rebuilt.open();
  expect(() => rebuilt.rebuild([{ version: 1 } as never])).toThrow(refused('raise'));
});

test('what ask and send return has no mark that a library looks for', async () => {
  const runtime = await startRuntime({ aggregates: [Meddler], shards: 1 });
  const none = ['undefined', 'undefined', 'undefined', 'undefined'];
  const found = ['{}', '[object Object]', true, 'function', ...none];
  expect((await (runtime.ref(Meddler, 'a') as any).probe()).value).toEqual([found, found]);
});

test('a command named __proto__ is refused where it is defined', () => {
  const commands = JSON.parse('{"__proto__": 1}');
  commands.go = () => 1;
  const spec = { module: import.meta.url, state: () => ({}), events: {}, evolve: {}, commands };
  expect(() => defineAggregate('a', spec as any)).toThrow(/'__proto__' is reserved/);
});
