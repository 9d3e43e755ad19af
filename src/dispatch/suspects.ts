// Messages under which a shard has died are delivered one at a time, so that the one that kills shards is found, and those that
// were there by chance are not blamed. A turn has a bound: one that hangs leaves the line, and goes on beside the others.
// Host thread.
//
// Invariant: a death is charged to an attempt that was alone, or else to the one that has outlived its turn.
import { yieldToLoop } from '../base/clock.ts';
import { pauseUnless } from '../base/on-abort.ts';

/** So long one has its shard for itself. */
const turnMsMost = 2_000;

export class Suspects {
  private readonly turnMs: number;
  private last: Promise<unknown> = Promise.resolve();
  /** How many attempts have failed after their turns. */
  private lateFailures = 0;

  constructor(turnMs: number = turnMsMost) {
    this.turnMs = turnMs;
  }

  /** Runs the attempt in its turn. `charge` comes before a rejection for which no other attempt can be the reason. */
  alone<T>(attempt: () => Promise<T>, charge: () => void): Promise<T> {
    const begun = this.last.then(() => this.begin(attempt, charge));
    this.last = begun.then(
      ({ turn }) => turn,
      () => {}, // the next one has its turn, whatever became of this one
    );
    return begun.then(({ result }) => result);
  }

  private begin<T>(attempt: () => Promise<T>, charge: () => void): { turn: Promise<unknown>; result: Promise<T> } {
    const ended = new AbortController();
    let isLate = false;
    const result = this.run(attempt, () => isLate, charge).finally(() => ended.abort());
    const late = pauseUnless(ended.signal, this.turnMs).then((isOver) => {
      isLate = isOver;
    });
    return { turn: late, result };
  }

  private async run<T>(attempt: () => Promise<T>, isLate: () => boolean, charge: () => void): Promise<T> {
    const before = this.lateFailures;
    try {
      return await attempt();
    } catch (error) {
      if (isLate()) this.lateFailures++;
      await yieldToLoop(); // all that one death has taken has failed by then
      if (isLate() || this.lateFailures === before) charge();
      throw error;
    }
  }
}
