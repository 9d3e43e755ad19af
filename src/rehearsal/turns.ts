// A rehearsal works in turns: the process has other work, too, and a signal comes in a turn of its own.

import { performance, yieldToLoop } from '../base/clock.ts';

const turnMs = 20;
const progressMs = 1_000;

export class Turns {
  private readonly signal: AbortSignal | undefined;
  private readonly tell: () => void;
  private endsAt: number = performance.now() + turnMs;
  private progressAt: number = performance.now() + progressMs;

  /** `tell`: called once a second at most. */
  constructor(signal: AbortSignal | undefined, tell: () => void) {
    this.signal = signal;
    this.tell = tell;
  }

  /** Whether the rehearsal is to end. */
  get isEnded(): boolean {
    return this.signal?.aborted === true;
  }

  get isOver(): boolean {
    return performance.now() >= this.endsAt;
  }

  /** Lets others run. */
  async next(): Promise<void> {
    await yieldToLoop();
    const now = performance.now();
    this.endsAt = now + turnMs;
    if (now < this.progressAt) return;
    this.progressAt = now + progressMs;
    this.tell();
  }
}
