// Plain worker threads of the runtime's own: started from a file beside the caller and awaited to their end. A flag tells
// them to stop, and they return: native code may be running in them. Only one that a user's code holds is terminated.
//
// Invariants: a thread and its caller speak over a channel of their own alone. A worker's public port belongs to all code in it:
// Node's watch mode posts on it, and so do preloads (`--import`). `ended` settles after everything that the thread has
// posted was heard, and whatever a preload keeps open in it.
import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  type Transferable,
  Worker,
  type WorkerOptions,
} from 'node:worker_threads';
import { TrunklineError } from './errors.ts';
import { guarded, unawaited } from './guarded.ts';
import { ownFile } from './own-file.ts';
import { threadArguments } from './thread-arguments.ts';
import type { ThreadEnd } from './thread-entry.ts';

export class Thread {
  readonly name: string;
  /** The caller's end of the channel; the thread's is the `port` in its data. Closed once the thread has ended. */
  readonly port: MessagePort;
  /** Resolves when the thread has returned; rejects with `ThreadFailed` if it died of an error. */
  readonly ended: Promise<void>;
  private readonly worker: Worker;

  /** `entry`: path without extension, relative to `base` (`import.meta.url` of the caller). */
  constructor(name: string, entry: string, base: string, data: object, transferList: Transferable[]) {
    this.name = name;
    const channel = new MessageChannel();
    const ending = new MessageChannel();
    const { port1: port } = channel;
    const { port1: end } = ending;
    const options: WorkerOptions = {
      workerData: { ...data, port: channel.port2, end: ending.port2 },
      transferList: [...transferList, channel.port2, ending.port2],
      name: `trunkline ${name}`,
      ...threadArguments(),
    };
    const worker = new Worker(ownFile(entry, base), options);
    this.port = port;
    this.worker = worker;
    this.ended = new Promise((resolve, reject) => {
      let cause: string | undefined;
      let report: ThreadEnd | undefined;
      // The thread ends itself; this is for one whose `exit` listeners, which are not ours, hold it. No native code runs there.
      const hear = guarded((message: ThreadEnd) => {
        report = message;
        unawaited(worker.terminate());
      });
      end.on('message', hear);
      worker.once('error', (error) => {
        cause ??= error instanceof Error ? (error.stack ?? error.message) : String(error);
      });
      worker.once('exit', (code) => {
        takeAll(port);
        report ??= receiveMessageOnPort(end)?.message as ThreadEnd | undefined;
        port.close();
        end.close();
        if (report !== undefined) cause = report.cause;
        else if (code !== 0) cause ??= `exit code ${code}`;
        if (cause === undefined) resolve();
        else reject(new TrunklineError('ThreadFailed', { thread: name, cause }));
      });
    });
    this.ended.catch(() => {}); // also where nothing waits for it
  }

  /** End it where it stands; `ended` rejects. It must be outside of every transaction, see `shared/exit-guard.ts`. */
  async terminate(): Promise<void> {
    await this.worker.terminate();
  }
}

/** What a thread has posted before its end may arrive after it. */
function takeAll(port: MessagePort): void {
  for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port))
    port.emit('message', next.message);
}
