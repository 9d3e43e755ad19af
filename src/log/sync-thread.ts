// Entry of the sync thread: a leaf. Opens the log's data file for itself, syncs until told to stop, marks the log's end as
// clean, and returns. workerData: {@link SyncThreadData}; posts one {@link SyncThreadFailure} if a sync fails.
import { closeSync, fdatasyncSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { Bell } from '../ring/bell.ts';
import { Levels, LevelWord } from './levels.ts';
import { markClean, markPoisoned } from './marker.ts';
import { syncUntilStopped } from './sync.ts';

export interface SyncThreadData {
  levels: SharedArrayBuffer;
  dataFile: string;
  callerPort?: MessagePort;
  flushPort?: MessagePort;
}

export interface SyncThreadFailure {
  poisoned: string;
}

const { levels: memory, dataFile, callerPort, flushPort } = workerData as SyncThreadData;
const levels = new Levels(memory);
const descriptor = openSync(dataFile, 'r');
const failure = syncUntilStopped({
  levels,
  sync: () => fdatasyncSync(descriptor),
  flushBell: new Bell(levels.words, LevelWord.flushBell, flushPort),
  callerBell: new Bell(levels.words, LevelWord.callerBell, callerPort),
});
if (failure !== undefined) {
  parentPort?.postMessage({ poisoned: String(failure) } satisfies SyncThreadFailure);
  markPoisoned(dirname(dataFile));
} else if (levels.flag(LevelWord.poisoned) === 0) {
  markClean(dirname(dataFile), levels.position('synced'));
}
closeSync(descriptor);
callerPort?.close();
flushPort?.close();
