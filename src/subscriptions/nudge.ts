// Waiting until something is worth another look: for one that waits, and any that wake it. Owned by the host thread.
import { clearTimeout, setTimeout } from '../base/clock.ts';
export class Nudge {
  /** Look again: something has changed. */
  wake: () => void = () => {};
  private isEnding = false;

  /** Resolves at the next `wake`, or when `boundMs` have passed. */
  wait(boundMs?: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = boundMs === undefined ? undefined : setTimeout(resolve, boundMs);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.isEnding) this.wake();
    });
  }

  /** From now on nothing waits. */
  end(): void {
    this.isEnding = true;
    this.wake();
  }
}
