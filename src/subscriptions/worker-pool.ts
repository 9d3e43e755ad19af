// A handler in threads of its own. What blocks or ends a thread there costs the service nothing: a call whose thread has gone is a
// failed attempt, one that has not come to a thread is none, and another takes its place. Owned by the host thread.
//
// Invariant: a call ends. One that is out of time gets its signal aborted; if it goes on for `blockedGraceMs` all the same, its thread is
// ended where it stands. A call takes a thread that is free or a new one: no more calls are made at a time than there may be threads.

import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { clearTimeout, setTimeout } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { guarded } from '../base/guarded.ts';
import { onAbort } from '../base/on-abort.ts';
import { ownFile } from '../base/own-file.ts';
import { type WarnOfModule, watchModule } from '../base/slow-module.ts';
import { tame } from '../base/tame.ts';
import { TaskThread } from '../base/thread-for-tasks.ts';
import type { StoredEvent } from '../model/event.ts';
import type { Attempt } from './attempt.ts';
import type { HandlerFn } from './handler-code.ts';
import type { WorkerHandlerData, WorkerNote, WorkerTask } from './worker-thread.ts';

/** A call that is out of time for longer is ended with its thread. */
const blockedGraceMs = 1_000;
/** The same at the end. */
const closeGraceMs = 5_000;

type Given = Pick<Attempt, 'effectKey' | 'attempt' | 'dryRun' | 'signal' | 'waits' | 'called'>;

export class WorkerPool {
  private readonly module: string;
  private readonly loadMs: number;
  private readonly data: WorkerHandlerData;
  private readonly threads = new Set<TaskThread>();
  private readonly free: TaskThread[] = [];
  private isClosed = false;

  /** `loadMs`: a module that takes longer to load is tried again. */
  constructor(module: string, loadMs: number, moduleRoots?: readonly string[] | undefined) {
    this.module = module;
    this.loadMs = loadMs;
    this.data = { module, moduleRoots };
  }

  readonly call: HandlerFn = (event: StoredEvent, attempt: Attempt) =>
    this.run(event.toJSON() as WorkerTask['event'], attempt);

  /** Resolves when a thread has loaded the module: before the first event, which is not to blame for it. */
  async load(warn: WarnOfModule): Promise<void> {
    const { module, loadMs: timeoutMs } = this;
    const start = { what: 'a handler', module, timeoutMs };
    const signal = AbortSignal.timeout(timeoutMs);
    const unwatch = watchModule(start, warn);
    try {
      await this.run(undefined, { effectKey: '', attempt: 1, dryRun: true, signal, waits: () => {}, called: () => {} });
    } catch (error) {
      if (!signal.aborted) throw error;
      throw new TrunklineError('StartTimedOut', start);
    } finally {
      unwatch();
    }
  }

  private async run(event: WorkerTask['event'], given: Given): Promise<void> {
    const { effectKey, attempt, dryRun, signal } = given;
    given.waits();
    const { port1, port2 } = new MessageChannel();
    const task: WorkerTask = { event, effectKey, attempt, dryRun, port: port2 };
    const blocked = new AbortController();
    let grace: NodeJS.Timeout | undefined;
    const abort = (): void => {
      grace = setTimeout(
        guarded(() => blocked.abort()),
        blockedGraceMs,
      );
      port1.postMessage(tame(signal.reason));
    };
    let failed: string | undefined;
    let hasThrown = false;
    const hear = (note: WorkerNote): void => {
      if (note === 'begun') given.called();
      else if (note === 'threw') hasThrown = true;
      else failed = note.failed;
    };
    port1.on('message', guarded(hear));
    // What it has said may come behind its end.
    const hearLast = (): void => {
      for (let last = receiveMessageOnPort(port1); last; last = receiveMessageOnPort(port1)) hear(last.message);
    };
    const goesOn = (): boolean => {
      hearLast();
      return hasThrown && !blocked.signal.aborted;
    };
    const forget = onAbort(signal, abort);
    try {
      await this.runInThread(task, port2, blocked, goesOn);
    } catch (error) {
      throw failed === undefined ? error : new Error(`${this.module} cannot be loaded: ${failed}`);
    } finally {
      clearTimeout(grace);
      forget();
      port1.close();
    }
  }

  /** `goesOn`: the handler itself has failed, and its thread, with what the module holds, takes the next call. */
  private async runInThread(
    task: WorkerTask,
    port: MessagePort,
    blocked: AbortController,
    goesOn: () => boolean,
  ): Promise<void> {
    if (this.isClosed) throw new Error('its threads have been closed');
    const { data, threads, free } = this;
    const thread = free.pop() ?? new TaskThread(ownFile('./worker-thread', import.meta.url), data, closeGraceMs);
    threads.add(thread);
    try {
      await thread.run(task, [port], blocked);
      free.push(thread);
    } catch (error) {
      if (goesOn()) free.push(thread);
      else {
        await thread.close();
        threads.delete(thread);
      }
      throw error;
    }
  }

  /** What runs may end. */
  async close(): Promise<void> {
    this.isClosed = true;
    await Promise.all([...this.threads].map((thread) => thread.close()));
  }
}
