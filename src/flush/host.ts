// The flush thread as the runtime starts and stops it.

import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { clearTimeout, pause, setTimeout } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { guarded } from '../base/guarded.ts';
import { type WarnOfModule, watchModule } from '../base/slow-module.ts';
import { Thread } from '../base/thread.ts';
import { fromWire, type WireError } from '../base/wire-error.ts';
import type { ControlBlock } from '../shared/control-block.ts';
import { shutExitGuard } from '../shared/exit-guard.ts';
import type { RefusedEvent } from '../store/store.ts';
import type { FlushThreadData, FlushThreadReport } from './contract.ts';

/** The thread itself gives its sinks two seconds: see `flush-thread.ts`. */
const heldGraceMs = 3_000;
/** What it says itself of a module that is late comes first. */
const silenceGraceMs = 2_000;

export interface FlushEvents {
  /** A null message: a level has moved. */
  wake(): void;
  /** `isFinal`: the sink has stopped. */
  sinkError(name: string, error: TrunklineError, isFinal: boolean): void;
  /** Something that did not stop it. */
  sinkReport(name: string, error: TrunklineError): void;
  /** It has passed over so many events; some of them by name. */
  setAside(name: string, count: number, errors: readonly TrunklineError[]): void;
  /** The store has not taken these events. Not `isNews`: refused in an earlier run, which may not have said so. */
  quarantined(refused: readonly RefusedEvent[], isNews: boolean): void;
  failed(cause: string): void;
  readonly warning: WarnOfModule;
}

type FlushSettings = Omit<FlushThreadData, 'syncPort' | 'hostPort'> & { moduleMs: number };

export class FlushThread {
  /** Resolves when its sinks are open. Rejects where they cannot be; it is there all the same, and `ended` ends it. */
  readonly started: Promise<void>;
  private readonly thread: Thread;
  private readonly port: MessagePort;
  private changes = 0;
  private isHeld = false;

  /** `syncPort`: the flush thread's end of the channel on which the sync thread wakes it. */
  constructor(settings: FlushSettings, syncPort: MessagePort, events: FlushEvents) {
    const caller = new MessageChannel();
    caller.port1.on(
      'message',
      guarded(() => events.wake()),
    );
    const data: FlushThreadData = { ...settings, syncPort, hostPort: caller.port2 };
    this.thread = new Thread('flush', './flush-thread', import.meta.url, data, [syncPort, caller.port2]);
    this.port = caller.port1;
    this.started = this.start(settings.moduleMs, events);
    this.started.catch(() => {}); // the stage waits for it
  }

  private async start(moduleMs: number, events: FlushEvents): Promise<void> {
    const { thread } = this;
    let late: NodeJS.Timeout | undefined;
    let unwatch = (): void => {};
    let isStarting = true;
    try {
      await new Promise<void>((resolve, reject) => {
        const held = (what: string, module: string): void => {
          this.isHeld = true;
          reject(new TrunklineError('StartTimedOut', { what, module, timeoutMs: moduleMs }));
        };
        thread.ended.catch(reject);
        thread.port.on(
          'message',
          guarded((message: FlushThreadReport) => {
            if (message.type === 'ready') resolve();
            else if (message.type === 'failed') reject(fromWire(message.error));
            else if (message.type === 'starting') {
              clearTimeout(late);
              unwatch();
              if (!isStarting) return;
              const { what, module } = message;
              unwatch = watchModule({ what, module, timeoutMs: moduleMs }, events.warning);
              late = setTimeout(
                guarded(() => held(what, module)),
                moduleMs + silenceGraceMs,
              );
            } else hear(message, events);
          }),
        );
      });
    } finally {
      isStarting = false;
      clearTimeout(late);
      unwatch();
    }
    thread.ended.catch((error: Error) => {
      if (!this.isHeld) events.failed(error.message); // else `close` tells of it
    });
  }

  /** Resolves when the sink has taken a change of its settings. */
  async configure(name: string | undefined, change: object): Promise<void> {
    if (name === undefined) {
      const reason = 'needs a stream, and none is configured';
      throw new TrunklineError('InvalidOptions', { option: 'stream', reason });
    }
    const number = this.changes++;
    const { port } = this.thread;
    return new Promise((resolve, reject) => {
      const onMessage = guarded((message: FlushThreadReport) => {
        if (message.type !== 'configured' || message.number !== number) return;
        port.off('message', onMessage);
        if (message.error) reject(fromWire(message.error));
        else resolve();
      });
      port.on('message', onMessage);
      this.thread.ended.then(
        () => reject(new TrunklineError('RuntimeClosed', { state: 'closed' })),
        (error: Error) => reject(error),
      );
      port.postMessage({ type: 'configure', name, change, number });
    });
  }

  /**
   * The stop stage of the flush thread has been set: wait for it. If it still has not returned some time after `abandoned`
   * has resolved, a sink's synchronous code holds it: it is ended, outside of every transaction of the store.
   */
  async ended(control: ControlBlock, abandoned: Promise<void>): Promise<void> {
    this.thread.port.postMessage(null);
    const late = this.isHeld ? 'late' : abandoned.then(() => pause(heldGraceMs, 'late', { ref: false }));
    try {
      if ((await Promise.race([this.thread.ended, late])) !== 'late') return;
      this.isHeld = true;
      await shutExitGuard(control);
      await this.thread.terminate();
    } finally {
      this.port.close();
    }
  }
}

/** What its sinks report while it runs. */
function hear(message: FlushThreadReport, events: FlushEvents): void {
  const errorOf = (error: WireError): TrunklineError => fromWire(error) as TrunklineError;
  if (message.type === 'sink-error') {
    events.sinkError(message.name, errorOf(message.error), message.retryInMs === undefined);
  } else if (message.type === 'sink-report') events.sinkReport(message.name, errorOf(message.error));
  else if (message.type === 'set-aside') events.setAside(message.name, message.count, message.errors.map(errorOf));
  else if (message.type === 'quarantined') events.quarantined(message.refused, message.isNews);
}
