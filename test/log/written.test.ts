// What the log thread tells its readers, and in which order.
import { MessageChannel } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import { mapBytesFor } from '../../src/log/lmdb.ts';
import { LogThreads } from '../../src/log/threads.ts';
import { Levels, LevelWord, StopStage } from '../../src/shared/levels.ts';
import { Bell } from '../../src/shared/ring/bell.ts';
import { RingConsumer } from '../../src/shared/ring/consumer.ts';
import { RingProducer } from '../../src/shared/ring/producer.ts';
import { createRing, GroupKind, RingMemory } from '../../src/shared/ring/ring.ts';
import { FrameKind } from '../../src/wire/frame.ts';
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
  const levels = new Levels();
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
    levels,
    { wake() {}, poisoned: (cause) => expect.unreachable(cause), diskFull() {} },
    flush.port2,
  );
  levels.setFlag(LevelWord.batchBytes, 1 << 16);
  levels.setFlag(LevelWord.syncIntervalMs, 1000);
  levels.setFlag(LevelWord.spinMicros, 1000);
  const ring = createRing(ringBytes);
  log.attach(ring);
  const reader = new RingConsumer(ring);
  const bell = new Bell(levels.words, LevelWord.logBell);
  const producer = new RingProducer(ring, () => false);
  let late = 0;
  try {
    for (let position = levels.position('written') + 1, end = position + 5_000; position < end; position++) {
      producer.frame(FrameKind.event, 1, 0, position, 'counter', 'c', 'Added', '', '{}');
      producer.publish(GroupKind.reply, 0, 0, 1, '');
      bell.ring();
      if (position % 2 === 0) {
        spinUntil(() => levels.position('written') >= position);
        if (reader.written() !== producer.head) late++;
      } else {
        spinUntil(() => reader.written() === producer.head);
        if (levels.position('appended') < position) late++;
      }
      while (reader.take(reader.written()));
      reader.release();
    }
  } finally {
    levels.setFlag(LevelWord.stopping, StopStage.log);
    await log.logEnded();
    levels.setFlag(LevelWord.stopping, StopStage.sync);
    await log.syncEnded();
    flush.port1.close();
  }
  expect(late).toBe(0);
});
