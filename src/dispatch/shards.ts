// The shards as the caller runs them: starts each with a line to it, and replaces the line when a shard has died.
//
// Invariant: whatever a shard's death asks for, its line, comes of the promise of its start; so a shard may die while others
// still start, and before this thread has seen that it has started.

import { clearInterval, pause, performance, setInterval } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { guarded, unawaited } from '../base/guarded.ts';
import { pauseUnless } from '../base/on-abort.ts';
import { StopSteps } from '../base/stop-steps.ts';
import type { StartSettings } from '../model/start-options.ts';
import { ShardPool } from '../shard/pool.ts';
import type { RunningShard, ShardSettings } from '../shard/shard-start.ts';
import { ControlBlock } from '../shared/control-block.ts';
import type { InFlight } from './in-flight.ts';
import { ShardChannel } from './shard-channel.ts';
import { type DownShard, ShardLives } from './shard-lives.ts';

const lookEveryMs = 1_000;
const abandonGraceMs = 1_000; // a shard looks at its flags every few milliseconds, unless a command holds it

/** A shard whose thread one command's synchronous code does not give back. */
export interface HeldShard {
  shard: number;
  forMs: number;
}

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

/** The host's side of commands: who sends them, and reads what comes back. */
export interface ShardUser {
  readonly inFlight: InFlight;
  turn(): void;
}

export class Shards {
  restartCount = 0;
  /** Starts that were of no use: the shard died before it had taken a command. */
  deathsAtStart = 0;
  private readonly user: ShardUser;
  private readonly log: RingKeeper;
  private readonly events: ShardsEvents;
  private readonly pool: ShardPool;
  private readonly count: number;
  /** By shard; undefined: the log thread has none of it. */
  private readonly ringKeys: (number | undefined)[] = [];
  /** By shard. Commands in flight get them once all shards have started: commands go by how many there are. */
  private readonly channels: ShardChannel[] = [];
  private readonly starts: Promise<ShardChannel>[] = [];
  private readonly restarts = new Set<Promise<void>>();
  private readonly control: ControlBlock;
  private readonly beats: { beat: number; since: number; isHeld: boolean }[];
  private watch: NodeJS.Timeout | undefined;
  private readonly lives: ShardLives[];
  private stopping = false;
  private readonly stop = new AbortController();

  constructor(user: ShardUser, log: RingKeeper, settings: ShardSettings, starts: StartSettings, events: ShardsEvents) {
    this.user = user;
    this.log = log;
    this.events = events;
    this.count = settings.shards;
    this.control = new ControlBlock(settings.controlBlock);
    this.lives = Array.from({ length: this.count }, () => new ShardLives(starts));
    this.beats = Array.from({ length: this.count }, () => ({ beat: -1, since: 0, isHeld: false }));
    this.pool = new ShardPool(settings, {
      wake: () => user.turn(),
      warning: events.warning,
      short: (shard) => this.lives[shard]!.short(),
      died: (shard, cause) => {
        const restart = this.restart(shard, cause).finally(() => this.restarts.delete(restart));
        this.restarts.add(restart);
        unawaited(restart);
      },
    });
  }

  async start(): Promise<void> {
    const starts = Array.from({ length: this.count }, (_, index) => this.startOne(index));
    for (const result of await Promise.allSettled(starts)) if (result.status === 'rejected') throw result.reason;
    this.user.inFlight.channels.push(...this.channels);
    this.watch = setInterval(
      guarded(() => this.look()),
      lookEveryMs,
    ).unref();
  }

  private startOne(index: number): Promise<ShardChannel> {
    const start = this.makeLine(index);
    this.starts[index] = start;
    return start;
  }

  private async makeLine(index: number): Promise<ShardChannel> {
    const shard = await this.pool.start(index, (ring) => {
      this.ringKeys[index] = this.log.attach(ring);
    });
    const channel = new ShardChannel(index, shard.commandRing, shard.eventRing, shard.notifier);
    this.channels[index] = channel;
    this.lives[index]!.begun();
    this.beats[index] = { beat: this.control.beatOf(index), since: performance.now(), isHeld: false };
    return channel;
  }

  /** Read the dead shard's ring to the end, tell its callers what is known, and start another. */
  private async restart({ index }: RunningShard, cause: string): Promise<void> {
    if (this.stopping) return;
    const { user } = this;
    const { inFlight } = user;
    const dead = await this.starts[index]!.catch(() => undefined);
    if (dead === undefined) return;
    this.restartCount++;
    this.lives[index]!.gone(cause);
    try {
      dead.seal();
      this.events.died(index, cause);
      await this.detach(index);
      user.turn();
      inFlight.failLine(dead, `its shard died (${cause})`);
      this.lives[index]!.died(dead.hasTakenAny);
      if (!dead.hasTakenAny) this.deathsAtStart++;
      const next = await this.startAgain(index, cause);
      if (next === undefined) return;
      if (inFlight.channels.length > 0) inFlight.replaceLine(dead, next);
      user.turn();
    } catch (error) {
      if (this.stopping) return;
      this.events.failed(
        new TrunklineError('ThreadFailed', {
          thread: `shard ${index}`,
          cause: error instanceof Error ? error.message : String(error),
        }),
      );
    }
  }

  /** Again and again, with longer and longer pauses, as long as there is hope. undefined: the runtime stops. */
  private async startAgain(index: number, cause: string): Promise<ShardChannel | undefined> {
    const lives = this.lives[index]!;
    for (let last = cause; ; ) {
      if (lives.isHopeless) throw new Error(`it has died ${lives.atStart} times in a row as it started: ${last}`);
      await pauseUnless(this.stop.signal, lives.pauseMs);
      if (this.stopping) return undefined;
      try {
        return await this.startOne(index);
      } catch (error) {
        if (this.stopping) return undefined;
        last = String(error);
        lives.failed(last);
        this.deathsAtStart++;
        this.events.died(index, last);
        await this.detach(index);
      }
    }
  }

  private async detach(index: number): Promise<void> {
    const key = this.ringKeys[index];
    this.ringKeys[index] = undefined;
    if (key !== undefined) await this.log.detach(key);
  }

  /**
   * The shards' stop stage has been set: wait for them and their threads. Once `abandoned` has resolved, a
   * shard that still does not return is held by a command's code, and its thread is ended.
   */
  async close(abandoned: Promise<void>): Promise<void> {
    this.stopping = true;
    this.stop.abort();
    clearInterval(this.watch);
    this.wakeAll();
    const ended = Promise.all([...this.restarts, this.pool.ended()]);
    const late = abandoned.then(() => {
      this.wakeAll();
      return pause(abandonGraceMs, 'late', { ref: false });
    });
    const steps = new StopSteps();
    await steps.take('their threads', async () => {
      if ((await Promise.race([ended, late])) === 'late') await this.pool.terminateHeld();
      await ended;
    });
    steps.end();
  }

  private wakeAll(): void {
    for (const channel of this.channels) channel?.ring();
  }

  /** Live actors in all of them. */
  get actors(): number {
    let actors = 0;
    for (let shard = 0; shard < this.count; shard++) actors += this.control.actorsOf(shard);
    return actors;
  }

  /** Shards that one command's synchronous code holds, and for how long already. */
  get held(): HeldShard[] {
    const now = performance.now();
    return this.beats.flatMap(({ since, isHeld }, shard) =>
      isHeld && this.lives[shard]!.down === undefined ? [{ shard, forMs: Math.round(now - since) }] : [],
    );
  }

  /** Shards that have died, and have not started again yet. */
  get down(): DownShard[] {
    return this.lives.flatMap(({ down }, shard) => (down === undefined ? [] : [{ shard, ...down }]));
  }

  /** A thread that has turned neither its own loop nor its event loop since the last look, and does not block, is held: unless there is none. */
  private look(): void {
    const { control } = this;
    for (let shard = 0; shard < this.count; shard++) {
      const beat = control.beatOf(shard);
      const sleeps = control.isShardBlocked(shard) || this.lives[shard]!.down !== undefined;
      const before = this.beats[shard]!;
      if (sleeps || beat !== before.beat) this.beats[shard] = { beat, since: performance.now(), isHeld: false };
      else if (!before.isHeld && performance.now() - before.since > lookEveryMs / 2) {
        // One that has come back a moment ago has had no time to turn.
        before.isHeld = true;
        const message = 'a command holds its shard: its synchronous code has not returned for a second';
        this.events.warning(message, { shard });
      }
    }
  }
}
