// How the reading of a subscription waits for a store that is unavailable, and what it says of that. Owned by the host thread.
import type { StoreBackoff } from '../handler-state/store-backoff.ts';
import type { Nudge } from './nudge.ts';

export class StoreWait implements StoreBackoff {
  private readonly nudge: Nudge;
  readonly hasEnded: () => boolean;
  private readonly report: (error: unknown) => void;
  /** What reading waits for; undefined: for nothing. */
  private reason: unknown;

  constructor(nudge: Nudge, hasEnded: () => boolean, report: (error: unknown) => void) {
    this.nudge = nudge;
    this.hasEnded = hasEnded;
    this.report = report;
  }

  get current(): unknown {
    return this.reason;
  }

  readonly trouble = (error: unknown): void => {
    this.reason = error;
    if (error !== undefined) this.report(error);
  };

  readonly pause = (ms: number): Promise<void> => this.nudge.wait(ms);
}
