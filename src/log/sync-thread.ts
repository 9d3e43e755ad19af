// Entry of the sync thread: a leaf. Opens the log's data file for itself, syncs until told to stop, marks the log's end as
// clean, and ends. Its data: {@link SyncThreadData}; posts one {@link SyncThreadFailure} if a sync fails.

import { dirname } from 'node:path';
import type { MessagePort } from 'node:worker_threads';
import { closeSync, fdatasyncSync } from '../base/disk.ts';
import { DiskReserve, isDiskFull } from '../base/disk-reserve.ts';
import { openPrivate } from '../base/private-file.ts';
import { runThread, threadData, threadPort } from '../base/thread-entry.ts';
import { ControlBlockWriter, Signal } from '../shared/control-block.ts';
import { reserveLock } from '../shared/reserve-lock.ts';
import { AHEAD_PAGES } from './layout.ts';
import { markClean, markPoisoned } from './run-manifest.ts';
import { syncUntilStopped } from './sync.ts';

export interface SyncThreadData {
  controlBlock: SharedArrayBuffer;
  dataFile: string;
  hostPort?: MessagePort;
  flushPort?: MessagePort;
}

export interface SyncThreadFailure {
  poisoned: string;
}

function main(): void {
  const { controlBlock: memory, dataFile, hostPort, flushPort } = threadData<SyncThreadData>();
  const control = new ControlBlockWriter('sync', memory);
  const descriptor = openPrivate(dataFile, 'read');
  const reserve = new DiskReserve(dataFile, reserveLock(control));
  const failure = syncUntilStopped({
    control,
    sync: () => fdatasyncSync(descriptor),
    prepare: () => reserveAhead(reserve),
    flushNotifier: control.notifier(Signal.flushNotifier, flushPort),
    hostNotifier: control.notifier(Signal.hostNotifier, hostPort),
  });
  if (failure !== undefined) {
    threadPort.postMessage({ poisoned: String(failure) } satisfies SyncThreadFailure);
    markPoisoned(dirname(dataFile));
  } else if (!control.isPoisoned) {
    try {
      markClean(dirname(dataFile), control.position('synced'));
    } catch (error) {
      // Without room for its mark the next start checks the log, as after a kill.
      if (!isDiskFull(error)) throw error;
    }
  }
  closeSync(descriptor);
  reserve.close();
}

/**
 * Zeros for half a MiB at a time: the next sync writes them as well, and events wait for it. 4 MiB at once were a sync of
 * several times the usual length every few seconds.
 */
const stepPages = 128;

/** So that the log thread finds the file long enough. Where this fails, the log thread finds that out by itself. */
function reserveAhead(reserve: DiskReserve): void {
  try {
    const used = reserve.usedPages();
    if (used + AHEAD_PAGES > reserve.pages) reserve.grow(used + AHEAD_PAGES + stepPages);
  } catch {}
}

runThread(main);
