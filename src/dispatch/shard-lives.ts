// How a shard has fared: how often in a row it has died soon after its start, or as it started. Host thread.
import { backoffMs, jittered } from '../base/backoff.ts';
import { performance } from '../base/clock.ts';
import type { StartSettings } from '../model/start-options.ts';

/** One that has lived for so long has started well. */
const soonMs = 10_000;
/** A shortage that lasts for longer passes no more by itself, or is none: it is known by an error's words (base/shortage.ts). */
const shortageMs = 120_000;

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

  constructor(settings: StartSettings, longestShortageMs: number = shortageMs) {
    this.settings = settings;
    this.shortageMs = longestShortageMs;
  }

  begun(): void {
    this.startedAt = performance.now();
    this.shortSince = undefined;
  }

  died(hasTaken: boolean): void {
    const isEarly = performance.now() - this.startedAt < soonMs;
    this.early = isEarly ? this.early + 1 : 0;
    this.atStart = isEarly && !hasTaken ? this.atStart + 1 : 0;
  }

  /** It has not even started. `isShort`: for want of what a thread needs, which says nothing of its modules; for a time that is not counted. */
  failed(isShort: boolean): void {
    this.early++;
    const now = performance.now();
    this.shortSince = isShort ? (this.shortSince ?? now) : undefined;
    if (this.shortSince === undefined || now - this.shortSince >= this.shortageMs) this.atStart++;
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
