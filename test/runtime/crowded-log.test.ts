// A log that messages fill: those that are slow wait beside it, and so it has room for what the others come to; nothing is
// carried out twice for that, none out of its order, and users wait before it grows without end.
import { rmSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Runtime, RuntimeOptions } from '../../src/index.ts';
import { Courier } from './courier.ts';
import { scratchFolder, startRuntime, until } from './scratch.ts';

// The smallest log that there is.
const log = { maxBytes: 2 ** 20, retainBytes: 0 };
const flush = { ringBytes: 65536, batchBytes: 65536 };
const fillers = 64;
const bytes = 20_000; // in all a quarter more than the log takes

/** For a machine that does much else. */
const patienceMs = 240_000;

const start = (options: Partial<RuntimeOptions>): Promise<Runtime> =>
  startRuntime({ aggregates: [Courier], shards: 1, logger: false, log, flush, ...options });
const underWay = (runtime: Runtime, wanted: number): Promise<number> =>
  until(
    () => runtime.status().messagesUnderWay,
    (count) => count === wanted,
    60_000,
  );
const taken = async (runtime: Runtime, id: string): Promise<readonly string[]> =>
  (await runtime.ref(Courier, id).taken()).value;

/** How often each of those that were to fill the log has done so. */
async function fillings(runtime: Runtime, sender: string): Promise<Set<number>> {
  const times = new Set<number>();
  for (let i = 0; i < fillers; i++) times.add((await taken(runtime, `${sender}-${i}`)).length);
  return times;
}

test(
  'behind a message that takes its time, others come to more than the log holds',
  async () => {
    const dataDir = scratchFolder();
    const go = `${dataDir}-go`;
    const runtime = await start({ dataDir });
    const { messages } = runtime.deadLetters;
    await runtime.ref(Courier, 'from').send('slow', [go], 'waitFor');
    await runtime.ref(Courier, 'many').fillOthers(fillers, bytes);
    await underWay(runtime, 1);
    await runtime.ref(Courier, 'user').take('let in');
    expect([runtime.status().messageDeadLetters, await messages.list()]).toEqual([0, []]);
    writeFileSync(go, '');
    await underWay(runtime, 0);
    expect([await taken(runtime, 'slow'), await fillings(runtime, 'many')]).toEqual([[go], new Set([1])]);
    await runtime.close();

    const second = await start({ dataDir });
    await underWay(second, 0);
    expect([await taken(second, 'slow'), await fillings(second, 'many')]).toEqual([[go], new Set([1])]);
  },
  patienceMs,
);

test(
  'messages that wait beside the log keep their order, among each other and with later ones, over a restart',
  async () => {
    const dataDir = scratchFolder();
    const [go, then] = [`${dataDir}-go`, `${dataDir}-then`];
    const runtime = await start({ dataDir });
    const from = runtime.ref(Courier, 'from');
    await from.send('slow', [go, then], 'waitFor');
    await from.send('slow', ['a', 'b']);
    await runtime.ref(Courier, 'many').fillOthers(fillers, bytes);
    await underWay(runtime, 4);
    await from.send('slow', ['c']);
    const closed = runtime.close();
    writeFileSync(go, ''); // the one that runs ends; the next one has not begun
    await closed;

    const second = await start({ dataDir });
    await underWay(second, 4);
    await second.ref(Courier, 'from').send('slow', ['d']);
    await second.ref(Courier, 'again').fillOthers(fillers, bytes);
    await underWay(second, 5);
    writeFileSync(then, '');
    await underWay(second, 0);
    expect(await taken(second, 'slow')).toEqual([go, then, 'a', 'b', 'c', 'd']);
    expect(await fillings(second, 'again')).toEqual(new Set([1]));
  },
  patienceMs,
);

test(
  'a letter that is delivered again and takes its time holds no log',
  async () => {
    const dataDir = scratchFolder();
    const file = `${dataDir}-fails`;
    writeFileSync(file, '');
    const runtime = await start({ dataDir, messages: { retry: { attempts: 1 } } });
    await runtime.ref(Courier, 'from').send('slow', ['a'], 'takeWhen', file);
    await until(
      () => runtime.status().messageDeadLetters,
      (count) => count === 1,
    );
    await runtime.close();

    // Requested before the start, and at once after it.
    const second = await start({ dataDir, messages: { retry: { attempts: 1 } } });
    rmSync(file);
    await second.deadLetters.messages.requeue({ aggregateId: 'slow' });
    await second.ref(Courier, 'many').fillOthers(fillers, bytes);
    await underWay(second, 1);
    writeFileSync(`${file}-ends-a`, '');
    await underWay(second, 0);
    expect([await taken(second, 'slow'), await fillings(second, 'many')]).toEqual([['a'], new Set([1])]);
  },
  patienceMs,
);

test(
  'users wait where more waits beside the log than it would hold; messages do not',
  async () => {
    const runtime = await start({ flush: { ...flush, whenFull: 'reject' } });
    const go = `${scratchFolder()}-go`;
    await runtime.ref(Courier, 'from').send('slow', [go], 'waitFor');
    const more = (): Promise<boolean> =>
      runtime
        .ref(Courier, 'from')
        .send('slow', ['x'.repeat(bytes)])
        .then(
          () => true,
          (error) => {
            if (error.code !== 'LogFull') throw error;
            return false;
          },
        );
    let sent = 1;
    for (let tries = (8 * log.maxBytes) / bytes; tries > 0; tries--) if (await more()) sent++;
    expect(sent * bytes).toBeLessThan(2 * log.maxBytes);
    writeFileSync(go, '');
    await underWay(runtime, 0);
    expect((await runtime.store.getByAggregate(Courier, 'slow')).length).toBe(sent);
    await until(more, (isIn) => isIn);
  },
  patienceMs,
);
