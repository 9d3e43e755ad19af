// Snapshots beside commands that are as large as a command may be.
import { expect, test } from 'vitest';
import { Hoard, SlowHoard } from './hoard.ts';
import { scratchFolder, startRuntime } from './scratch.ts';

test.each([
  ['every command', Hoard],
  ['every third', SlowHoard],
])('a command succeeds whenever its own frames and reply fit, with a snapshot due at %s', async (_, definition) => {
  const options = { dataDir: scratchFolder(), aggregates: [Hoard, SlowHoard], shards: 1, flush: { ringBytes: 65536 } };
  const runtime = await startRuntime(options);
  const hoard = runtime.ref(definition, 'a');
  await hoard.keep('ä'.repeat(3500));
  let version = 1;
  for (const text of ['x'.repeat(20_000), 'x'.repeat(26_000)]) {
    for (const command of ['pass', 'passLater'] as const) {
      for (const key of [undefined, 'once']) {
        const idempotencyKey = key && `${key}-${version}`;
        const returned = key ? 2500 : 6000;
        const sent = hoard.with(idempotencyKey ? { idempotencyKey } : {});
        for (let i = 0; i < (key ? 1 : 3); i++) {
          expect((await sent[command](text, returned)).version).toBe(++version);
        }
      }
    }
  }
  expect((await hoard.pass('small', 1)).version).toBe(++version);
  await runtime.close();
  const again = await startRuntime(options);
  expect((await again.ref(definition, 'a').pass('small', 1)).version).toBe(version + 1);
});
