// How much a batch may hold: all that is due, until one fails. A limit that a large batch exceeds (a statement's time, a
// transaction's size) would come again with the same batch without end, so the next one is half as large, down to a single
// group; after some that went well it is twice as large again.

/** The most frames, or rows, of the next batch, by what became of the last ones. */
export class BatchSize {
  /** Infinity: the flusher's own bounds only. */
  limit: number = Number.POSITIVE_INFINITY;
  private successes = 0;
  private readonly largest: number;
  private readonly successesToGrow: number;

  /** `largest`: of this size a batch is bounded anyway. */
  constructor(largest: number, successesToGrow = 4) {
    this.largest = largest;
    this.successesToGrow = successesToGrow;
  }

  failed(count: number): void {
    this.limit = Math.max(1, Math.min(count, this.limit) >> 1);
    this.successes = 0;
  }

  succeeded(): void {
    if (this.limit === Number.POSITIVE_INFINITY || ++this.successes < this.successesToGrow) return;
    this.successes = 0;
    this.limit *= 2;
    if (this.limit >= this.largest) this.limit = Number.POSITIVE_INFINITY;
  }
}
