// The flush thread as the runtime starts and stops it.
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { fromWire } from '../errors.ts';
import { Thread } from '../thread.ts';
import type { FlushThreadData, FlushThreadReport } from './flush-thread.ts';

export interface FlushEvents {
  /** A null message: a level has moved. */
  wake(): void;
  /** `isFinal`: it is not tried again. */
  sinkError(name: string, error: Error, isFinal: boolean): void;
  failed(cause: string): void;
}

export class FlushThread {
  private readonly thread: Thread;
  private readonly port: MessagePort;

  private constructor(thread: Thread, port: MessagePort) {
    this.thread = thread;
    this.port = port;
  }

  /** `bellPort`: the flush thread's end of the channel on which the sync thread wakes it. */
  static async start(
    settings: Omit<FlushThreadData, 'bellPort' | 'callerPort'>,
    bellPort: MessagePort,
    events: FlushEvents,
  ): Promise<FlushThread> {
    const caller = new MessageChannel();
    caller.port1.on('message', () => events.wake());
    const data: FlushThreadData = { ...settings, bellPort, callerPort: caller.port2 };
    const thread = new Thread('flush', './flush-thread', import.meta.url, data, [bellPort, caller.port2]);
    try {
      await new Promise<void>((resolve, reject) => {
        thread.ended.catch(reject);
        thread.worker.on('message', (message: FlushThreadReport) => {
          if (message.type === 'ready') resolve();
          else if (message.type === 'failed') reject(fromWire(message.error));
          else if (message.type === 'sink-error')
            events.sinkError(message.name, fromWire(message.error), message.retryInMs === undefined);
        });
      });
    } catch (error) {
      caller.port1.close();
      throw error;
    }
    thread.ended.catch((error: Error) => events.failed(error.message));
    return new FlushThread(thread, caller.port1);
  }

  /** The stop stage of the flush thread has been set: wait for it. */
  async ended(): Promise<void> {
    this.thread.worker.postMessage(null);
    await this.thread.ended;
    this.port.close();
  }
}
