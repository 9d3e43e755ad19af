// How a shard has fared: how often in a row it has died soon after its start, or as it started. Host thread.
import { backoffMs, jittered } from '../base/backoff.ts';
import { performance } from '../base/clock.ts';
import { tame } from '../base/tame.ts';
import type { StartSettings } from '../model/start-options.ts';

/** One that has lived for so long has started well. */
const soonMs = 10_000;
/** A shortage that lasts for longer passes no more by itself. */
const shortageMs = 120_000;

/** A shard that has died and has not started again yet. */
export interface DownShard {
  shard: number;
  forMs: number;
  /** How often it could not be started since. */
  failedStarts: number;
  /** Why it could not the last time, or why it has died. */
  lastError: string;
}

export class ShardLives {
  /** Deaths in a row as it started, before it had taken a command. */
  atStart = 0;
  private readonly settings: StartSettings;
  private startedAt = performance.now();
  /** Deaths in a row soon after a start. */
  private early = 0;
  /** Since when starts fail for want of something, and of nothing else. */
  private shortSince: number | undefined;
  private readonly shortageMs: number;
  private isShort = false;
  private isDown: { readonly since: number; failedStarts: number; lastError: string } | undefined;

  constructor(settings: StartSettings, longestShortageMs: number = shortageMs) {
    this.settings = settings;
    this.shortageMs = longestShortageMs;
  }

  begun(): void {
    this.startedAt = performance.now();
    this.shortSince = undefined;
    this.isShort = false;
    this.isDown = undefined;
  }

  /** Its thread is gone. */
  gone(cause: string): void {
    this.isDown = { since: performance.now(), failedStarts: 0, lastError: tame(cause) };
  }

  died(hasTaken: boolean): void {
    const isEarly = performance.now() - this.startedAt < soonMs;
    this.early = isEarly ? this.early + 1 : 0;
    this.atStart = isEarly && !hasTaken ? this.atStart + 1 : 0;
  }

  /** The start that is about to fail does so for want of what a thread needs; that is not counted for a time. */
  short(): void {
    this.isShort = true;
  }

  /** It has not even started. */
  failed(cause: string): void {
    this.early++;
    const now = performance.now();
    this.shortSince = this.isShort ? (this.shortSince ?? now) : undefined;
    this.isShort = false;
    if (this.shortSince === undefined || now - this.shortSince >= this.shortageMs) this.atStart++;
    if (this.isDown === undefined) return;
    this.isDown.failedStarts++;
    this.isDown.lastError = tame(cause);
  }

  /** undefined: it runs. */
  get down(): Omit<DownShard, 'shard'> | undefined {
    if (this.isDown === undefined) return undefined;
    const { since, ...rest } = this.isDown;
    return { forMs: Math.round(performance.now() - since), ...rest };
  }

  /** Whether it is not started again. */
  get isHopeless(): boolean {
    return this.atStart >= this.settings.attempts;
  }

  /** Before it is started again: several that die of the same cause do not come back together. */
  get pauseMs(): number {
    if (this.early <= 1) return 0;
    const { minDelayMs: minMs, maxDelayMs: maxMs } = this.settings;
    return jittered(backoffMs(this.early - 1, { minMs, maxMs }));
  }
}
