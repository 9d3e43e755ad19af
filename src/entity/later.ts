// Looks again a moment later, where no notification comes. Owned by the host thread.
import { clearTimeout, setTimeout } from '../base/clock.ts';
import { guarded } from '../base/guarded.ts';

const laterMs = 5;

export class Later {
  private readonly look: () => void;
  private timer: NodeJS.Timeout | undefined;

  constructor(look: () => void) {
    this.look = guarded(() => {
      this.timer = undefined;
      look();
    });
  }

  start(): void {
    this.timer ??= setTimeout(this.look, laterMs);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
