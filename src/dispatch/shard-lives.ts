// How a shard has fared: how often in a row it has died soon after its start, or as it started. Host thread.
import { backoffMs, jittered } from '../base/backoff.ts';
import { performance } from '../base/clock.ts';
import type { StartSettings } from '../model/start-options.ts';

/** One that has lived for so long has started well. */
const soonMs = 10_000;

export class ShardLives {
  /** Deaths in a row as it started, before it had taken a command. */
  atStart = 0;
  private readonly settings: StartSettings;
  private startedAt = performance.now();
  /** Deaths in a row soon after a start. */
  private early = 0;

  constructor(settings: StartSettings) {
    this.settings = settings;
  }

  begun(): void {
    this.startedAt = performance.now();
  }

  died(hasTaken: boolean): void {
    const isEarly = performance.now() - this.startedAt < soonMs;
    this.early = isEarly ? this.early + 1 : 0;
    this.atStart = isEarly && !hasTaken ? this.atStart + 1 : 0;
  }

  /** It has not even started. `isShort`: for want of what a thread needs, which says nothing of its modules. */
  failed(isShort: boolean): void {
    this.early++;
    if (!isShort) this.atStart++;
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
