// The log as the runtime starts and stops it: the log thread and the sync thread.

import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { TrunklineError } from '../base/errors.ts';
import { guarded } from '../base/guarded.ts';
import { Thread } from '../base/thread.ts';
import { fromWire } from '../base/wire-error.ts';
import { type ControlBlockWriter, Signal, StopStage } from '../shared/control-block.ts';
import { announceMessage, endLinger } from '../shared/log-signals.ts';
import type { Notifier } from '../shared/notifier.ts';
import type { LogThreadData, LogThreadMessage, LogThreadReport, RecoveryReport, RetentionNews } from './log.ts';
import type { Lost } from './losses.ts';
import type { SyncThreadData, SyncThreadFailure } from './sync-thread.ts';

export type LogSettings = Omit<LogThreadData, 'controlBlock'>;

export interface LogEvents {
  /** A null message: look at the rings. */
  wake(): void;
  /** A write or a sync has failed. */
  poisoned(cause: string): void;
  /** The log's file cannot grow, and nothing is appended until it can; or it can again. */
  diskFull(isFull: boolean): void;
  retention(news: RetentionNews): void;
}

export class LogThreads {
  readonly recovery: RecoveryReport;
  readonly logId: string;
  /** Lowest position that anyone still needed, as the last run knew it. */
  readonly recoveredFloor: number;
  /** Positions that recoveries have given up. */
  readonly lost: readonly Lost[];
  private readonly control: ControlBlockWriter<'host'>;
  private readonly syncWake: MessagePort;
  private readonly logThread: Thread;
  private readonly syncThread: Thread;
  private readonly notifier: Notifier;
  private readonly detached = new Map<number, { resolve: () => void; reject: (error: unknown) => void }>();
  private hasEnded = false;
  private lastKey = 0;

  private constructor(
    control: ControlBlockWriter<'host'>,
    syncWake: MessagePort,
    threads: { log: Thread; sync: Thread },
    ready: { recovery: RecoveryReport; floor: number; lost: readonly Lost[]; logId: string },
  ) {
    this.control = control;
    this.syncWake = syncWake;
    this.logThread = threads.log;
    this.syncThread = threads.sync;
    this.recovery = ready.recovery;
    this.logId = ready.logId;
    this.recoveredFloor = ready.floor;
    this.lost = ready.lost;
    this.notifier = control.notifier(Signal.logNotifier);
    const ended = (): void => {
      this.hasEnded = true;
      for (const { reject } of this.detached.values()) reject(logEndedError());
      this.detached.clear();
    };
    this.logThread.ended.then(ended, ended);
  }

  /** Recover the log and start both threads. `flushPort`: where the sync thread wakes the flush thread. */
  static async start(
    settings: LogSettings,
    control: ControlBlockWriter<'host'>,
    events: LogEvents,
    flushPort: MessagePort,
  ): Promise<LogThreads> {
    const data: LogThreadData = { ...settings, controlBlock: control.memory };
    const log = new Thread('log', './thread', import.meta.url, data, []);
    let threads: LogThreads | undefined;
    const started = new Promise<Extract<LogThreadReport, { type: 'ready' }>>((resolve, reject) => {
      log.port.on(
        'message',
        guarded((message: LogThreadReport | null) => {
          if (message === null) return events.wake();
          if (message.type === 'ready') return resolve(message);
          if (message.type === 'failed') return reject(fromWire(message.error));
          if (message.type === 'poisoned') return events.poisoned(message.cause);
          if (message.type === 'disk') return events.diskFull(message.isFull);
          if (message.type === 'retention') return events.retention(message);
          threads?.detached.get(message.key)?.resolve();
          threads?.detached.delete(message.key);
        }),
      );
      log.ended.catch(reject);
    });
    try {
      const ready = await started;
      const wake = new MessageChannel();
      wake.port1.on(
        'message',
        guarded(() => events.wake()),
      );
      const syncData: SyncThreadData = {
        controlBlock: control.memory,
        dataFile: ready.dataFile,
        hostPort: wake.port2,
        flushPort,
      };
      const sync = new Thread('sync', './sync-thread', import.meta.url, syncData, [wake.port2, flushPort]);
      sync.port.on(
        'message',
        guarded((failure: SyncThreadFailure) => events.poisoned(failure.poisoned)),
      );
      for (const thread of [log, sync]) thread.ended.catch(guarded((error: Error) => events.poisoned(error.message)));
      threads = new LogThreads(control, wake.port1, { log, sync }, ready);
      return threads;
    } catch (error) {
      control.setFlag(Signal.stopping, StopStage.log);
      control.notifier(Signal.logNotifier).notify();
      await log.ended.catch(() => {});
      throw error;
    }
  }

  /** What it has last said by `retention`. */
  get retentionIsGivenUp(): boolean {
    return this.control.flag(Signal.retentionGivenUp) !== 0;
  }

  /** Take groups from this ring from now on; returns the key by which it goes. */
  attach(ring: SharedArrayBuffer): number {
    const key = ++this.lastKey;
    this.tell({ type: 'attach', key, ring });
    return key;
  }

  /** The ring's producer is gone: resolves when everything that it published is written, rejects if it never will be. */
  detach(key: number): Promise<void> {
    if (this.hasEnded) return Promise.reject(logEndedError());
    const done = new Promise<void>((resolve, reject) => this.detached.set(key, { resolve, reject }));
    this.tell({ type: 'detach', key });
    return done;
  }

  private tell(message: LogThreadMessage): void {
    this.logThread.port.postMessage(message);
    announceMessage(this.control);
    this.notifier.notify();
  }

  /** The stop stage of the log has been set: wait for its thread. */
  async logEnded(): Promise<void> {
    this.notifier.notify();
    await this.logThread.ended;
  }

  /** The stop stage of the sync thread has been set: wait for it. */
  async syncEnded(): Promise<void> {
    this.control.notifier(Signal.syncNotifier).notify();
    endLinger(this.control);
    try {
      await this.syncThread.ended;
    } finally {
      this.syncWake.close();
    }
  }
}

const logEndedError = (): TrunklineError =>
  new TrunklineError('ThreadFailed', { thread: 'log', cause: 'it has ended, and writes nothing more' });
