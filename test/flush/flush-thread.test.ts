// The flush thread as it is, on a real log and a real store; this test plays the log thread and the sync thread.
import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { embeddedStore } from '../../src/adapters/lmdb/store/description.ts';
import { dataFileOf } from '../../src/adapters/lmdb/store/environment.ts';
import { openEmbeddedReader } from '../../src/adapters/lmdb/store/reader.ts';
import { Thread } from '../../src/base/thread.ts';
import type { FlushThreadData, FlushThreadReport } from '../../src/flush/contract.ts';
import type { SinkOptions } from '../../src/flush/sink-options.ts';
import { ChunkBuilder } from '../../src/log/chunk.ts';
import { LogWriter } from '../../src/log/lmdb.ts';
import { Signal, StopStage } from '../../src/shared/control-block.ts';
import { TestControlBlock } from '../control-block.ts';
import { chunkOf, type Group, temporaryFolder } from '../store/sample.ts';

const mapBytes = 64 << 20;

let dataDir: string;
let control: TestControlBlock;
let log: { append(...groups: Group[]): void };
let last: number;

beforeEach(() => {
  dataDir = temporaryFolder(onTestFinished);
  control = new TestControlBlock();
  const writer = LogWriter.open(dataDir, mapBytes);
  onTestFinished(() => writer.close());
  const identity = { logId: '00000000000000aa', number: 1, seed: 1 };
  const builder = new ChunkBuilder(identity, 0, 1 << 20, 1 << 20);
  last = 0;
  log = {
    append(...groups) {
      const { frames, count } = chunkOf(last + 1, groups);
      builder.begin(last + 1);
      builder.add(frames, 0, frames.length, count);
      writer.append(last + 1, builder.seal(0));
      last += count;
      control.publish('written', last);
    },
  };
});

async function start(sinks: SinkOptions[] = [], stopGraceMs = 100) {
  const bells = new MessageChannel();
  const callers = new MessageChannel();
  let rung = 0;
  callers.port1.on('message', () => rung++);
  const data: FlushThreadData = {
    controlBlock: control.memory,
    logFolder: dataDir,
    mapBytes,
    local: embeddedStore(dataDir),
    dataDir,
    logId: 'log-1',
    lost: [],
    sinks,
    stream: undefined,
    events: [],
    stopGraceMs,
    syncPort: bells.port2,
    hostPort: callers.port2,
  };
  control.publish('begun', control.position('written') + 1);
  const base = new URL('../../src/flush/host.ts', import.meta.url).href;
  const { port, ended } = new Thread('flush', './flush-thread', base, data, [bells.port2, callers.port2]);
  const reports: FlushThreadReport[] = [];
  port.on('message', (message: FlushThreadReport) => reports.push(message));
  const notifier = control.notifier(Signal.flushNotifier, bells.port1);
  const find = <T extends FlushThreadReport['type']>(type: T) =>
    reports.find((message): message is Extract<FlushThreadReport, { type: T }> => message.type === type);
  onTestFinished(async () => {
    await stop();
  });
  async function stop(): Promise<void> {
    control.setFlag(Signal.stopping, StopStage.flush);
    port.postMessage(null);
    await ended;
    bells.port1.close();
    callers.port1.close();
  }
  await until(() => find('ready') !== undefined || find('failed') !== undefined);
  return {
    port,
    reports,
    find,
    stop,
    sync(): void {
      control.publish('synced', last);
      notifier.notify();
    },
    get rung(): number {
      return rung;
    },
  };
}

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await setImmediate();
};

const fileSink = (name: string, options?: object): SinkOptions => ({
  name,
  module: new URL('./file-sink.ts', import.meta.url).href,
  options,
});

interface Line {
  events: { position: number; version: number }[];
  checkpoint: number;
}
const linesOf = (name: string): Line[] => {
  const file = join(dataDir, `${name}.jsonl`);
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
};
const positionsOf = (name: string): number[] => linesOf(name).flatMap(({ events }) => events.map((e) => e.position));
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('the flush thread', () => {
  test('brings the store and every sink to what is synced, says so, and drains when it stops', async () => {
    log.append([{ version: 1 }]);
    control.publish('synced', last);
    const thread = await start([fileSink('mine')]);
    expect(thread.find('ready')!.checkpoints).toEqual({ store: 0, mine: 0 });
    await until(() => control.position('stored') === 1 && control.position('floor') === 2);
    control.setFlag(Signal.awaitsStored, 1);
    control.parkerOf(Signal.hostNotifier).arm(() => false);
    for (let version = 2; version <= 50; version++) {
      log.append([{ version }]);
      thread.sync();
    }
    await until(() => control.position('stored') === 50 && thread.rung > 0);
    log.append([{ version: 51 }, { version: 52 }]); // written, not synced yet
    control.publish('synced', last);
    await thread.stop();
    expect(control.position('stored')).toBe(52);
    expect(control.position('floor')).toBe(53);
    expect(positionsOf('mine')).toEqual(range(1, 52));
    expect(existsSync(join(dataDir, 'mine.jsonl.closed'))).toBe(true);
    const reader = openEmbeddedReader(dataDir);
    expect(reader.head('call', 'a')).toEqual({ version: 52, position: 52 });
    await reader.close();
    expect(thread.reports.filter(({ type }) => type === 'sink-error')).toEqual([]);
  });

  test('reads no further than what is synced, also when it drains', async () => {
    for (let version = 1; version <= 3; version++) log.append([{ version }]);
    control.publish('written', last);
    control.publish('synced', 1);
    const thread = await start([fileSink('mine')]);
    await thread.stop();
    expect(control.position('stored')).toBe(1);
    expect(positionsOf('mine')).toEqual([1]);
  });

  test('goes on where each sink had come to', async () => {
    log.append([{ version: 1 }], [{ version: 2 }]);
    control.publish('synced', last);
    await (await start([fileSink('mine')])).stop();
    control.setFlag(Signal.stopping, 0);
    log.append([{ version: 3 }]);
    control.publish('synced', last);
    const thread = await start([fileSink('mine'), fileSink('new')]);
    expect(thread.find('ready')!.checkpoints).toEqual({ store: 2, mine: 2, new: 0 });
    await thread.stop();
    expect([positionsOf('mine'), positionsOf('new')]).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
  });

  test('a sink that fails stops nobody, keeps what it needs in the log, and catches up', async () => {
    const failWhile = join(dataDir, 'away');
    writeFileSync(failWhile, '');
    const thread = await start([fileSink('mine', { failWhile }), fileSink('other')]);
    for (let version = 1; version <= 5; version++) log.append([{ version }]);
    thread.sync();
    await until(() => control.position('stored') === 5 && linesOf('other').at(-1)?.checkpoint === 5);
    await until(() => thread.find('sink-error') !== undefined);
    const { name, error, retryInMs } = thread.find('sink-error')!;
    expect([name, error.code, retryInMs! > 0]).toEqual(['mine', 'SinkFailed', true]);
    expect(error.message).toContain('the broker is away');
    expect(control.position('floor')).toBe(1);
    thread.port.postMessage({ type: 'status' });
    await until(() => thread.find('status') !== undefined);
    expect(thread.find('status')!.sinks).toMatchObject({
      store: { state: 'running', position: 5, lag: 0 },
      mine: { state: 'retrying', position: 0, lag: 5, lastError: { code: 'SinkFailed' } },
    });
    rmSync(failWhile);
    await until(() => control.position('floor') === 6);
    expect(positionsOf('mine')).toEqual([1, 2, 3, 4, 5]);
  });

  test('a version out of order stops the store by name, and the rest goes on', async () => {
    const thread = await start([fileSink('mine')]);
    log.append([{ version: 1 }]);
    log.append([{ version: 3 }]);
    thread.sync();
    await until(() => thread.find('sink-error') !== undefined && linesOf('mine').at(-1)?.checkpoint === 2);
    expect(thread.find('sink-error')).toMatchObject({
      name: 'store',
      error: { code: 'VersionOutOfOrder' },
      retryInMs: undefined,
    });
    expect(control.position('stored')).toBe(0);
    expect(control.position('floor')).toBe(1);
  });

  test.each([
    ['cannot be imported', new URL('./nowhere.ts', import.meta.url).href, /createSink failed/],
    ['has no createSink', new URL('../store/sample.ts', import.meta.url).href, /exports no function createSink/],
    ['makes what is no sink', new URL('./no-sink.ts', import.meta.url).href, /open, write and close/],
  ])('a module that %s is refused at the start', async (_, module, message) => {
    const thread = await start([{ name: 'mine', module }]);
    expect(thread.find('failed')!.error).toMatchObject({
      code: 'InvalidOptions',
      message: expect.stringMatching(message),
    });
    await thread.stop();
  });

  test('a store ahead of the log is refused: what comes next would be skipped', async () => {
    log.append([{ version: 1 }], [{ version: 2 }]);
    control.publish('synced', last);
    await (await start()).stop();
    control.setFlag(Signal.stopping, 0);
    control.publish('synced', 1);
    control.publish('written', 1);
    const thread = await start();
    expect(thread.find('failed')!.error).toMatchObject({ code: 'LogDamaged' });
  });

  test('a damaged store is refused, and takes nobody with it', async () => {
    for (let version = 1; version <= 500; version++) log.append([{ version }]);
    control.publish('synced', last);
    await (await start()).stop();
    control.setFlag(Signal.stopping, 0);
    truncateSync(dataFileOf(dataDir), 40_960);
    const thread = await start();
    expect(thread.find('failed')!.error).toMatchObject({ code: 'StoreDamaged' });
  });
});

test.each([{ hang: true }, { leak: true }])(
  'a sink that %o does not keep the thread',
  { timeout: 30_000 },
  async (options) => {
    const thread = await start([fileSink('mine', options)]);
    log.append([{ version: 1 }]);
    thread.sync();
    await until(() => control.position('stored') === 1);
    await thread.stop();
  },
);

test('nobody waits for a sink any longer once close has given up', { timeout: 30_000 }, async () => {
  const thread = await start([fileSink('mine', { hang: true })], 3_600_000);
  log.append([{ version: 1 }]);
  thread.sync();
  await until(() => control.position('stored') === 1);
  const stopped = thread.stop();
  control.setFlag(Signal.abandoned, 1);
  await stopped;
});
