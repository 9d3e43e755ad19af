import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { MessageChannel } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import { Thread } from '../../src/base/thread.ts';
import { dataFileOf } from '../../src/log/layout.ts';
import { addIncarnation, beginRun, newMarker, readMarker } from '../../src/log/run-manifest.ts';
import { syncUntilStopped } from '../../src/log/sync.ts';
import type { SyncThreadData } from '../../src/log/sync-thread.ts';
import { ControlBlockWriter, Signal, StopStage } from '../../src/shared/control-block.ts';
import { hurrySync } from '../../src/shared/log-signals.ts';
import { TestControlBlock } from '../control-block.ts';
import { boot, removeTemporaryFolders, SampleLog, temporaryFolder } from './sample-log.ts';

afterEach(removeTemporaryFolders);

function newControlBlock(policy: { intervalMs?: number; bytes?: number } = {}): TestControlBlock {
  const control = new TestControlBlock();
  control.setFlag(Signal.syncIntervalMs, policy.intervalMs ?? 0);
  control.setFlag(Signal.syncBytes, policy.bytes ?? 1 << 30);
  return control;
}

const stop = (control: TestControlBlock): void => control.setFlag(Signal.stopping, StopStage.sync);

function run(control: TestControlBlock, sync: () => void): unknown {
  const flushNotifier = control.notifier(Signal.flushNotifier);
  const hostNotifier = control.notifier(Signal.hostNotifier);
  return syncUntilStopped({
    control: new ControlBlockWriter('sync', control.memory),
    sync,
    flushNotifier,
    hostNotifier,
  });
}

describe('the order of things', () => {
  test('what is committed during a sync is not covered by it', () => {
    const control = newControlBlock();
    control.publish('written', 5);
    const seen: number[] = [];
    const failure = run(control, () => {
      seen.push(control.position('synced'));
      control.publish('written', 9);
      stop(control);
    });
    expect(failure).toBeUndefined();
    expect(seen).toEqual([0, 5]);
    expect(control.position('synced')).toBe(9);
  });

  test('there is a last sync after the stop, even if nothing is written: truncation has changed the file', () => {
    const control = newControlBlock({ intervalMs: 60_000 });
    stop(control);
    let syncs = 0;
    run(control, () => syncs++);
    expect(syncs).toBe(1);
  });

  test('a failed sync poisons the log, is not repeated, and acknowledges nothing', () => {
    const control = newControlBlock();
    control.publish('written', 5);
    control.publish('synced', 2);
    const caller = control.parkerOf(Signal.hostNotifier);
    expect(caller.arm(() => false)).toBe(true);
    let syncs = 0;
    const failure = run(control, () => {
      syncs++;
      throw new Error('EIO');
    });
    expect(String(failure)).toContain('EIO');
    expect([syncs, control.flag(Signal.syncFailed), control.position('synced')]).toEqual([1, 1, 2]);
    expect(control.flag(Signal.hostNotifier), 'rung').toBe(0);
  });

  test('the caller is rung only if somebody waits, the flush thread always', () => {
    for (const awaits of [0, 1]) {
      const control = newControlBlock();
      control.setFlag(Signal.awaitsSynced, awaits);
      for (const word of [Signal.hostNotifier, Signal.flushNotifier]) control.parkerOf(word).arm(() => false);
      control.publish('written', 1);
      run(control, () => stop(control));
      expect(control.flag(Signal.hostNotifier) === 0).toBe(awaits === 1);
      expect(control.flag(Signal.flushNotifier)).toBe(0);
    }
  });

  test('enough bytes, somebody in a hurry, or the stop end the lingering', () => {
    // With an hour to linger, each of these would otherwise run into the test's time limit.
    const starts: ((control: TestControlBlock) => void)[] = [
      (control) => control.publish('committedBytes', 5000),
      (control) => control.publish('committedBytes', 2 ** 32 + 3000), // more than 32 bits hold
      (control) => hurrySync(control),
    ];
    for (const start of starts) {
      const control = newControlBlock({ intervalMs: 3_600_000, bytes: 4096 });
      control.publish('written', 1);
      start(control);
      run(control, () => stop(control));
      expect(control.position('synced')).toBe(1);
    }
  });
});

describe('a hurry', () => {
  test('is taken back by the sync that it was for, whoever said it; what was written before it is covered', () => {
    const control = newControlBlock({ intervalMs: 3_600_000 });
    hurrySync(control);
    control.publish('written', 5);
    const found: number[] = [];
    run(control, () => {
      found.push(control.flag(Signal.hurry), control.position('written'));
      if (found.length > 2) return;
      stop(control);
    });
    expect(found.slice(0, 2)).toEqual([0, 5]);
    expect([control.flag(Signal.hurry), control.position('synced')]).toEqual([0, 5]);
  });

  test('that is said during a sync holds for the next one', () => {
    const control = newControlBlock({ intervalMs: 3_600_000 });
    hurrySync(control);
    control.publish('written', 5);
    const syncs: number[] = [];
    run(control, () => {
      syncs.push(control.flag(Signal.hurry));
      if (syncs.length === 2) return stop(control);
      control.publish('written', control.position('written') + 1);
      hurrySync(control);
    });
    // The third is the last sync of the stop.
    expect(syncs).toEqual([0, 0, 0]);
  });
});

describe('the thread', () => {
  function start(control: TestControlBlock, dataFile: string, hostPort?: MessageChannel['port1']): Thread {
    const data: SyncThreadData = { controlBlock: control.memory, dataFile, hostPort };
    const base = new URL('../../src/log/threads.ts', import.meta.url).href;
    return new Thread('sync', './sync-thread', base, data, hostPort ? [hostPort] : []);
  }

  test('syncs while it is told of commits, rings, stops by itself, and marks the end as clean', async () => {
    const log = await SampleLog.open(temporaryFolder());
    const control = newControlBlock({ intervalMs: 3_600_000 });
    const { port1, port2 } = new MessageChannel();
    const { ended } = start(control, log.writer.dataFile, port1);
    const notifier = control.notifier(Signal.syncNotifier);
    const parker = control.parkerOf(Signal.hostNotifier);
    control.setFlag(Signal.awaitsSynced, 1);
    for (let i = 0; i < 20; i++) {
      log.append([5]);
      control.publish('written', log.nextPosition - 1);
      notifier.notify();
      const isSynced = (): boolean => control.position('synced') === log.nextPosition - 1;
      while (!isSynced()) {
        const rung = once(port2, 'message');
        if (!parker.arm(isSynced)) break;
        hurrySync(control);
        await rung;
      }
    }
    await log.close();
    stop(control);
    notifier.notify();
    await ended;
    expect(readMarker(log.folder)).toMatchObject({ clean: true, lastPosition: 100 });
    port2.close();
  });

  test('a sync that fails ends it with a message, and the next start does not believe the page cache', async () => {
    const folder = temporaryFolder();
    beginRun(folder, addIncarnation(newMarker(boot), 1), boot, 1);
    spawnSync('mknod', [dataFileOf(folder), 'c', '1', '3']); // as /dev/null, which cannot be synced
    const control = newControlBlock();
    control.publish('written', 1);
    const { port, ended } = start(control, dataFileOf(folder));
    const [message] = await once(port, 'message');
    expect(message.poisoned).toContain('EINVAL');
    await ended;
    expect(control.flag(Signal.syncFailed)).toBe(1);
    expect(control.position('synced')).toBe(0);
    expect(readMarker(folder)).toMatchObject({ clean: false, poisoned: true });
  });
});
