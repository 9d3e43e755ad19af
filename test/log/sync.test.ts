import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { MessageChannel } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import { Thread } from '../../src/base/thread.ts';
import { dataFileOf } from '../../src/log/layout.ts';
import { addIncarnation, beginRun, newMarker, readMarker } from '../../src/log/marker.ts';
import { syncUntilStopped } from '../../src/log/sync.ts';
import type { SyncThreadData } from '../../src/log/sync-thread.ts';
import { hurrySync, Levels, LevelWord, StopStage } from '../../src/shared/levels.ts';
import { Bell, Sleeper } from '../../src/shared/ring/bell.ts';
import { boot, removeTemporaryFolders, SampleLog, temporaryFolder } from './sample-log.ts';

afterEach(removeTemporaryFolders);

function newLevels(policy: { intervalMs?: number; bytes?: number } = {}): Levels {
  const levels = new Levels();
  levels.setFlag(LevelWord.syncIntervalMs, policy.intervalMs ?? 0);
  levels.setFlag(LevelWord.syncBytes, policy.bytes ?? 1 << 30);
  return levels;
}

const stop = (levels: Levels): void => levels.setFlag(LevelWord.stopping, StopStage.sync);

function run(levels: Levels, sync: () => void): unknown {
  const flushBell = new Bell(levels.words, LevelWord.flushBell);
  const callerBell = new Bell(levels.words, LevelWord.callerBell);
  return syncUntilStopped({ levels, sync, flushBell, callerBell });
}

describe('the order of things', () => {
  test('what is committed during a sync is not covered by it', () => {
    const levels = newLevels();
    levels.publish('written', 5);
    const seen: number[] = [];
    const failure = run(levels, () => {
      seen.push(levels.position('synced'));
      levels.publish('written', 9);
      stop(levels);
    });
    expect(failure).toBeUndefined();
    expect(seen).toEqual([0, 5]);
    expect(levels.position('synced')).toBe(9);
  });

  test('there is a last sync after the stop, even if nothing is written: truncation has changed the file', () => {
    const levels = newLevels({ intervalMs: 60_000 });
    stop(levels);
    let syncs = 0;
    run(levels, () => syncs++);
    expect(syncs).toBe(1);
  });

  test('a failed sync poisons the log, is not repeated, and acknowledges nothing', () => {
    const levels = newLevels();
    levels.publish('written', 5);
    levels.publish('synced', 2);
    const caller = new Sleeper(levels.words, LevelWord.callerBell);
    expect(caller.arm(() => false)).toBe(true);
    let syncs = 0;
    const failure = run(levels, () => {
      syncs++;
      throw new Error('EIO');
    });
    expect(String(failure)).toContain('EIO');
    expect([syncs, levels.flag(LevelWord.poisoned), levels.position('synced')]).toEqual([1, 1, 2]);
    expect(levels.flag(LevelWord.callerBell), 'rung').toBe(0);
  });

  test('the caller is rung only if somebody waits, the flush thread always', () => {
    for (const awaits of [0, 1]) {
      const levels = newLevels();
      levels.setFlag(LevelWord.awaitsSynced, awaits);
      for (const word of [LevelWord.callerBell, LevelWord.flushBell]) new Sleeper(levels.words, word).arm(() => false);
      levels.publish('written', 1);
      run(levels, () => stop(levels));
      expect(levels.flag(LevelWord.callerBell) === 0).toBe(awaits === 1);
      expect(levels.flag(LevelWord.flushBell)).toBe(0);
    }
  });

  test('enough bytes, somebody in a hurry, or the stop end the lingering', () => {
    // With an hour to linger, each of these would otherwise run into the test's time limit.
    const starts: ((levels: Levels) => void)[] = [
      (levels) => levels.publish('committedBytes', 5000),
      (levels) => levels.publish('committedBytes', 2 ** 32 + 3000), // more than 32 bits hold
      (levels) => hurrySync(levels),
    ];
    for (const start of starts) {
      const levels = newLevels({ intervalMs: 3_600_000, bytes: 4096 });
      levels.publish('written', 1);
      start(levels);
      run(levels, () => stop(levels));
      expect(levels.position('synced')).toBe(1);
    }
  });
});

describe('a hurry', () => {
  test('is taken back by the sync that it was for, whoever said it; what was written before it is covered', () => {
    const levels = newLevels({ intervalMs: 3_600_000 });
    hurrySync(levels);
    levels.publish('written', 5);
    const found: number[] = [];
    run(levels, () => {
      found.push(levels.flag(LevelWord.hurry), levels.position('written'));
      if (found.length > 2) return;
      stop(levels);
    });
    expect(found.slice(0, 2)).toEqual([0, 5]);
    expect([levels.flag(LevelWord.hurry), levels.position('synced')]).toEqual([0, 5]);
  });

  test('that is said during a sync holds for the next one', () => {
    const levels = newLevels({ intervalMs: 3_600_000 });
    hurrySync(levels);
    levels.publish('written', 5);
    const syncs: number[] = [];
    run(levels, () => {
      syncs.push(levels.flag(LevelWord.hurry));
      if (syncs.length === 2) return stop(levels);
      levels.publish('written', levels.position('written') + 1);
      hurrySync(levels);
    });
    // The third is the last sync of the stop.
    expect(syncs).toEqual([0, 0, 0]);
  });
});

describe('the thread', () => {
  function start(levels: Levels, dataFile: string, callerPort?: MessageChannel['port1']): Thread {
    const data: SyncThreadData = { levels: levels.memory, dataFile, callerPort };
    const base = new URL('../../src/log/threads.ts', import.meta.url).href;
    return new Thread('sync', './sync-thread', base, data, callerPort ? [callerPort] : []);
  }

  test('syncs while it is told of commits, rings, stops by itself, and marks the end as clean', async () => {
    const log = await SampleLog.open(temporaryFolder());
    const levels = newLevels({ intervalMs: 3_600_000 });
    const { port1, port2 } = new MessageChannel();
    const { ended } = start(levels, log.writer.dataFile, port1);
    const bell = new Bell(levels.words, LevelWord.syncBell);
    const sleeper = new Sleeper(levels.words, LevelWord.callerBell);
    levels.setFlag(LevelWord.awaitsSynced, 1);
    for (let i = 0; i < 20; i++) {
      log.append([5]);
      levels.publish('written', log.nextPosition - 1);
      bell.ring();
      const isSynced = (): boolean => levels.position('synced') === log.nextPosition - 1;
      while (!isSynced()) {
        const rung = once(port2, 'message');
        if (!sleeper.arm(isSynced)) break;
        hurrySync(levels);
        await rung;
      }
    }
    await log.close();
    stop(levels);
    bell.ring();
    await ended;
    expect(readMarker(log.folder)).toMatchObject({ clean: true, lastPosition: 100 });
    port2.close();
  });

  test('a sync that fails ends it with a message, and the next start does not believe the page cache', async () => {
    const folder = temporaryFolder();
    beginRun(folder, addIncarnation(newMarker(boot), 1), boot, 1);
    spawnSync('mknod', [dataFileOf(folder), 'c', '1', '3']); // as /dev/null, which cannot be synced
    const levels = newLevels();
    levels.publish('written', 1);
    const { port, ended } = start(levels, dataFileOf(folder));
    const [message] = await once(port, 'message');
    expect(message.poisoned).toContain('EINVAL');
    await ended;
    expect(levels.flag(LevelWord.poisoned)).toBe(1);
    expect(levels.position('synced')).toBe(0);
    expect(readMarker(folder)).toMatchObject({ clean: false, poisoned: true });
  });
});
