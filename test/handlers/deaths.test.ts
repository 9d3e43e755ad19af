// A message, or an event for a handler, that ends the process at every start: after its attempts it is a dead letter. What lies
// beside it is carried out once, and is never one.
import { cpSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Runtime, StoredEvent } from '../../src/index.ts';
import { runChild } from '../fault/child.ts';
import { Courier } from '../runtime/courier.ts';
import { scratchFolder, startSmall as startRuntime, until } from '../runtime/scratch.ts';
import type { DeadlyEnd, DeadlySettings } from './deadly-service.ts';

const innocents = 4;
/** Up to eight lives of a process, on a machine that others load. */
const boundMs = 240_000;

test('what ends the process at each start is a dead letter in the end, and nothing else is', {
  timeout: boundMs,
}, async () => {
  const dataDir = scratchFolder();
  const ends: (number | NodeJS.Signals)[] = [];
  let lines: DeadlyEnd[] = [];
  while (ends.at(-1) !== 0) {
    const argument: DeadlySettings = { dataDir, innocents, begins: ends.length === 0 };
    const child = await runChild<DeadlyEnd>({ program: '../handlers/deadly-service.ts', argument, boundMs: 60_000 });
    ends.push(child.end);
    lines = child.lines;
    expect([child.timedOut, ends.length > 12], child.trouble).toEqual([false, false]);
  }
  const once = Object.fromEntries(Array.from({ length: innocents }, (_, i) => [`innocent-${i}`, 1]));
  expect(lines).toMatchObject([
    {
      took: { ...once, deadly: 0 },
      letters: [{ position: 1, reason: 'failed', code: 'ProcessEnded', attempts: 2 }],
      messages: [
        { command: 'end', reason: 'failed', code: 'ProcessEnded', attempts: 2 },
        { command: 'take', reason: 'behind', attempts: 0 },
      ],
    },
  ]);
  expect(lines[0]!.handled).toEqual(once);
  expect(new Set(ends)).toEqual(new Set(['SIGKILL', 1, 0]));
});

/** The directory as a process would leave it that ended now. */
function imageOf(dataDir: string): string {
  const image = scratchFolder();
  cpSync(dataDir, image, { recursive: true });
  return image;
}

test.each([
  ['events, in batches', true],
  ['messages', false],
])(
  'dead letters that are tried again, and end it then, are dead letters once more: %s',
  { timeout: boundMs },
  async (_, areEvents) => {
    let dataDir = scratchFolder();
    const file = `${dataDir}-fails`;
    const runs = `${file}-runs-a`;
    const gate = Promise.withResolvers<void>();
    let isBroken = areEvents;
    async function handle([event]: readonly StoredEvent[]): Promise<void> {
      if (event?.type !== 'Sent') return;
      if (isBroken) throw new Error('broken');
      if (areEvents) writeFileSync(runs, '');
      if (areEvents) await gate.promise;
    }
    const start = async (): Promise<Runtime> => {
      const messages = { retry: { attempts: 1 } };
      const runtime = await startRuntime({ dataDir, aggregates: [Courier], shards: 1, messages });
      runtime.subscribe({ name: 'deadly', retry: { attempts: 1 }, batch: { max: 10 }, handle } as never);
      return runtime;
    };
    const letters = (runtime: Runtime): Promise<readonly { reason: string; attempts: number; error?: object }[]> =>
      areEvents ? runtime.deadLetters.list() : runtime.deadLetters.messages.list();
    writeFileSync(file, '');
    const first = await start();
    await first.ref(Courier, 'from').send('to', ['a'], areEvents ? 'refuse' : 'takeWhen', file);
    await until(
      async () => (await letters(first)).length,
      (count) => count === 1,
    );
    await first.close();
    isBroken = false;
    rmSync(file);
    // In order, then at least twice not: a mark that a slow disk does not take in time costs one more.
    let lives = 0;
    for (; lives < 8; lives++) {
      const runtime = await start();
      if (lives === 0 && areEvents) await runtime.deadLetters.requeue({ all: true });
      if (lives === 0 && !areEvents) await runtime.deadLetters.messages.requeue({ reason: 'failed' });
      const [letter] = await until(
        () => letters(runtime),
        ([one]) => existsSync(runs) || one?.attempts === 3,
        60_000,
      );
      if (letter?.attempts === 3) {
        expect(letter).toMatchObject({ reason: 'failed', error: { code: 'ProcessEnded' } });
        break;
      }
      dataDir = imageOf(dataDir);
      rmSync(runs);
    }
    expect(lives).toBeGreaterThanOrEqual(3);
    expect(lives).toBeLessThan(8);
    expect(existsSync(runs)).toBe(false);
    gate.resolve();
    writeFileSync(`${file}-ends-a`, '');
  },
);
