// Work that is to be done whenever there may be something to do: once at a time, and once more if it was asked for while it
// ran. Whether it is asked for again is looked at in the turn in which the run is given up: no request is lost in between.
import { guarded } from '../base/guarded.ts';

export class Again {
  private readonly work: () => Promise<void>;
  private readonly failed: (error: unknown) => void;
  private running: Promise<void> | undefined;
  private isRunning = false;
  private isAsked = false;

  /** `failed` gets what a run of `work` has thrown; the next run comes when it is asked for. */
  constructor(work: () => Promise<void>, failed: (error: unknown) => void) {
    this.work = work;
    this.failed = guarded(failed);
  }

  /** Begins at once, in this turn, unless it runs already. */
  ask(): void {
    this.isAsked = true;
    if (!this.isRunning) this.running = this.run();
  }

  /** Resolves when nothing runs. */
  async ended(): Promise<void> {
    while (this.isRunning) await this.running;
  }

  private async run(): Promise<void> {
    this.isRunning = true;
    while (this.isAsked) {
      this.isAsked = false;
      try {
        await this.work();
      } catch (error) {
        this.failed(error);
      }
    }
    this.isRunning = false;
  }
}
