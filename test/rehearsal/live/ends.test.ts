// How a live rehearsal begins and ends, whatever the release to come does: the service goes on.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { Runtime, RuntimeOptions } from '../../../src/index.ts';
import { postgres } from '../../../src/index.ts';
import { defineAggregate } from '../../../src/model/aggregate.ts';
import type { LiveDifference } from '../../../src/rehearsal/live/contract.ts';
import type { RunningRehearsal } from '../../../src/rehearsal/live/rehearsals.ts';
import { migratedDatabase } from '../../postgres.ts';
import { scratchFolder, startRuntime } from '../../runtime/scratch.ts';
import { Register } from './registers.ts';
import { Till } from './tills.ts';
import { Till as Next } from './tills-next.ts';
import { Till as Rogue } from './tills-rogue.ts';

const start = (options: Partial<RuntimeOptions> = {}): Promise<Runtime> =>
  startRuntime({ dataDir: scratchFolder(), aggregates: [Till], shards: 1, ...options });
const everything = { share: 1, budgetMicros: 100_000, maxErrorShare: 1 } as const;
const compared = (rehearsal: RunningRehearsal, count: number): Promise<void> =>
  expect.poll(() => rehearsal.status().commands, { timeout: 20_000 }).toBe(count);

test('a command that does not return ends the rehearsal, and is named', { timeout: 30_000 }, async () => {
  const runtime = await start();
  const rehearsal = await runtime.rehearse({ new: [Rogue], ...everything });
  const a = runtime.ref(Till, 'a');
  await a.sell(1);
  await a.sell(7);
  expect(await rehearsal.ended).toMatchObject({ endedBy: 'held', reason: expect.stringMatching(/^'sell' of till\/a/) });
  expect((await a.sell(7)).value).toEqual({ total: 15 });
});

test('a command that ends its thread ends the rehearsal', async () => {
  const runtime = await start();
  const rehearsal = await runtime.rehearse({ new: [Rogue], ...everything });
  await runtime.ref(Till, 'a').sell(2);
  expect(await rehearsal.ended).toMatchObject({ endedBy: 'failed' });
  expect((await runtime.ref(Till, 'a').sell(7)).value).toEqual({ total: 9 });
});

test('a command that does not settle, strays, or changes its state in place is one that differs', async () => {
  const runtime = await start();
  const differences: LiveDifference[] = [];
  const rehearsal = await runtime.rehearse({
    ...{ new: [Rogue], ...everything },
    on: (difference) => differences.push(difference),
  });
  const a = runtime.ref(Till, 'a');
  await a.sell(3);
  await a.sell(4);
  await runtime.ref(Till, 'b').sellLikewise('a');
  await compared(rehearsal, 4);
  expect(differences.map(({ command, aggregateId }) => [command, aggregateId])).toEqual([
    ['sell', 'a'],
    ['sellLikewise', 'b'],
  ]);
  expect(await rehearsal.stop()).toMatchObject({ different: 2, errors: 2 });
}, 30_000);

test('beyond a bound, commands are left out; what follows them is tried on the state that there was', async () => {
  const runtime = await start();
  const rehearsal = await runtime.rehearse({ new: [Rogue], ...everything });
  const file = scratchFolder(); // nothing is there yet
  await runtime.ref(Till, 'h').pass(file); // which the rehearsal waits for, with all others behind it
  const all = Array.from({ length: 4_200 }, (_, i) => runtime.ref(Till, `t-${i % 100}`).sell(6));
  await Promise.all(all);
  writeFileSync(file, '');
  const total = (): number => {
    const { commands, leftOut } = rehearsal.status();
    return commands + leftOut.queue + leftOut.state - 1;
  };
  await expect.poll(total, { timeout: 30_000 }).toBe(4_200);
  for (let i = 0; i < 100; i++) await runtime.ref(Till, `t-${i}`).sell(7);
  await expect.poll(total, { timeout: 30_000 }).toBe(4_300);
  const { commands, different, leftOut } = await rehearsal.stop();
  expect(rehearsal.status()).toMatchObject({ endedBy: 'stopped' });
  expect(different).toBe(0);
  expect(leftOut.queue).toBeGreaterThan(0);
  expect(leftOut.state).toBe(0);
  expect(commands).toBe(4_301 - leftOut.queue);
}, 60_000);

test('what `on` throws is no matter of the rehearsal', async () => {
  const runtime = await start();
  const rehearsal = await runtime.rehearse({
    ...{ new: [Next], ...everything },
    on: () => {
      throw new Error('the user’s own');
    },
  });
  await runtime.ref(Till, 'a').sell(13);
  await runtime.ref(Till, 'a').sell(13);
  await compared(rehearsal, 2);
});

test('the signal ends it, and so does the end of the runtime', async () => {
  const runtime = await start();
  const abort = new AbortController();
  const first = await runtime.rehearse({ new: [Next], signal: abort.signal });
  abort.abort();
  expect(await first.ended).toMatchObject({ endedBy: 'aborted' });
  await expect(runtime.rehearse({ new: [Next], signal: abort.signal })).rejects.toThrow(/abort/);
  const second = await runtime.rehearse({ new: [Next] });
  await runtime.close();
  expect(await second.ended).toMatchObject({ endedBy: 'closed' });
  await expect(runtime.rehearse({ new: [Next] })).rejects.toMatchObject({ code: 'RuntimeClosed' });
});

test('an end and a signal are heard while the release to come is loaded', async () => {
  const runtime = await start();
  const abort = new AbortController();
  const slow = defineAggregate('till', {
    ...withoutName(Next),
    module: new URL('./tills-slow.ts', import.meta.url).href,
  });
  const aborted = runtime.rehearse({ new: [slow], signal: abort.signal });
  abort.abort(new Error('no more'));
  await expect(aborted).rejects.toThrow('no more');
  const closed = runtime.rehearse({ new: [slow] });
  const ended = runtime.close();
  await expect(closed).rejects.toMatchObject({ code: expect.stringMatching(/RuntimeClosed|ThreadFailed/) });
  await ended;
  expect(runtime.status().state).toBe('closed');
}, 30_000);

test('what is refused', async () => {
  const runtime = await start({ context: new URL('./more.ts', import.meta.url).href });
  const context = fileURLToPath(new URL('./more.ts', import.meta.url));
  const refused = (options: object): Promise<void> =>
    expect(runtime.rehearse({ new: [Next], context, ...options })).rejects.toMatchObject({ code: 'InvalidOptions' });
  await refused({ context: undefined });
  await refused({ old: [Next] });
  await refused({ share: 2 });
  await refused({ budgetMicros: 0 });
  await refused({ ignore: ['basket:value'] });
  await refused({ new: [] });
  await refused({ nue: [Next] });
  const other = defineAggregate('other' as 'till', { ...withoutName(Next), module: import.meta.url });
  await refused({ new: [other] });
  const missing = defineAggregate('till', { ...withoutName(Next), module: new URL('./more.ts', import.meta.url).href });
  await expect(runtime.rehearse({ new: [missing], context })).rejects.toMatchObject({ code: 'ModuleMismatch' });
  const throwing = defineAggregate('till', {
    ...withoutName(Next),
    module: new URL('./tills-throwing.ts', import.meta.url).href,
  });
  await expect(runtime.rehearse({ new: [throwing], context })).rejects.toMatchObject({
    code: 'ThreadFailed',
    message: expect.stringMatching(/tills-throwing\.ts cannot be imported: .*boom/s),
  });
  const mistaken = defineAggregate('till', { ...withoutName(Next), module: Till.module });
  await refused({ new: [mistaken] });
  const starting = defineAggregate('till', {
    ...withoutName(Next),
    module: new URL('./tills-starting.ts', import.meta.url).href,
  });
  await expect(runtime.rehearse({ new: [starting], context })).rejects.toMatchObject({ code: 'RuntimeInsideShard' });
  await using rehearsal = await runtime.rehearse({ new: [Next], context });
  expect(rehearsal.status()).toMatchObject({ state: 'running' });
});

function withoutName({ name: _, ...spec }: typeof Next): Omit<typeof Next, 'name'> {
  return spec;
}

test('in PostgreSQL; an aggregate that the release to come has renamed; a context of its own', async () => {
  const store = postgres({ connectionString: await migratedDatabase() });
  const dataDir = scratchFolder();
  {
    await using before = await start({ dataDir, store });
    await before.ref(Till, 'a').with({ ack: 'stored' }).sell(100);
  }
  const runtime = await start({ dataDir, store });
  const differences: LiveDifference[] = [];
  const rehearsal = await runtime.rehearse({
    ...{ new: [Register], ...everything, context: new URL('./more.ts', import.meta.url).href },
    on: (difference) => differences.push(difference),
  });
  await runtime.ref(Till, 'a').average();
  await runtime.ref(Till, 'b').sellLikewise('a');
  await runtime.ref(Till, 'a').passOn('c');
  await compared(rehearsal, 5);
  expect(differences).toMatchObject([
    { aggregateType: 'register', aggregateId: 'a', command: 'passOn', changes: [{ path: 'sent[0].input[0]' }] },
  ]);
}, 60_000);
