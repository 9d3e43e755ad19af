// At every bound there is room for internal traffic that users cannot take: messages and questions come through while users
// are refused or wait, and so what holds the bound can end.
import { rmSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { isError, type Runtime, type RuntimeOptions } from '../../src/index.ts';
import { shardOf } from '../../src/shard/contract.ts';
import { Courier } from './courier.ts';
import { errorOf, scratchFolder, startRuntime, until } from './scratch.ts';

const start = (options: Partial<RuntimeOptions>): Promise<Runtime> =>
  startRuntime({ aggregates: [Courier], shards: 1, logger: false, ...options });

/** A command that is under way until the file is there, and then asks 'asked'. */
function asker(runtime: Runtime, file: string): Promise<{ value: unknown }> {
  return runtime.ref(Courier, 'asker').waitThenAsk(file, 'asked');
}

/** The code of what refuses a user's 20 KB; '' once they are in. */
const filled = (runtime: Runtime): Promise<string> =>
  runtime
    .ref(Courier, 'filler')
    .with({ deadlineMs: 500 })
    .fill(20_000)
    .then(
      () => '',
      (error) => error.code,
    );

test('commands in flight: a question has a limit of its own', async () => {
  const runtime = await start({ maxInFlight: 2 });
  const file = `${scratchFolder()}-go`;
  const [asking, other] = [asker(runtime, file), runtime.ref(Courier, 'other').waitFor(file)];
  expect((await errorOf(runtime.ref(Courier, 'third').taken())).code).toBe('TooManyInFlight');
  writeFileSync(file, '');
  expect((await asking).value).toEqual([]);
  await other;
});

test('a mailbox: a question comes in behind as many users as it takes', async () => {
  const runtime = await start({ mailboxLimit: 1 });
  const [go, end] = ['go', 'end'].map((name) => `${scratchFolder()}-${name}`) as [string, string];
  const asking = asker(runtime, go);
  const busy = runtime.ref(Courier, 'asked').waitFor(end);
  const waiting = runtime.ref(Courier, 'asked').taken();
  expect((await errorOf(runtime.ref(Courier, 'asked').taken())).code).toBe('MailboxFull');
  writeFileSync(go, '');
  // It is in the mailbox when its group has been read and its command taken.
  await until(
    () => runtime.status().inFlight,
    (count) => count === 4,
  );
  writeFileSync(end, '');
  expect((await asking).value).toEqual([end]);
  await Promise.all([busy, waiting]);
});

test('a command ring: a question waits for room where users are refused', async () => {
  const runtime = await start({ shards: 2, flush: { ringBytes: 65536, batchBytes: 65536, whenFull: 'reject' } });
  const file = `${scratchFolder()}-go`;
  const ids = Array.from({ length: 20 }, (_, i) => `a${i}`);
  const [here, there] = [0, 1].map((shard) => ids.find((id) => shardOf('courier', id, 2) === shard)!) as [
    string,
    string,
  ];
  await Promise.all([here, there].map((id) => runtime.ref(Courier, id).taken()));
  const asking = runtime.ref(Courier, there).waitThenAsk(file, here);
  const blocked = runtime.ref(Courier, here).block(1_000);
  // Until not even a command as small as the question finds room.
  const target = runtime.ref(Courier, here);
  const sent = [
    ...Array.from({ length: 20 }, () => target.ignore('x'.repeat(20_000))),
    ...Array.from({ length: 500 }, () => target.taken()),
  ];
  const refused = Promise.any(
    sent.map((one) =>
      one.then(
        () => Promise.reject(new Error('it came in')),
        (error: unknown) => isError(error, 'RingFull') || Promise.reject(error),
      ),
    ),
  );
  await refused;
  writeFileSync(file, '');
  expect((await asking).value).toEqual([]);
  await blocked;
});

test('a runtime that closes: commands that are under way may ask', async () => {
  const runtime = await start({});
  const file = `${scratchFolder()}-go`;
  const asking = asker(runtime, file);
  await runtime.ref(Courier, 'asked').take('one');
  const closed = runtime.close();
  expect((await errorOf(runtime.ref(Courier, 'asked').taken())).code).toBe('RuntimeClosed');
  writeFileSync(file, '');
  expect((await asking).value).toEqual(['one']);
  await closed;
});

/** A log that nothing leaves before the file is there. */
const fullUntil = (file: string, whenFull: 'reject' | 'wait'): Promise<Runtime> =>
  start({
    log: { maxBytes: 2 << 20, retainBytes: 0 },
    flush: { ringBytes: 65536, batchBytes: 65536, whenFull },
    sinks: [{ name: 'standing', module: new URL('./standing-sink.ts', import.meta.url).href, options: { file } }],
  });

test.each(['reject', 'wait'] as const)(
  'the log (%s): messages and questions are carried out, and states are read, although it is full',
  async (whenFull) => {
    const file = `${scratchFolder()}-go`;
    const [asked, end, room] = [`${file}-asked`, `${file}-end`, `${file}-room`];
    const runtime = await fullUntil(room, whenFull);
    const asking = asker(runtime, asked);
    // Under way all the time: its shard sleeps until it is rung.
    const long = runtime.ref(Courier, 'long').waitFor(end);
    await runtime.ref(Courier, 'from').send('busy', [file, file, file], 'waitFor');
    const fill = (): Promise<string> => filled(runtime);
    const refusal = await until(fill, (code) => code !== '');
    expect(refusal).toBe(whenFull === 'reject' ? 'LogFull' : 'DeadlineExceeded');
    // Whatever users send now, in whatever number, the reserve is not theirs.
    await Promise.all(Array.from({ length: 200 }, fill));
    // Of an actor that is here, and of one that has to be loaded.
    const versions = ['from', 'nobody'].map(async (id) => (await runtime.state(Courier, id))?.version);
    expect(await Promise.all(versions)).toEqual([1, undefined]);
    writeFileSync(asked, '');
    expect((await asking).value).toEqual([]);
    const held = whenFull === 'wait' ? runtime.ref(Courier, 'held').take('held') : undefined;
    writeFileSync(file, '');
    await until(
      () => runtime.status().messagesUnderWay,
      (count) => count === 0,
    );
    expect(await fill()).not.toBe('');
    writeFileSync(room, '');
    await held; // nothing comes to its shard meanwhile but the word that there is room
    writeFileSync(end, '');
    await long;
    await until(fill, (code) => code === '');
    // What has just come in may fill the log once more, until the sink has passed it.
    const taken = await until(
      () =>
        runtime
          .ref(Courier, 'busy')
          .taken()
          .catch((error: unknown) => (isError(error, 'LogFull') ? undefined : Promise.reject(error))),
      (reply) => reply !== undefined,
    );
    expect(taken!.value).toEqual([file, file, file]);
    rmSync(file);
  },
);

test('the log: what waits for room begins once the policy lets it in', async () => {
  const [room, end] = ['room', 'end'].map((name) => `${scratchFolder()}-${name}`) as [string, string];
  const runtime = await fullUntil(room, 'wait');
  const long = runtime.ref(Courier, 'long').waitFor(end); // its shard sleeps until it is rung
  const fill = (): Promise<string> => filled(runtime);
  await until(fill, (code) => code !== '');
  const held = runtime.ref(Courier, 'held').take('held');
  expect(await fill()).toBe('DeadlineExceeded'); // by then the one before it is held, too
  runtime.setFlush({ whenFull: 'reject' });
  await held;
  for (const one of [room, end]) writeFileSync(one, '');
  await long;
});

test.each([{ retainBytes: (2 << 20) - 16_384 }, { retainBytes: 0, retainMs: 3_600_000 }])(
  'a log that is to keep more than it has room for goes on, and keeps less: %o',
  async (retention) => {
    const log = { maxBytes: 2 << 20, ...retention };
    const runtime = await start({ log, flush: { ringBytes: 65536, batchBytes: 65536 } });
    // Some 4 MiB, in chunks of many sizes.
    for (let i = 0; i < 250; i++) await runtime.ref(Courier, 'filler').fill(1_000 + ((i * 7_919) % 27) * 1_000);
    expect((await runtime.ref(Courier, 'other').take('small')).value).toBeUndefined();
  },
);
