// A log whose disk others have filled: what it keeps for its retention alone makes room for what comes.
import { MessageChannel } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import { mapBytesFor } from '../../src/log/lmdb.ts';
import type { RetentionNews } from '../../src/log/log.ts';
import { LogThreads } from '../../src/log/threads.ts';
import { Signal, StopStage } from '../../src/shared/control-block.ts';
import { RingConsumer } from '../../src/shared/ring/consumer.ts';
import { RingProducer } from '../../src/shared/ring/producer.ts';
import { createRing, GroupKind, RingMemory } from '../../src/shared/ring/ring.ts';
import { FrameKind } from '../../src/wire/frame.ts';
import { TestControlBlock } from '../control-block.ts';
import { SmallDisk } from '../small-disk.ts';
import { removeTemporaryFolders, temporaryFolder } from './sample-log.ts';

afterEach(removeTemporaryFolders);

const ringBytes = 1 << 20;
const text = JSON.stringify('x'.repeat(32_000));

test('a full disk costs the log what it retains, not what comes', async () => {
  using disk = SmallDisk.mount(64 << 20, temporaryFolder());
  const control = new TestControlBlock();
  const maxBytes = 48 << 20;
  const flush = new MessageChannel();
  const isFull: boolean[] = [];
  const news: RetentionNews[] = [];
  const log = await LogThreads.start(
    {
      folder: `${disk.path}/log`,
      mapBytes: mapBytesFor(maxBytes),
      maxBytes,
      admitBytes: maxBytes,
      batchBytesLimit: 1 << 18,
      groupLimit: new RingMemory(createRing(ringBytes)).groupLimit,
      retainMs: 3_600_000,
      retainBytes: 32 << 20,
      bootId: 'this boot',
    },
    control,
    {
      wake() {},
      poisoned: (cause) => expect.unreachable(cause),
      diskFull: (is) => isFull.push(is),
      retention: (one) => news.push(one),
    },
    flush.port2,
  );
  control.setFlag(Signal.batchBytes, 1 << 18);
  control.setFlag(Signal.syncIntervalMs, 1);
  const ring = createRing(ringBytes);
  log.attach(ring);
  const reader = new RingConsumer(ring);
  const notifier = control.notifier(Signal.logNotifier);
  const producer = new RingProducer(ring, () => false);
  const said = () => ({ isGivenUp: control.flag(Signal.retentionGivenUp) });
  let position = 0;
  /** One event after the other; all that read the log have it at once. */
  const write = async (bytes: number): Promise<void> => {
    for (const end = position + bytes / text.length; position < end && isFull.length === 0; ) {
      producer.frame(FrameKind.event, 1, 0, ++position, 'counter', 'c', 'Added', '', text);
      producer.publish(GroupKind.reply, 0, 0, 1, '');
      notifier.notify();
      while (control.position('written') < position && isFull.length === 0) await new Promise(setImmediate);
      while (reader.take(reader.written()));
      reader.release();
      control.publish('floor', position);
      control.publish('settled', position);
    }
  };
  try {
    await write(12 << 20);
    expect({ news, ...said() }).toEqual({ news: [], isGivenUp: 0 });
    const before = position;
    disk.fill();
    await write(200 << 20);
    expect(isFull).toEqual([]);
    expect({ news, ...said() }).toMatchObject({ news: [{ isGivenUp: true, fromPosition: 1 }], isGivenUp: 1 });
    expect(news[0]!.toPosition).toBeGreaterThan(before);
    const filled = position;
    disk.free();
    await write(40 << 20);
    expect(isFull).toEqual([]);
    expect({ news: news.slice(1), ...said() }).toMatchObject({ news: [{ isGivenUp: false }], isGivenUp: 0 });
    expect(news[1]!.toPosition).toBeGreaterThanOrEqual(filled);
    expect(news[1]!.fromPosition).toBeGreaterThan(news[0]!.toPosition);
  } finally {
    control.setFlag(Signal.abandoned, 1);
    control.setFlag(Signal.stopping, StopStage.log);
    await log.logEnded();
    control.setFlag(Signal.stopping, StopStage.sync);
    await log.syncEnded();
    flush.port1.close();
  }
});
