// How much the log keeps for its retention: so many bytes, however large its commits are; on a disk that others have filled,
// what it keeps makes room for what comes.
import { MessageChannel } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import { mapBytesFor, openLogReader } from '../../src/log/lmdb.ts';
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

const ringBytes = 4 << 20;
const mapBytes = mapBytesFor(48 << 20);
const text = JSON.stringify('x'.repeat(32_000));

test('what is retained is not less than said, however large commits are', async () => {
  const folder = temporaryFolder();
  await using log = await TestLog.start(folder, { retainBytes: 4 << 20, retainMs: 0 });
  const reader = openLogReader(`${folder}/log`, mapBytes);
  await log.write(8 << 20);
  const kept: number[] = [];
  while (log.position * text.length < 40 << 20) {
    await log.write(text.length);
    kept.push((log.position - reader.firstPosition() + 1) * text.length);
  }
  await reader.close();
  expect(Math.min(...kept)).toBeGreaterThan(3.5 * 2 ** 20); // of each page a part is headers
  expect(Math.max(...kept)).toBeLessThan(7 << 20);
});

test.each([
  ['one by one', 1],
  ['in commits as large as they get', 80],
])('a full disk costs the log what it retains, not what comes: events %s', async (_, atOnce) => {
  using disk = SmallDisk.mount(64 << 20, temporaryFolder());
  await using log = await TestLog.start(disk.path, { retainBytes: 32 << 20, retainMs: 3_600_000 });
  const { isFull, news } = log;
  await log.write(12 << 20, atOnce);
  expect({ news, isGivenUp: log.isGivenUp }).toEqual({ news: [], isGivenUp: false });
  const before = log.position;
  disk.fill();
  await log.write(200 << 20, atOnce);
  expect(isFull).toEqual([]);
  expect({ news, isGivenUp: log.isGivenUp }).toMatchObject({
    news: [{ isGivenUp: true, fromPosition: 1 }],
    isGivenUp: true,
  });
  expect(news[0]!.toPosition).toBeGreaterThanOrEqual(before - atOnce);
  const filled = log.position;
  disk.free();
  await log.write(40 << 20, atOnce);
  expect(isFull).toEqual([]);
  expect({ news: news.slice(1), isGivenUp: log.isGivenUp }).toMatchObject({
    news: [{ isGivenUp: false }],
    isGivenUp: false,
  });
  expect(news[1]!.toPosition).toBeGreaterThanOrEqual(filled);
  expect(news[1]!.fromPosition).toBeGreaterThan(news[0]!.toPosition);
});

/** The log's threads, with one writer, whose events all that read the log have at once. */
class TestLog implements AsyncDisposable {
  readonly isFull: boolean[] = [];
  readonly news: RetentionNews[] = [];
  position = 0;
  private readonly control = new TestControlBlock();
  private readonly flush = new MessageChannel();
  private readonly ring = createRing(ringBytes);
  private readonly reader = new RingConsumer(this.ring);
  private readonly producer = new RingProducer(this.ring, () => false);
  private threads!: LogThreads;

  static async start(folder: string, retained: { retainBytes: number; retainMs: number }): Promise<TestLog> {
    const log = new TestLog();
    const { control, isFull, news } = log;
    const maxBytes = 48 << 20;
    log.threads = await LogThreads.start(
      {
        folder: `${folder}/log`,
        mapBytes,
        maxBytes,
        admitBytes: maxBytes,
        batchBytesLimit: 1 << 20,
        groupLimit: new RingMemory(createRing(ringBytes)).groupLimit,
        ...retained,
        bootId: 'this boot',
      },
      control,
      {
        wake() {},
        poisoned: (cause) => expect.unreachable(cause),
        diskFull: (is) => isFull.push(is),
        retention: (one) => news.push(one),
      },
      log.flush.port2,
    );
    control.setFlag(Signal.batchBytes, 1 << 20);
    control.setFlag(Signal.syncIntervalMs, 1);
    log.threads.attach(log.ring);
    return log;
  }

  get isGivenUp(): boolean {
    return this.threads.retentionIsGivenUp;
  }

  /** So many events at once, then the next ones. */
  async write(bytes: number, atOnce = 1): Promise<void> {
    const { control, reader, producer, isFull } = this;
    const notifier = control.notifier(Signal.logNotifier);
    for (const end = this.position + bytes / text.length; this.position < end && isFull.length === 0; ) {
      for (let i = 0; i < atOnce; i++) {
        producer.frame(FrameKind.event, 1, 0, ++this.position, 'counter', 'c', 'Added', '', text);
        producer.publish(GroupKind.reply, 0, 0, 1, '');
      }
      notifier.notify();
      while (control.position('written') < this.position && isFull.length === 0) await new Promise(setImmediate);
      while (reader.take(reader.written()));
      reader.release();
      control.publish('floor', this.position);
      control.publish('settled', this.position);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { control, threads, flush } = this;
    control.setFlag(Signal.abandoned, 1);
    control.setFlag(Signal.stopping, StopStage.log);
    await threads.logEnded();
    control.setFlag(Signal.stopping, StopStage.sync);
    await threads.syncEnded();
    flush.port1.close();
  }
}
