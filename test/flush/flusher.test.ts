import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { Flusher } from '../../src/flush/flusher.ts';
import type { FlusherSettings } from '../../src/flush/flusher-settings.ts';
import { endOfLoss } from '../../src/log/losses.ts';
import type { Batch, Sink } from '../../src/log/sink.ts';
import { groupEnds, MemoryLog } from '../store/sample.ts';

/** Keeps what it is given; `fail` may throw before it does. */
class MemorySink implements Sink {
  versions: number[] = [];
  ends: number[] = [];
  checkpoint = 0;
  attempts = 0;
  closed = 0;
  fail: (attempt: number, signal: AbortSignal) => unknown = () => {};

  open(): number {
    return this.checkpoint;
  }

  async write(batch: Batch, signal: AbortSignal): Promise<void> {
    await this.fail(++this.attempts, signal);
    expect(batch.fromPosition).toBe(this.checkpoint + 1);
    for (const event of batch.events()) this.versions.push(event.version);
    const ends = groupEnds(batch.bytes, batch.fromPosition, batch.count);
    expect(ends.at(-1)).toBe(batch.toPosition);
    this.ends.push(batch.toPosition);
    this.checkpoint = batch.toPosition;
  }

  close(): void {
    this.closed++;
  }
}

function setUp(settings: Partial<FlusherSettings> = {}) {
  const log = new MemoryLog();
  const sink = new MemorySink();
  const failures: { message: string; retryInMs: number | undefined }[] = [];
  const state = { synced: 0 };
  const flusher = new Flusher({
    name: 'test',
    sink,
    log,
    limit: () => state.synced,
    retryMs: 1,
    retryMsLimit: 2,
    onFailure: ({ message }, retryInMs) => failures.push({ message, retryInMs }),
    ...settings,
  });
  return { log, sink, failures, state, flusher };
}

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await setImmediate();
};

describe('a flusher', () => {
  test('leaves out, at once and for good, the events that its sink refuses', async () => {
    const told: { position: number; reason: string }[] = [];
    const { log, sink, failures, state, flusher } = setUp({
      onSetAside: (events) =>
        void told.push(...events.map(({ details: { position, reason } }) => ({ position, reason }))),
    });
    log.append([{ version: 1 }, { version: 2 }], [{ version: 3 }], [{ version: 4 }]);
    state.synced = 4;
    const poison = [2, 4];
    const refuses = (position: number): Error => Object.assign(new Error(`not ${position}`), { refuses: position });
    sink.fail = (attempt) => {
      const position = poison[attempt - 1];
      if (position !== undefined) throw refuses(position);
    };
    const run = flusher.run();
    await until(() => flusher.position === 4);
    expect(sink.versions).toEqual([1, 3]);
    expect(failures).toEqual([]);
    expect(told).toEqual([
      { position: 2, reason: 'not 2' },
      { position: 4, reason: 'not 4' },
    ]);
    // What is no event of the batch, or was left out before, is a failure like any other.
    log.append([{ version: 5 }]);
    state.synced = 5;
    let failing = 3;
    sink.fail = () => {
      if (failing-- > 0) throw refuses(2);
    };
    flusher.wake();
    await until(() => flusher.position === 5);
    expect(failures.map(({ message }) => message)).toEqual(['not 2', 'not 2', 'not 2']);
    flusher.stop();
    await run;
  });

  test('is told by name where its sink holds more than this log can have given it, however far the log has come since', async () => {
    // Of earlier runs: the log ended at 2 when this run began.
    const opened = setUp({ lastPosition: 2, dataDir: '/data' });
    opened.log.append(Array.from({ length: 9 }, (_, i) => ({ version: i + 1 })));
    opened.state.synced = 9;
    opened.sink.checkpoint = 3;
    await opened.flusher.run();
    expect(opened.flusher.status).toMatchObject({ state: 'failed', position: 0 });
    expect(opened.flusher.status.lastError).toMatchObject({ code: 'LogDamaged', details: { dataDir: '/data' } });
    // Of this run: more than it has been given.
    for (const [held, code] of [
      [3, undefined],
      [4, 'LogDamaged'],
      [1_000_000_000, 'LogDamaged'],
      [Number.NaN, 'InvalidOptions'],
      [1.5, 'InvalidOptions'],
      ['3', 'InvalidOptions'],
    ] as const) {
      const { log, sink, state, flusher } = setUp({ lastPosition: 0 });
      log.append([{ version: 1 }, { version: 2 }, { version: 3 }]);
      state.synced = 3;
      sink.write = () => Promise.resolve(held as never);
      const run = flusher.run();
      await flusher.tried;
      flusher.stop();
      await run;
      expect(flusher.position).toBe(code === undefined ? 3 : 0);
      expect(flusher.status.lastError).toEqual(code === undefined ? undefined : expect.objectContaining({ code }));
    }
  });

  test('takes whole groups, in order, no further than synced', async () => {
    const { log, sink, state, flusher } = setUp();
    log.append([{ version: 1 }, { version: 2 }], [{ version: 3 }]);
    log.append([{ version: 4 }]);
    state.synced = 1; // within the first group: it must wait
    const run = flusher.run();
    await flusher.tried;
    await setImmediate();
    expect(sink.versions).toEqual([]);
    state.synced = 3;
    flusher.wake();
    await until(() => flusher.position === 3);
    expect(sink.versions).toEqual([1, 2, 3]);
    expect(flusher.status).toMatchObject({ state: 'running', position: 3, lag: 0 });
    state.synced = 4;
    flusher.stop();
    await run;
    expect(sink.versions).toEqual([1, 2, 3, 4]);
    expect(sink.closed).toBe(1);
    expect(flusher.status.state).toBe('stopped');
  });

  test('goes on from a checkpoint within a chunk', async () => {
    const { log, sink, state, flusher } = setUp();
    log.append([{ version: 1 }], [{ version: 2 }, { version: 3 }], [{ version: 4 }]);
    sink.checkpoint = 1;
    state.synced = 3;
    const run = flusher.run();
    await until(() => flusher.position === 3);
    expect(sink.versions).toEqual([2, 3]);
    flusher.stop();
    await run;
  });

  test('bounds a batch by frames and by bytes', async () => {
    for (const bound of [{ batchFrames: 3 }, { batchBytes: 200 }]) {
      const { log, sink, state, flusher } = setUp(bound);
      for (let version = 1; version <= 12; version++) state.synced = log.append([{ version }]);
      flusher.stop();
      await flusher.run();
      expect(sink.versions).toHaveLength(12);
      expect(sink.ends).toEqual([3, 6, 9, 12]);
    }
  });

  test('retries for ever, whatever is thrown, and loses nothing', async () => {
    const { log, sink, failures, state, flusher } = setUp();
    const errors = [new Error('down'), new TypeError('broken'), 'not an error', new Error('still down')];
    sink.fail = (attempt) => {
      if (errors[attempt - 1]) throw errors[attempt - 1];
    };
    state.synced = log.append([{ version: 1 }]);
    const run = flusher.run();
    await until(() => flusher.position === 1);
    expect(sink.versions).toEqual([1]);
    expect(failures.map(({ message }) => message)).toEqual(['down', 'broken', 'not an error', 'still down']);
    for (const { retryInMs } of failures) expect(retryInMs).toBeGreaterThan(0);
    expect(flusher.status).toMatchObject({ state: 'running', lastError: undefined });
    flusher.stop();
    await run;
  });

  test('a batch that is too much comes in halves, down to a group, and grows again; what a lost reply hid is not written twice', async () => {
    const { log, sink, state, flusher } = setUp({ batchFrames: 1024 });
    let most = 5;
    const counts: number[] = [];
    const write = sink.write.bind(sink);
    // Of the first batch that is not too much the reply is lost: the sink holds it.
    let isReplyLost = false;
    const parts = Object.assign(sink, {
      takesParts: true,
      async write(batch: Batch, signal: AbortSignal): Promise<number> {
        if (sink.checkpoint >= batch.toPosition) return sink.checkpoint;
        counts.push(batch.count);
        if (batch.count > most && groupEnds(batch.bytes, batch.fromPosition, batch.count).length > 1) {
          throw new Error('canceling statement due to statement timeout');
        }
        await write(batch, signal);
        if (isReplyLost) return sink.checkpoint;
        isReplyLost = true;
        throw new Error('no reply to COMMIT');
      },
    });
    expect(parts).toBe(sink);
    // Groups of one, and one of nine, which cannot be parted.
    for (let i = 1; i <= 100; i++) state.synced = log.append([{ version: i }]);
    state.synced = log.append(Array.from({ length: 9 }, (_, i) => ({ version: 101 + i })));
    for (let i = 110; i <= 400; i++) state.synced = log.append([{ version: i }]);
    const run = flusher.run();
    await until(() => flusher.position >= 200);
    most = 1024;
    await until(() => flusher.position === 400);
    expect(sink.versions).toEqual(Array.from({ length: 400 }, (_, i) => i + 1));
    expect(counts[0]).toBe(400);
    expect(Math.max(...counts.slice(-3))).toBeGreaterThan(20);
    state.synced = 0;
    flusher.stop();
    await run;
  });

  test('one that fails does not stop another', async () => {
    const good = setUp();
    const bad = setUp();
    bad.sink.fail = () => Promise.reject(new Error('down'));
    const runs = [good.flusher.run(), bad.flusher.run()];
    for (const { log, state, flusher } of [good, bad]) {
      state.synced = log.append([{ version: 1 }]);
      flusher.wake();
    }
    await until(() => good.flusher.position === 1 && bad.sink.attempts > 2);
    expect(bad.flusher.status).toMatchObject({ state: 'retrying', position: 0, lag: 1 });
    for (const { flusher } of [good, bad]) flusher.stop();
    await Promise.all(runs);
    expect(bad.sink.versions).toEqual([]);
  });

  test('stops for good on an error that no repetition cures', async () => {
    const { log, sink, failures, state, flusher } = setUp();
    sink.fail = () => {
      throw Object.assign(new Error('schema is gone'), { fatal: true });
    };
    state.synced = log.append([{ version: 1 }]);
    await flusher.run();
    expect(sink).toMatchObject({ attempts: 1, closed: 1 });
    expect(failures).toEqual([{ message: 'schema is gone', retryInMs: undefined }]);
    expect(flusher.status).toMatchObject({ state: 'failed', position: 0 });
  });

  test('refuses to skip what the log no longer keeps', async () => {
    const { log, sink, failures, state, flusher } = setUp();
    for (let version = 1; version <= 5; version++) state.synced = log.append([{ version }]);
    log.truncateBelow(4);
    sink.checkpoint = 1;
    await flusher.run();
    expect(flusher.status.lastError).toMatchObject({ code: 'PositionGone', details: { position: 2, firstKept: 4 } });
    expect(failures).toHaveLength(1);
    expect(sink.versions).toEqual([]);
  });

  test('goes past what a recovery has given up at once, and no further', async () => {
    const lost = [{ from: 2, to: 40 }];
    const { log, sink, state, flusher } = setUp({ endOfLoss: (position) => endOfLoss(lost, position) });
    const followed: boolean[] = [];
    sink.write = async (batch) => {
      followed.push(batch.followsLoss);
      sink.checkpoint = batch.toPosition;
    };
    log.append([{ version: 1 }]);
    state.synced = 40; // as a start finds it: nothing has been written behind the loss
    const run = flusher.run();
    await until(() => flusher.position === 40);
    expect(sink.checkpoint).toBe(1);
    log.leapTo(41);
    log.append([{ version: 2 }]);
    state.synced = 42; // 42 is not there, and not lost
    flusher.wake();
    await until(() => flusher.position === 41);
    flusher.stop();
    await run;
    expect(followed).toEqual([false, true]);
    expect(flusher.position).toBe(41);
  });

  test('a checkpoint that is none is refused', async () => {
    const { sink, flusher } = setUp();
    sink.checkpoint = -1;
    await flusher.run();
    expect(flusher.status.lastError).toMatchObject({ code: 'InvalidOptions' });
    expect(flusher.isOpen).toBe(false);
  });

  test('opens later, if the sink is away at first', async () => {
    const { sink, flusher, failures } = setUp();
    let openings = 0;
    sink.open = () => {
      if (++openings < 3) throw new Error('away');
      return 0;
    };
    const run = flusher.run();
    await flusher.tried;
    expect(flusher.isOpen).toBe(false);
    await until(() => flusher.isOpen);
    expect(failures).toHaveLength(2);
    flusher.stop();
    await run;
  });
});

describe('stopping', () => {
  test('gives a sink that pauses one last attempt', async () => {
    const { log, sink, state, flusher } = setUp({ retryMs: 1e6, retryMsLimit: 1e6 });
    sink.fail = (attempt) => {
      if (attempt === 1) throw new Error('down');
    };
    state.synced = log.append([{ version: 1 }]);
    const run = flusher.run();
    await until(() => flusher.status.state === 'retrying');
    flusher.stop();
    await run;
    expect(sink.versions).toEqual([1]);
    expect(flusher.status.state).toBe('stopped');
  });

  test('an attempt under way counts when it succeeds', async () => {
    const { log, sink, state, flusher } = setUp();
    let finish = (): void => {};
    sink.fail = () => new Promise<void>((resolve) => (finish = resolve));
    state.synced = log.append([{ version: 1 }]);
    const run = flusher.run();
    await until(() => sink.attempts === 1);
    flusher.stop();
    finish();
    await run;
    expect(sink).toMatchObject({ attempts: 1, versions: [1] });
    expect(flusher.position).toBe(1);
  });

  test('aborts a sink that takes too long, when told to', async () => {
    const { log, sink, state, flusher } = setUp();
    sink.fail = (_, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('given up'))));
    state.synced = log.append([{ version: 1 }]);
    log.append([{ version: 2 }]);
    const run = flusher.run();
    await until(() => sink.attempts === 1);
    flusher.abort();
    await run;
    expect(sink).toMatchObject({ attempts: 1, versions: [], closed: 1 });
  });
});

test('lingers between commits, unless in a hurry or much has piled up', async () => {
  const state = { hurried: false };
  const run = setUp({ lingerMs: 1e9, isHurried: () => state.hurried, batchFrames: 40 });
  const { log, sink, flusher } = run;
  const ended = flusher.run();
  const grow = (frames: number): void => {
    const first = log.last + 1;
    run.state.synced = log.append(...Array.from({ length: frames }, (_, i) => [{ version: first + i }]));
    flusher.wake();
  };
  grow(1);
  await until(() => flusher.position === 1); // the first at once
  grow(1);
  for (let i = 0; i < 20; i++) await setImmediate();
  expect(flusher.position).toBe(1);
  grow(20);
  await until(() => flusher.position === 22);
  grow(1);
  state.hurried = true;
  flusher.wake();
  await until(() => flusher.position === 23);
  expect(sink.ends).toEqual([1, 22, 23]);
  flusher.stop();
  await ended;
});
