// The contract of the place where handlers keep what must survive: checkpoints, dead letters, inbox rows, projections and
// tables of the user's. Entries of JSON text under (table, key); a commit takes all of its changes or none.
//
// Invariants: commits are durable when they resolve, and happen in the order in which they were asked for; a read sees
// every commit that has resolved.

/** `json` undefined: the entry goes. */
export interface Change {
  readonly table: string;
  readonly key: string;
  readonly json: string | undefined;
}

export interface Entry {
  readonly key: string;
  readonly json: string;
}

/** Keys by their bytes: from `start` on, before `end`, and beginning with `prefix`. */
export interface KeyRange {
  prefix?: string;
  start?: string;
  end?: string;
  limit?: number;
}

export type MaybePromise<T> = T | Promise<T>;

export interface TableStore {
  get(table: string, key: string): MaybePromise<string | undefined>;
  /** Entries in key order. */
  range(table: string, range: KeyRange): MaybePromise<Entry[]>;
  commit(changes: readonly Change[]): Promise<void>;
  close(): Promise<void>;
}
