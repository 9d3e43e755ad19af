// Rows as a projection has written them last, the most recent ones: they need not be read again, since there is no other writer.
//
// Invariants: they are what is committed. The folding takes them all, and gives them back only when its transaction has been
// committed; whatever else becomes of it, they are forgotten. A row goes by the key that its column prints; other texts that
// were given for it are remembered beside, as long as the row is there: once it has gone, another text may make it again.
import type { Found } from './row-table.ts';

/** Rows by the keys of their columns, and those keys by the texts that were given for them. */
export class KnownRows<Row> {
  private readonly limit: number;
  /** The least recently written first. */
  private rows = new Map<string, Row>();
  private names = new Map<string, string>();

  constructor(limit: number) {
    this.limit = limit;
  }

  /** All of them; none is known here until they are given back. */
  take(): KnownRows<Row> {
    const taken = new KnownRows<Row>(this.limit);
    [taken.rows, taken.names] = [this.rows, this.names];
    [this.rows, this.names] = [new Map(), new Map()];
    return taken;
  }

  /** undefined: it has to be read. */
  find(given: string): Found<Row> | undefined {
    // A column takes the text that it prints for the row that it has printed it of.
    const same = this.rows.get(given);
    if (same !== undefined) return { key: given, row: same };
    const key = this.names.get(given);
    const row = key === undefined ? undefined : this.rows.get(key);
    return row && { key: key!, row };
  }

  giveBack(
    taken: KnownRows<Row>,
    changed: ReadonlyMap<string, Row | undefined>,
    names: Iterable<[string, string]>,
  ): void {
    const { rows } = taken;
    for (const [key, row] of changed) {
      rows.delete(key);
      if (row !== undefined) rows.set(key, row);
    }
    for (const oldest of rows.keys()) {
      if (rows.size <= this.limit) break;
      rows.delete(oldest);
    }
    for (const [given, key] of names) taken.names.set(given, key);
    // Several texts may name one row: twice as many names as rows are kept, those of rows that have gone are the first to go.
    if (taken.names.size > 2 * this.limit) {
      for (const [given, key] of taken.names) if (!rows.has(key)) taken.names.delete(given);
    }
    for (const oldest of taken.names.keys()) {
      if (taken.names.size <= 2 * this.limit) break;
      taken.names.delete(oldest);
    }
    this.rows = rows;
    this.names = taken.names;
  }
}
