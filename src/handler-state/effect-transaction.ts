// What a handler, or an effect that happens once, may change together with the fact that it has happened: public.

/** Entries of a table, read and written together with the event's completion: all of it counts, or nothing. */
export interface EffectTransaction {
  /** The value under a key, as JSON gives it; undefined if there is none. Sees this transaction's own changes. */
  get<T = unknown>(table: string, key: string): Promise<T | undefined>;
  /** `value` is JSON. Table: 1 to 100 bytes; key: 1 to 1,000. */
  put(table: string, key: string, value: unknown): void;
  /** Nothing under this key any more; no error if there was nothing. */
  remove(table: string, key: string): void;
  /**
   * With a store in a database of yours: a client in a transaction there, which is committed when the handler has succeeded, together
   * with the fact that this event is handled; else rolled back. Instead of `put` and `remove`, not beside them.
   * While the server is unavailable the attempt is repeated and not counted. A connection that is lost while the server answers is
   * forgiven five times for an event, then counted.
   * @throws InvalidOptions (another store), StoreUnavailable
   */
  client(): Promise<SqlClient>;
}

/** A client of the store's database in a transaction, for queries. The transaction is not yours to end; savepoints are. */
export interface SqlClient {
  /** As the `pg` client's own. */
  query<Row = any>(text: string, values?: readonly unknown[]): Promise<{ rows: Row[]; rowCount: number | null }>;
  query<Row = any>(query: {
    name?: string | undefined;
    text: string;
    values?: readonly unknown[] | undefined;
  }): Promise<{ rows: Row[]; rowCount: number | null }>;
  /** What submits itself, as the streams of `pg-copy-streams` do. Await its end before you return. */
  query<Stream extends { submit(connection: any): void }>(stream: Stream): Stream;
}
