// Two machines, one aggregate: what the first one goes on saying after the second has taken over. Nothing that the store
// refused, or that was decided on it, is acknowledged as `stored`, and nothing of it is remembered.

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { createRuntime, postgres, type Runtime, type RuntimeOptions } from '../../../src/index.ts';
import { administer, migratedDatabase } from '../../postgres.ts';
import { Counter } from '../../runtime/aggregates.ts';
import { Courier } from '../../runtime/courier.ts';
import { errorOf, scratchFolder, startRuntime, until } from '../../runtime/scratch.ts';
import { temporaryFolder } from '../sample.ts';

let connectionString: string;
/** Each test has a first machine of its own. The second one is there for all of them, and is never refused anything. */
let one: Runtime;
let two: Runtime;
let turn = 0;

const stored = { ack: 'stored' } as const;
const fileSink = new URL('../../runtime/file-sink.ts', import.meta.url).href;
const folderOfOne = { path: '' };
const folderOfTwo = temporaryFolder(afterAll);

const optionsOf = (dataDir: string): RuntimeOptions => ({
  dataDir,
  aggregates: [Counter, Courier],
  store: postgres({ connectionString, flushDelayMs: 5 }),
  shards: 1,
  messages: { retry: { attempts: 3, minDelayMs: 1 } },
  logger: false,
});

const start = (dataDir: string): Promise<Runtime> => startRuntime(optionsOf(dataDir));

/** An aggregate of this test's own. */
const own = (name: string): string => `${name}-${turn}`;

const amounts = async (id: string): Promise<number[]> => {
  const rows = await administer(
    connectionString,
    `select (data ->> 'amount')::int as amount from trunkline.domain_events where aggregate_id = $1 order by version`,
    [id],
  );
  return rows.map(({ amount }) => amount);
};

beforeAll(async () => {
  connectionString = await migratedDatabase();
  two = await createRuntime(optionsOf(join(folderOfTwo, 'data')));
});
afterAll(() => two.close());

beforeEach(async () => {
  turn++;
  folderOfOne.path = scratchFolder();
  one = await start(folderOfOne.path);
});

/** The actor lives on the first machine, and the second has gone on. */
async function takenOver(id: string): Promise<void> {
  await one.ref(Counter, id).with(stored).add(1);
  await two.ref(Counter, id).with(stored).add(10);
}

test('a command that is refused, tried again at once, is decided on what the store has', async () => {
  for (let i = 0; i < 10; i++) {
    const id = own(`again-${i}`);
    await takenOver(id);
    const counter = one.ref(Counter, id).with(stored);
    expect(await errorOf(counter.add(100))).toMatchObject({ code: 'Quarantined' });
    expect((await counter.total()).value).toBe(11);
    expect((await counter.add(1000)).value).toBe(1011);
    expect(await amounts(id)).toEqual([1, 10, 1000]);
  }
});

test('what was decided on a refused state before the news came is not stored either: values, refusals, repetitions', async () => {
  for (let i = 0; i < 5; i++) {
    const id = own(`behind-${i}`);
    await takenOver(id);
    const counter = one.ref(Counter, id).with(stored);
    const [refused, read, rejected] = await Promise.all([
      errorOf(counter.add(100)),
      errorOf(counter.total()),
      errorOf(counter.addThenReject(7)),
    ]);
    expect([refused.code, read.code, rejected.code]).toEqual(['Quarantined', 'Quarantined', 'Quarantined']);
    expect((await counter.total()).value).toBe(11);
  }
});

test('the key of a refused command can be used again, that of an accepted one keeps its outcome', async () => {
  for (let i = 0; i < 5; i++) {
    const id = own(`key-${i}`);
    const keyed = (key: string) => one.ref(Counter, id).with({ ...stored, idempotencyKey: key });
    await keyed('good').add(1);
    await two.ref(Counter, id).with(stored).add(10);
    expect(await errorOf(keyed('bad').add(100))).toMatchObject({ code: 'Quarantined' });
    expect((await keyed('bad').add(100)).value).toBe(111);
    expect((await keyed('bad').add(100)).value).toBe(111);
    expect((await keyed('good').add(1)).value).toBe(1);
    expect(await amounts(id)).toEqual([1, 10, 100]);
  }
});

test('the keys stay as they are after a restart', async () => {
  const id = own('restart');
  const keyed = (key: string) => one.ref(Counter, id).with({ ...stored, idempotencyKey: key });
  await keyed('good').add(1);
  await two.ref(Counter, id).with(stored).add(10);
  expect(await errorOf(keyed('bad').add(100))).toMatchObject({ code: 'Quarantined' });
  await one.close();
  one = await start(folderOfOne.path);
  expect((await keyed('bad').add(100)).value).toBe(111);
  await one.close();
  one = await start(folderOfOne.path);
  expect((await keyed('bad').add(100)).value).toBe(111);
  expect((await keyed('good').add(1)).value).toBe(1);
  expect(await amounts(id)).toEqual([1, 10, 100]);
});

test('commands that wait behind an asynchronous one of a refused actor run on what the store has', async () => {
  const id = own('busy');
  await takenOver(id);
  const counter = one.ref(Counter, id);
  const refused = errorOf(counter.with(stored).add(100));
  const slow = errorOf(counter.with(stored).addSlowly(200, 50));
  const waiting = counter
    .with(stored)
    .add(1000)
    .then(
      ({ value }) => value,
      ({ code }) => code,
    );
  expect((await refused).code).toBe('Quarantined');
  expect((await slow).code).toBe('Quarantined');
  // Where the news came late, it was refused like the others.
  const told = await waiting;
  if (told === 'Quarantined') expect((await counter.with(stored).add(1000)).value).toBe(1011);
  else expect(told).toBe(1011);
  await until(
    () => amounts(id),
    (list) => list.length === 3,
  );
  expect(await amounts(id)).toEqual([1, 10, 1000]);
});

test('a message whose events the store refuses, or whose refusal rests on what another has changed, is delivered again', async () => {
  const [target, other, sender] = [own('target'), own('other'), own('sender')];
  for (const id of [target, other]) await takenOver(id);
  await one.ref(Counter, sender).sendOther(target, 100); // two messages, in their order
  await one.ref(Counter, sender).sendRejected(other);
  await until(
    () => amounts(target),
    (list) => list.length === 4,
  );
  expect(await amounts(target)).toEqual([1, 10, 100, 100]);
  await until(
    () => one.status(),
    ({ messagesUnderWay }) => messagesUnderWay === 0,
  );
  expect(one.status()).toMatchObject({ messagesRefused: 2, messageDeadLetters: 0 }); // each time by its target
  expect(await amounts(target)).toEqual([1, 10, 100, 100]);
});

test('a dead letter whose effects the store refuses, delivered again, stays a letter until the store has them', async () => {
  const fails = `${folderOfOne.path}-fails`;
  const late = own('late');
  writeFileSync(fails, '');
  await one.ref(Courier, late).with(stored).take('of one');
  await two.ref(Courier, late).with(stored).take('of two');
  await one.ref(Courier, own('sender')).send(late, ['a'], 'takeUnless', fails);
  const settled = (letters: number): Promise<unknown> =>
    until(
      () => one.status(),
      ({ messagesUnderWay, messageDeadLetters }) => messagesUnderWay === 0 && messageDeadLetters === letters,
    );
  await settled(1);
  rmSync(fails);
  await one.deadLetters.messages.requeue({ aggregateId: late });
  await settled(0);
  expect((await two.store.getByAggregate(Courier, late)).map(({ data }) => data)).toEqual([
    { what: 'of one' },
    { what: 'of two' },
    { what: 'a' },
  ]);
});

test.each(['between two statements', 'inside a COPY'])(
  'a flush that stands still %s does not keep its successor waiting',
  async (where) => {
    const id = own('frozen');
    await one.ref(Counter, id).with(stored).add(1);
    const flush = new pg.Client({ connectionString, application_name: 'trunkline flush' });
    flush.on('error', () => {});
    const user = new pg.Client({ connectionString, application_name: 'an application' });
    await Promise.all([flush.connect(), user.connect()]);
    await user.query(
      `begin; insert into trunkline.actor_types values ('${own('theirs')}'); select from trunkline.aggregates`,
    );
    await flush.query(`begin; update trunkline.aggregates set updated_at = now() where aggregate_id = '${id}'`);
    if (where === 'inside a COPY')
      flush.query(copyFrom('copy trunkline.domain_events from stdin')).on('error', () => {});
    expect((await two.ref(Counter, id).with(stored).add(10)).value).toBe(11);
    expect(await amounts(id)).toEqual([1, 10]);
    await user.query('commit'); // what is not ours is left alone
    await user.end();
    await flush.end().catch(() => {});
  },
);

describe('an answer without events, of a machine that was never refused', () => {
  const ways: [string, () => Promise<void>][] = [
    ['a live actor', async () => {}],
    [
      'the memory of an earlier run',
      async () => {
        await one.close();
        one = await start(folderOfOne.path);
      },
    ],
  ];

  test.each(ways)('is stored only if it is the store’s: %s', async (_, goOn) => {
    const [value, rejection, key] = [own('value'), own('rejection'), own('key')];
    for (const id of [value, rejection, key]) await takenOver(id);
    await goOn();
    const keyed = one.ref(Counter, key).with({ ...stored, idempotencyKey: 'once' });
    expect(await errorOf(one.ref(Counter, value).with(stored).total())).toMatchObject({ code: 'Quarantined' });
    expect(await errorOf(one.ref(Counter, rejection).with(stored).addThenReject(7))).toMatchObject({
      code: 'Quarantined',
    });
    expect(await errorOf(keyed.total())).toMatchObject({ code: 'Quarantined' });
    expect((await keyed.total()).value).toBe(11);
    expect((await one.ref(Counter, value).with(stored).total()).value).toBe(11);
    expect((await one.ref(Counter, value).with(stored).add(100)).value).toBe(111);
    expect((await errorOf(one.ref(Counter, rejection).with(stored).addThenReject(7))).code).not.toBe('Quarantined');
    expect(await amounts(value)).toEqual([1, 10, 100]);
    expect(one.status().quarantined).toBe(0);
  });

  test('that was sent at a lower level is confirmed when its receipt is asked for stored', async () => {
    await takenOver(own('late'));
    const stale = await one.ref(Counter, own('late')).total();
    expect(stale.value).toBe(1); // at `written` a machine answers from what it holds
    expect(await errorOf(stale.reached('stored'))).toMatchObject({ code: 'Quarantined', details: { version: 2 } });
    const counter = one.ref(Counter, own('alone'));
    const none = await counter.total();
    await counter.add(1);
    const between = await counter.total();
    await counter.add(2);
    for (const receipt of [none, between, await counter.total()]) await receipt.reached('stored');
  });

  test('is published only if the store has what it rests on; and so are events', async () => {
    const folder = temporaryFolder(onTestFinished);
    const stream = { name: 'file', module: fileSink, options: { file: join(folder, 'stream') } };
    const publishing = await startRuntime({ store: postgres({ connectionString }), shards: 1, stream });
    const published = { ack: 'published' } as const;
    const [read, write] = [own('read'), own('write')];
    for (const id of [read, write]) await publishing.ref(Counter, id).with(published).add(1);
    for (const id of [read, write]) await two.ref(Counter, id).with(stored).add(10);
    const late = await publishing.ref(Counter, read).total();
    expect((await errorOf(late.reached('published'))).code).toBe('Quarantined');
    expect((await errorOf(publishing.ref(Counter, read).with(published).total())).code).toBe('Quarantined');
    expect((await errorOf(publishing.ref(Counter, write).with(published).add(100))).code).toBe('Quarantined');
    expect((await publishing.ref(Counter, write).with(published).add(1000)).value).toBe(1011);
  });

  test('goes on where no other has written: behind events, between them, of an aggregate that has none', async () => {
    const counter = one.ref(Counter, own('alone')).with(stored);
    expect((await counter.total()).value).toBe(0);
    const receipts = await Promise.all([counter.add(1), counter.total(), counter.add(2), counter.total()]);
    expect(receipts.map(({ value }) => value)).toEqual([1, 1, 3, 3]);
    expect((await counter.total()).value).toBe(3);
  });
});
