// Rows as a projection has written them last, the most recent ones: they need not be read again, since nobody else writes.
//
// Invariant: they are what is committed. Whoever folds takes them all, and gives them back only when its transaction has been
// committed; whatever else becomes of it, they are forgotten.
export class KnownRows<Row> {
  private readonly limit: number;
  /** The least recently written first; undefined: it is known that there is none. */
  private rows = new Map<string, Row | undefined>();

  constructor(limit: number) {
    this.limit = limit;
  }

  take(): Map<string, Row | undefined> {
    const { rows } = this;
    this.rows = new Map();
    return rows;
  }

  giveBack(rows: Map<string, Row | undefined>, changed: ReadonlyMap<string, Row | undefined>): void {
    for (const [key, row] of changed) {
      rows.delete(key);
      rows.set(key, row);
    }
    for (const oldest of rows.keys()) {
      if (rows.size <= this.limit) break;
      rows.delete(oldest);
    }
    this.rows = rows;
  }
}
