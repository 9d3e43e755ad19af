// Bells between real threads; rings between them: test/fault/ring.ts.
import { MessageChannel } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { runAll } from './run-threads.ts';

const overallMs = 40_000;

test('a bell rung by two threads always wakes its sleeper, blocked or in its event loop', async () => {
  const words = new SharedArrayBuffer(16 * 4);
  const count = 20_000;
  const channels = [new MessageChannel(), new MessageChannel()];
  const job = { words, ringers: 2, count };
  const roles = [
    ...channels.map(({ port1 }, index) => ({
      role: 'ringer' as const,
      ...job,
      index,
      ports: [port1],
      seed: 11 + index,
    })),
    { role: 'sleeper' as const, ...job, index: 0, ports: channels.map(({ port2 }) => port2), seed: 5 },
  ];
  const [first, second, sleeps] = await runAll(roles, overallMs);
  expect([first, second]).toEqual([count, count]);
  expect(sleeps).toBeGreaterThan(1000);
});
