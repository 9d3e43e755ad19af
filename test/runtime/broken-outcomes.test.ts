// One outcome of a command that cannot be understood fails the command that asks for it, and nothing else: not the start, not
// the shard, not the flush, no other message.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openEnvironment } from '../../src/adapters/lmdb/store/environment.ts';
import { openEmbeddedReader } from '../../src/adapters/lmdb/store/reader.ts';
import { EmbeddedSink } from '../../src/adapters/lmdb/store/sink.ts';
import { readLastRun } from '../../src/dispatch/last-run.ts';
import { messageKeyPrefix } from '../../src/model/receipt.ts';
import { OutcomeCache } from '../../src/shard/outcome-cache.ts';
import { TailIndex } from '../../src/shard/tail-index.ts';
import { FrameKind } from '../../src/wire/frame.ts';
import { batchOf, MemoryLog, temporaryFolder } from '../store/sample.ts';
import { Counter } from './aggregates.ts';
import { errorOf, scratchFolder, startRuntime } from './scratch.ts';

const id = (n: number): string => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;
const whole = { events: 0, expiresAt: 5 };
const outcome = (name: string, data: unknown) => ({ kind: FrameKind.receipt, version: 1, name, data });

test('a shard that starts reads what the log has of outcomes, and fails the one key alone', () => {
  const log = new MemoryLog();
  log.append([outcome('a', whole)], [outcome('b', { events: 'many' })], [outcome('c', whole)]);
  const index = new TailIndex(log, 1, log.last, () => true);
  const of = (key: string): unknown => index.outcome(OutcomeCache.key('call', 'a', key));
  expect([of('a'), of('c'), of('none')]).toEqual([{ version: 1, outcome: whole }, of('a'), undefined]);
  expect(() => of('b')).toThrow(expect.objectContaining({ code: 'RecordInvalid' }));
});

test('a message whose outcome is broken counts as carried out, and says why; all others are read', async () => {
  const log = new MemoryLog();
  const [a, b, c] = [1, 2, 3].map((n) => `${messageKeyPrefix}${id(n)}`) as [string, string, string];
  log.append([outcome(a, whole)], [outcome(b, 'odd')], [outcome(c, whole)]);
  const { carriedOut } = await readLastRun(log, 1, log.last);
  expect([1, 2, 3, 4].map((n) => carriedOut.has(id(n)))).toEqual([true, true, true, false]);
  expect([1, 2, 3].map((n) => carriedOut.get(id(n))?.code)).toEqual([undefined, 'RecordInvalid', undefined]);
});

test('the store takes a broken outcome with what is beside it, and keeps it for the command that asks', async () => {
  const folder = temporaryFolder(onTestFinished);
  const sink = new EmbeddedSink(folder, 'log-1');
  await sink.open();
  const reader = openEmbeddedReader(folder);
  sink.write(batchOf(1, [[{ version: 1 }], [outcome('b', 'odd')], [{ version: 2 }]]));
  for (let n = 0; n < 20; n++) sink.write(batchOf(4 + n, [[outcome(`k${n}`, whole)]]));
  expect(reader.load('call', 'a', 'f')?.version).toBe(2);
  expect(() => reader.receipt('call', 'a', 'b')).toThrow(expect.objectContaining({ code: 'RecordInvalid' }));
  await reader.close();
  await sink.close();
});

test('a command whose outcome is broken in the store is refused, and its shard lives', async () => {
  const dataDir = scratchFolder();
  const options = { dataDir, shards: 1 };
  const before = await startRuntime(options);
  await (await before.ref(Counter, 'a').with({ idempotencyKey: 'k' }).add(5)).reached('stored');
  await before.close();
  const environment = openEnvironment(join(dataDir, 'store'), false);
  for (const { key, value } of environment.receipts.getRange({}))
    await environment.receipts.put(
      key,
      Buffer.from(Buffer.from(value).toString('latin1').replace('"events"', '"evonts"'), 'latin1'),
    );
  await environment.root.close();
  rmSync(join(dataDir, 'store', 'clean')); // else its bytes are compared
  const runtime = await startRuntime(options);
  const counter = runtime.ref(Counter, 'a');
  const error = await errorOf(counter.with({ idempotencyKey: 'k' }).add(5));
  expect(error).toMatchObject({ code: 'RecordInvalid' });
  expect((await counter.add(1)).value).toBe(6);
});
