// Work side by side, but one at a time for each aggregate, in the order in which it came. Owned by the host thread.
//
// Invariant: a lane is there from its first work until nothing of it is left; what comes meanwhile waits behind it. Work that ends in
// the turn in which it begins leaves no lane behind that turn.
import { unawaited } from '../base/guarded.ts';

export interface LaneEnds {
  /** A lane has ended. */
  ended(): void;
  /** What should not happen has: the lane goes with what it held. */
  broken(error: unknown): void;
}

export class AggregateLanes<T> {
  private readonly run: (work: T) => Promise<void> | undefined;
  private readonly ends: LaneEnds;
  /** What waits in each lane. */
  private readonly waiting = new Map<string, T[]>();

  /** `run`: returns undefined when the work has ended in this turn. */
  constructor(run: (work: T) => Promise<void> | undefined, ends: LaneEnds) {
    this.run = run;
    this.ends = ends;
  }

  get isEmpty(): boolean {
    return this.waiting.size === 0;
  }

  add(key: string, work: T): void {
    const lane = this.waiting.get(key);
    if (lane) {
      lane.push(work);
      return;
    }
    this.waiting.set(key, [work]);
    this.follow(key, this.drain(key));
  }

  /** A lane that begins with what runs already; there is none of this key. */
  begin(key: string, execution: Promise<void>): void {
    this.waiting.set(key, []);
    this.follow(
      key,
      execution.then(() => this.drain(key)),
    );
  }

  private follow(key: string, lane: Promise<void>): void {
    unawaited(lane, (error) => {
      this.waiting.delete(key);
      this.ends.broken(error);
    });
  }

  private async drain(key: string): Promise<void> {
    const lane = this.waiting.get(key)!;
    for (let next = lane.shift(); next !== undefined; next = lane.shift()) {
      const execution = this.run(next);
      if (execution !== undefined) await execution;
    }
    this.waiting.delete(key);
    this.ends.ended();
  }
}
