// Savepoints, by their names: what is undone alone within a transaction.
export interface Savepoint {
  readonly begin: string;
  readonly keep: string;
  readonly undo: string;
}

/** `name`: a word of ours. */
export const savepoint = (name: string): Savepoint => ({
  begin: `savepoint ${name}`,
  keep: `release savepoint ${name}`,
  undo: `rollback to savepoint ${name}`,
});
