// Which of those that are in hand when the process ends is found to be the reason, and which are not blamed.
import { mkdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { LmdbTables } from '../../src/adapters/lmdb/handlers/tables.ts';
import { StateTables } from '../../src/handler-state/handler-state.ts';
import { InHand } from '../../src/handler-state/in-hand.ts';
import type { Turn } from '../../src/wire/care.ts';
import { scratchFolder } from '../runtime/scratch.ts';

const never = new AbortController().signal;
const names = Array.from({ length: 40 }, (_, i) => `e${i}`);

/** What the entries say is all that one life of a process leaves to the next. */
class Lives {
  readonly handlerState: StateTables;

  constructor() {
    const folder = scratchFolder();
    mkdirSync(folder, { recursive: true });
    const settings = { checkpointDelayMs: 0, stagedChangesLimit: 1000, onError() {} };
    this.handlerState = new StateTables(() => LmdbTables.open(folder), settings);
  }

  /**
   * One life: each of `open` is executed in its turn, by `execute`, which says whether it comes to an end; `undefined`: the
   * process ends. Returns how many ends each was charged with at the start.
   */
  async next(
    open: readonly string[],
    execute: (name: string) => boolean | undefined,
    turnMs = 60_000,
  ): Promise<Record<string, number>> {
    const care = new InHand(this.handlerState, () => {}, turnMs);
    await care.load(100, true, () => false);
    const deaths: Record<string, number> = {};
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const death = new AbortController();
    const all = open.map(async (name) => {
      const turn = care.of('s', name, 1)!;
      deaths[name] = turn.deaths;
      await turn.begin(death.signal);
      if (death.signal.aborted) return;
      const isDone = execute(name);
      if (isDone) turn.end();
      if (isDone !== undefined) return;
      death.abort();
      end();
    });
    await Promise.race([ended, Promise.all(all)]);
    await this.handlerState.durable();
    return deaths;
  }
}

test('of many side by side the one is found, and none of the others is charged', async () => {
  const lives = new Lives();
  let begun = 0;
  const first = await lives.next(names, () => (++begun === names.length ? undefined : false)); // all are in hand
  expect(Object.values(first).every((deaths) => deaths === 0)).toBe(true);
  let charged: Record<string, number> = {};
  for (let life = 0; life < 4; life++) {
    charged = await lives.next(names, (name) => (name === 'e20' ? undefined : true));
  }
  const { e20, ...others } = charged;
  expect(e20).toBe(3);
  expect(Object.values(others).every((deaths) => deaths === 0)).toBe(true);
});

test('what runs for long is beside every end, and is not taken for the reason', async () => {
  const lives = new Lives();
  const execute = (name: string): boolean | undefined =>
    name === 'long' ? false : name === 'deadly' ? undefined : true;
  let charged: Record<string, number> = {};
  for (let life = 0; life < 8; life++) charged = await lives.next(['long', 'deadly', 'quick'], execute, 1);
  expect(charged.deadly).toBeGreaterThan(4);
  expect(charged.long).toBeLessThan(2);
  expect(charged.quick).toBe(0);
});

test('what is left to another run is charged with nothing, and an end in order forgets all', async () => {
  const { handlerState } = new Lives();
  const first = new InHand(handlerState, () => {});
  await first.load(100, true, () => false);
  const turns = ['left', 'ended', 'open'].map((name): Turn => first.of('s', name, 100)!);
  await Promise.all(turns.map((turn) => turn.begin(never)));
  turns[0]!.leave();
  turns[1]!.end();
  const second = new InHand(handlerState, () => {});
  expect(await second.load(100, true, () => false)).toEqual(['s\0open']);
  expect(second.of('s', 'open', 100)!.deaths).toBe(1);
  expect(second.of('s', 'later', 101)).toBeUndefined();
  second.forget();
  const third = new InHand(handlerState, () => {});
  expect(await third.load(100, true, () => false)).toEqual([]);
  await handlerState.close();
});

test('one that waits for its turn goes when its signal aborts', async () => {
  const { handlerState } = new Lives();
  const care = new InHand(handlerState, () => {});
  await care.load(100, true, () => false);
  const hanging = care.of('s', 'a', 1)!;
  await hanging.begin(never);
  const earlier = new InHand(handlerState, () => {}, 60_000);
  await earlier.load(100, true, () => false);
  const [suspect, other] = [earlier.of('s', 'a', 1)!, earlier.of('s', 'b', 1)!];
  await other.begin(never);
  const stop = new AbortController();
  const waiting = suspect.begin(stop.signal);
  stop.abort();
  await waiting;
  expect(
    (await handlerState.range('in-hand')).map(({ key, value }) => [key, (value as { isRunning: boolean }).isRunning]),
  ).toEqual([
    ['s\0a', false],
    ['s\0b', true],
  ]);
  await handlerState.close();
});

test('what was in hand at two ends is charged also beside others, and stays charged when it is left', async () => {
  const { handlerState } = new Lives();
  const life = async (): Promise<Turn[]> => {
    const care = new InHand(handlerState, () => {}, 1); // the next one begins beside the first
    await care.load(100, true, () => false);
    const turns = ['a', 'b'].map((name) => care.of('s', name, 1)!);
    await Promise.all(turns.map((turn) => turn.begin(never)));
    return turns;
  };
  const deathsOf = (turns: Turn[]): number[] => turns.map(({ deaths }) => deaths);
  expect(deathsOf(await life())).toEqual([0, 0]);
  expect(deathsOf(await life())).toEqual([0, 0]);
  const charged = await life();
  expect(deathsOf(charged)).toEqual([1, 1]);
  charged[0]!.leave();
  charged[1]!.end();
  expect(deathsOf(await life())).toEqual([1, 0]);
  await handlerState.close();
});

test('an entry that is not whole counts as none, and the others keep their care', async () => {
  const lives = new Lives();
  await lives.next(['a', 'b'], (name) => (name === 'a' ? undefined : false));
  const kept: string[] = [];
  for await (const { key } of lives.handlerState.entries('in-hand')) kept.push(key);
  expect(kept).toHaveLength(2);
  const broken = kept.find((key) => key.includes('b'))!;
  lives.handlerState.stage('in-hand', broken, { deaths: 'many' });
  await lives.handlerState.durable();
  const care = new InHand(lives.handlerState, () => {});
  expect(await care.load(100, true, () => false)).toEqual([expect.stringContaining('a')]);
});
