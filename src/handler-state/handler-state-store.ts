// The contract of the place where handlers keep what must survive: checkpoints, dead letters, inbox rows, projections and
// tables of the user's. Entries of JSON text under (table, key); a commit takes all of its changes or none.
//
// Invariants: commits are durable when they resolve, and happen in the order in which they were asked for; a read sees
// every commit that has resolved.
import type { TransactionClient } from '../store/store.ts';

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

/** A transaction of the user's own in the place itself, beside the commits. */
export interface OwnTransaction {
  readonly client: TransactionClient;
  /** Whether it has failed because the server is unavailable, which no handler has caused. */
  readonly isLost: boolean;
  /**
   * Together with these changes.
   * @throws TransactionRolledBack, the server's own error; StoreUnavailable: then only its entry tells whether it counts
   */
  commit(changes: readonly Change[]): Promise<void>;
  /** What is in progress in it is broken off. */
  rollback(): void;
}

export type OnRefused = (change: Change, error: Error) => void;

export interface HandlerStateStore {
  get(table: string, key: string): MaybePromise<string | undefined>;
  /** Entries in key order. */
  range(table: string, range: KeyRange): MaybePromise<Entry[]>;
  /**
   * All of them, in one transaction. A change that the place refuses permanently, whatever is done, holds up no other: it is left
   * out, and `onRefused` told.
   */
  commit(changes: readonly Change[], onRefused: OnRefused): Promise<void>;
  /**
   * Begin a transaction of the user's own, with a new entry in it; `taken`: there is such an entry already. Where this is
   * missing, the place knows no such transactions. `longestMs`: how long the user's code may take, Infinity: without end; a
   * transaction that stands idle for longer is ended by the server. `isOurs`: only statements of ours are executed in it, so
   * its session needs no reset, and a lock is waited for no longer than in other transactions of ours.
   * @throws StoreUnavailable
   */
  begin?(entry: Change | undefined, longestMs: number, isOurs: boolean): Promise<OwnTransaction | 'taken'>;
  close(): Promise<void>;
  /** A wait for a server is broken off; `close` resolves. Stores that wait for no server lack it. */
  cut?(): void;
}
