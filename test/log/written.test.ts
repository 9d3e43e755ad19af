// What the log thread tells its readers, and in which order.
import { MessageChannel } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import { mapBytesFor } from '../../src/log/lmdb.ts';
import { LogThreads } from '../../src/log/threads.ts';
import { Signal, StopStage } from '../../src/shared/control-block.ts';
import { RingConsumer } from '../../src/shared/ring/consumer.ts';
import { RingProducer } from '../../src/shared/ring/producer.ts';
import { createRing, GroupKind, RingMemory } from '../../src/shared/ring/ring.ts';
import { FrameKind } from '../../src/wire/frame.ts';
import { TestControlBlock } from '../control-block.ts';
import { removeTemporaryFolders, temporaryFolder } from './sample-log.ts';

afterEach(removeTemporaryFolders);

const ringBytes = 1 << 20;
const spinBoundMs = 10_000;

/** Looks as closely as a thread can, and not for ever: a log that has failed moves no more. */
function spinUntil(holds: () => boolean): void {
  const end = performance.now() + spinBoundMs;
  while (!holds()) if (performance.now() > end) throw new Error('the log stands still');
}

// Whoever reads the rings goes by the level: what it has not found there up to that position has never been, messages to
// other aggregates among it. A ring that tells later loses them.
test('`appended`, then the ring, then `written`: whoever sees one of them finds those before it', async () => {
  const control = new TestControlBlock();
  const maxBytes = 64 << 20;
  const flush = new MessageChannel();
  const log = await LogThreads.start(
    {
      folder: temporaryFolder(),
      mapBytes: mapBytesFor(maxBytes),
      maxBytes,
      admitBytes: maxBytes,
      batchBytesLimit: 1 << 16,
      groupLimit: new RingMemory(createRing(ringBytes)).groupLimit,
      retainMs: 0,
      retainBytes: 1 << 20,
      bootId: 'this boot',
    },
    control,
    { wake() {}, poisoned: (cause) => expect.unreachable(cause), diskFull() {}, retention() {} },
    flush.port2,
  );
  control.setFlag(Signal.batchBytes, 1 << 16);
  control.setFlag(Signal.syncIntervalMs, 1000);
  control.setFlag(Signal.spinMicros, 1000);
  const ring = createRing(ringBytes);
  log.attach(ring);
  const reader = new RingConsumer(ring);
  const notifier = control.notifier(Signal.logNotifier);
  const producer = new RingProducer(ring, () => false);
  let late = 0;
  try {
    for (let position = control.position('written') + 1, end = position + 5_000; position < end; position++) {
      producer.frame(FrameKind.event, 1, 0, position, 'counter', 'c', 'Added', '', '{}');
      producer.publish(GroupKind.reply, 0, 0, 1, '');
      notifier.notify();
      if (position % 2 === 0) {
        spinUntil(() => control.position('written') >= position);
        if (reader.written() !== producer.head) late++;
      } else {
        spinUntil(() => reader.written() === producer.head);
        if (control.position('appended') < position) late++;
      }
      while (reader.take(reader.written()));
      reader.release();
    }
  } finally {
    control.setFlag(Signal.stopping, StopStage.log);
    await log.logEnded();
    control.setFlag(Signal.stopping, StopStage.sync);
    await log.syncEnded();
    flush.port1.close();
  }
  expect(late).toBe(0);
});
