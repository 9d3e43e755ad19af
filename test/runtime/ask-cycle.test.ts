// Questions whose asker is waited for by whom they are put to: named at once, with the chain. What is no cycle is answered.
import { describe, expect, test } from 'vitest';
import { shardOf } from '../../src/shard/contract.ts';
import { Counter } from './aggregates.ts';
import { errorOf, startRuntime, until } from './scratch.ts';

const chainOf = (ids: readonly string[]): unknown[] =>
  ids.map((aggregateId) => ({ aggregateType: 'counter', aggregateId }));

/** So many ids, neighbours on different shards where there are several. */
function idsOver(shards: number, count: number, prefix = 'n'): string[] {
  const ids: string[] = [];
  for (let i = 0; ids.length < count; i++) {
    if (shardOf('counter', `${prefix}${i}`, shards) === ids.length % shards) ids.push(`${prefix}${i}`);
  }
  return ids;
}

describe.each([1, 3])('%i shard(s)', (shards) => {
  test('a cycle is named with its chain, and leaves everybody as they were', async () => {
    const runtime = await startRuntime({ shards });
    for (const length of [2, 3, 5]) {
      const ids = idsOver(shards, length);
      const [first, ...rest] = ids as [string, ...string[]];
      const error = await errorOf(runtime.ref(Counter, first).askAlong([...rest, first]));
      expect(error).toMatchObject({ code: 'AskCycle', details: { chain: chainOf([...ids, first]) } });
      expect(error.message).toContain(`counter/${first} asks counter/${rest[0]}`);
      for (const id of ids) expect((await runtime.ref(Counter, id).total()).version).toBe(0);
    }
  });

  test('the chain begins where the cycle does, and an asker may catch it and go on', async () => {
    const runtime = await startRuntime({ shards });
    const [a, b, c] = idsOver(shards, 3) as [string, string, string];
    const error = await errorOf(runtime.ref(Counter, a).askAlong([b, c, b]));
    expect(error).toMatchObject({ code: 'AskCycle', details: { chain: chainOf([b, c, b]) } });
    expect((await runtime.ref(Counter, a).catchAlong([b, c, a])).value).toBe('AskCycle');
    expect((await runtime.ref(Counter, a).total()).value).toBe(1);
    expect((await runtime.ref(Counter, b).total()).version).toBe(0);
  });

  test('a diamond, a repetition and a long chain are no cycles', async () => {
    const runtime = await startRuntime({ shards });
    const [a, b, c, d] = idsOver(shards, 4) as [string, string, string, string];
    expect((await runtime.ref(Counter, a).askAlongEach([[b, d], [c, d], [d]])).value).toBe(5);
    expect((await runtime.ref(Counter, d).total()).value).toBe(3);
    expect((await runtime.ref(Counter, d).askAlong([b, a])).value).toBe(3);
    // Longer than what a frame says of a chain.
    const [first, ...rest] = idsOver(shards, 40, 'long') as [string, ...string[]];
    expect((await runtime.ref(Counter, first).askAlong(rest)).value).toBe(40);
    const error = await errorOf(runtime.ref(Counter, first).askAlong([...rest, rest.at(-2)!]));
    expect(error).toMatchObject({ code: 'AskCycle', details: { chain: chainOf([...rest.slice(-2), rest.at(-2)!]) } });
  });

  test('a message waits for nobody: whom it goes to may ask its sender', async () => {
    const runtime = await startRuntime({ shards });
    const [a, b] = idsOver(shards, 2) as [string, string];
    await runtime.ref(Counter, a).sendAlong([b, a]);
    await until(
      () => runtime.status().messagesUnderWay,
      (count) => count === 0,
    );
    for (const id of [a, b]) expect((await runtime.ref(Counter, id).total()).value).toBe(1);
  });
});

test('the longest addresses fit the smallest ring', async () => {
  const runtime = await startRuntime({ flush: { ringBytes: 1 << 16 } });
  const [first, ...rest] = Array.from({ length: 40 }, (_, i) => `${i}`.padStart(255, 'x')) as [string, ...string[]];
  expect((await runtime.ref(Counter, first).askAlong(rest.slice(0, 34))).value).toBe(35);
  const error = await errorOf(runtime.ref(Counter, first).askAlong([...rest.slice(0, 34), rest[3]!]));
  expect(error.code).toBe('AskCycle');
});
