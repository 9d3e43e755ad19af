// The shards' threads: one Piscina pool, one long-lived task in each of its workers. A shard that dies is started again on
// new rings, after its old ones have been read to the end.

import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { clearTimeout, setTimeout } from '../clock.ts';
import { fromWire, TrunklineError } from '../errors.ts';
import { guarded, unawaited } from '../guarded.ts';
import { Levels, LevelWord } from '../log/levels.ts';
import { ownFile } from '../own-file.ts';
import { Bell } from '../ring/bell.ts';
import { createRing } from '../ring/ring.ts';
import { settingsForThreads } from '../store/postgres/postgres.ts';
import type { ShardData, ShardReport } from './actor.ts';

/** What all shards of a runtime have in common. */
export type ShardSettings = Omit<ShardData, 'index' | 'commandRing' | 'eventRing' | 'bell' | 'outbox'> & {
  ringBytes: number;
  /** How long one module of the user's may take at the start. */
  moduleMs: number;
};

/** A shard that has started. */
export interface RunningShard {
  readonly index: number;
  readonly commandRing: SharedArrayBuffer;
  readonly eventRing: SharedArrayBuffer;
  readonly bell: Bell;
  /** Names of each type's commands, as the shard has imported them. */
  readonly commands: string[][];
}

export interface PoolEvents {
  /** A null message: look after the rings. */
  wake(): void;
  warning(message: string, details: Record<string, unknown>): void;
  /** The thread of a shard that had started is gone. */
  died(shard: RunningShard, cause: string): void;
}

export class ShardPool {
  private readonly pool: Piscina;
  private readonly settings: ShardSettings;
  private readonly events: PoolEvents;
  private readonly running = new Map<number, Promise<unknown>>();
  private readonly threadIds = new Map<number, number>();

  constructor(settings: ShardSettings, events: PoolEvents) {
    this.settings = settings;
    this.events = events;
    this.pool = new Piscina({
      filename: ownFile('./thread', import.meta.url).href,
      minThreads: settings.shards,
      maxThreads: settings.shards,
      concurrentTasksPerWorker: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
    });
    // A worker's death is told by its task's rejection; without a listener the event would be thrown as well.
    this.pool.on('error', () => {});
  }

  /** Start one shard; `attach` gives its event ring to the log thread before the shard writes into it. */
  start(index: number, attach: (eventRing: SharedArrayBuffer) => void): Promise<RunningShard> {
    const { settings } = this;
    const commandRing = createRing(settings.ringBytes);
    const eventRing = createRing(settings.ringBytes);
    attach(eventRing);
    const bell = new MessageChannel();
    const outbox = new MessageChannel();
    const { moduleMs, ...common } = settings;
    const postgres = settings.postgres && settingsForThreads(settings.postgres);
    const data: ShardData = {
      ...common,
      postgres,
      index,
      commandRing,
      eventRing,
      bell: bell.port2,
      outbox: outbox.port2,
    };
    const levels = new Levels(settings.levels);
    const shardBell = new Bell(levels.words, LevelWord.firstShardBell + index, bell.port1);
    levels.setFlag(LevelWord.firstShardBell + index, 0);
    return new Promise((resolve, reject) => {
      let shard: RunningShard | undefined;
      let dying: string | undefined;
      let late: NodeJS.Timeout | undefined;
      const held = (module: string): void => {
        const what = `shard ${index}`;
        reject(new TrunklineError('StartTimedOut', { what, module, timeoutMs: moduleMs }));
        unawaited(this.terminate(this.threadIds.get(index)));
      };
      const take = (message: ShardReport | null): void => {
        if (message === null) return this.events.wake();
        if (message.type === 'warning') return this.events.warning(message.message, message.details);
        if (message.type === 'dying') {
          dying = message.cause;
          return;
        }
        clearTimeout(late);
        if (message.type === 'importing') {
          late = setTimeout(
            guarded(() => held(message.module)),
            moduleMs,
          );
          return;
        }
        if (message.type === 'failed') return reject(fromWire(message.error));
        if (message.type === 'begun') {
          this.threadIds.set(index, message.threadId);
          return;
        }
        shard = { index, commandRing, eventRing, bell: shardBell, commands: message.commands };
        resolve(shard);
      };
      outbox.port1.on('message', guarded(take));
      const end = (cause: string): void => {
        // The task's end may overtake what the shard has reported.
        for (let last = receiveMessageOnPort(outbox.port1); last; last = receiveMessageOnPort(outbox.port1))
          take(last.message);
        clearTimeout(late);
        this.threadIds.delete(index);
        bell.port1.close();
        outbox.port1.close();
        if (cause !== '' && shard) this.events.died(shard, dying ?? cause);
        else reject(new TrunklineError('ThreadFailed', { thread: `shard ${index}`, cause: cause || 'it returned' }));
      };
      const ended = this.pool.run(data, { transferList: [bell.port2, outbox.port2] }).then(
        () => end(''),
        (error: Error) => end(error?.message ?? String(error)),
      );
      this.running.set(index, ended);
    });
  }

  /** All shards have returned. */
  async ended(): Promise<void> {
    await Promise.all(this.running.values());
  }

  /**
   * End the thread of each shard that has not returned, although told to: the code of one command, or of a module that it
   * imports as it starts, holds it, so that no native code of ours runs there.
   */
  async terminateHeld(): Promise<void> {
    await Promise.all([...this.threadIds.values()].map((threadId) => this.terminate(threadId)));
  }

  private async terminate(threadId: number | undefined): Promise<void> {
    await this.pool.threads.find((thread) => thread.threadId === threadId)?.terminate();
  }

  /** Give the threads back; their tasks have ended, so that no native code runs in them. */
  async close(): Promise<void> {
    await this.ended();
    await this.pool.close();
  }
}
