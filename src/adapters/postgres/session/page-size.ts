// How many rows one statement takes: a statement whose time grows with its rows takes fewer once it has taken longer than it
// may, and more again later. What all paged reads and writes go by.
import { BatchSize } from '../../../base/batch-size.ts';
import { tooSlow } from './failure.ts';
import { tookTooLong } from './sqlstate.ts';

/** How a page that took too long is undone. Rejects with the error if the connection is good for nothing more. */
export type Undo = (error: unknown) => unknown;

export class PageSize {
  private readonly size: BatchSize;
  private readonly largest: number;

  /** A page that takes too long costs the time of a statement: `pagesToGrow` go well before a larger one is tried. */
  constructor(largest: number, pagesToGrow?: number) {
    this.largest = largest;
    this.size = new BatchSize(largest, pagesToGrow);
  }

  /**
   * One page: `work` with the most rows that it may take. If that takes too long it is undone, and done again with half as
   * many. `work` says how many there are, once it knows that there are fewer: halving begins there.
   * @throws StoreTooSlow: one row alone takes too long. `what` names it
   */
  async page<T>(
    what: string,
    work: (rows: number, held: (count: number) => void) => Promise<T>,
    undo: Undo = () => {},
    most: number = this.largest,
  ): Promise<T> {
    for (;;) {
      const rows = Math.min(most, this.largest, this.size.limit);
      let count = rows;
      try {
        const done = await work(rows, (held) => {
          count = held;
        });
        this.size.succeeded();
        return done;
      } catch (error) {
        if (!tookTooLong(error)) throw error;
        this.size.failed(count);
        if (count <= 1) throw tooSlow(what, error);
        await undo(error);
      }
    }
  }
}
