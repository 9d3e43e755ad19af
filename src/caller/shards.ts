// The shards as the caller runs them: starts each with a line to it, and replaces the line when a shard has died.

import { type RunningShard, ShardPool, type ShardSettings } from '../actor/pool.ts';
import type { AnyAggregate } from '../aggregate.ts';
import { TrunklineError } from '../errors.ts';
import type { Caller } from './caller.ts';
import { Line } from './line.ts';

export interface ShardsEvents {
  warning(message: string, details: Record<string, unknown>): void;
  died(shard: number, cause: string): void;
  /** A shard could not be started again: the runtime is of no use any more. */
  failed(error: TrunklineError): void;
}

/** Gives rings to the log thread, and takes them away once they have been drained. */
export interface RingKeeper {
  attach(ring: SharedArrayBuffer): number;
  detach(key: number): Promise<void>;
}

export class Shards {
  restartCount = 0;
  private readonly caller: Caller;
  private readonly log: RingKeeper;
  private readonly types: readonly AnyAggregate[];
  private readonly events: ShardsEvents;
  private readonly pool: ShardPool;
  private readonly count: number;
  private readonly ringKeys: number[] = [];
  private readonly restarts: Promise<void>[] = [];
  private stopping = false;

  constructor(
    caller: Caller,
    log: RingKeeper,
    types: readonly AnyAggregate[],
    settings: ShardSettings,
    events: ShardsEvents,
  ) {
    this.caller = caller;
    this.log = log;
    this.types = types;
    this.events = events;
    this.count = settings.shards;
    this.pool = new ShardPool(settings, {
      wake: () => caller.turn(),
      warning: events.warning,
      died: (shard, cause) => this.restarts.push(this.restart(shard, cause)),
    });
  }

  async start(): Promise<void> {
    const starts = Array.from({ length: this.count }, (_, index) => this.startOne(index));
    for (const [index, result] of (await Promise.allSettled(starts)).entries()) {
      if (result.status === 'rejected') throw result.reason;
      this.caller.lines[index] = result.value;
    }
  }

  private async startOne(index: number): Promise<Line> {
    const shard = await this.pool.start(index, (ring) => {
      this.ringKeys[index] = this.log.attach(ring);
    });
    for (const [typeIndex, { name: aggregateType, module, commands }] of this.types.entries()) {
      const [here, there] = [Object.keys(commands).join(), shard.commands[typeIndex]!.join()];
      if (here === there) continue;
      const reason = `its commands there are ${there}, and here ${here}`;
      throw new TrunklineError('ModuleMismatch', { module, aggregateType, reason });
    }
    return new Line(index, shard.commandRing, shard.eventRing, shard.bell);
  }

  /** Read the dead shard's ring to the end, tell its callers what is known, and start another. */
  private async restart({ index }: RunningShard, cause: string): Promise<void> {
    if (this.stopping) return;
    const { caller } = this;
    const dead = caller.lines[index]!;
    this.restartCount++;
    this.events.died(index, cause);
    await this.log.detach(this.ringKeys[index]!);
    caller.turn();
    caller.failLine(dead, `its shard died (${cause})`);
    try {
      caller.replaceLine(dead, await this.startOne(index));
      caller.turn();
    } catch (error) {
      this.events.failed(new TrunklineError('ThreadFailed', { thread: `shard ${index}`, cause: String(error) }));
    }
  }

  /** The shards' stop stage has been set: wait for them, and give their threads back. */
  async close(): Promise<void> {
    this.stopping = true;
    for (const line of this.caller.lines) line?.ring();
    await Promise.all(this.restarts);
    await this.pool.close();
  }
}
