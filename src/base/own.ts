// A look-up by a name that comes from outside (a user's, a file's, a server's) in a plain object: its own properties only.
// `toString` and `constructor` are names like any other. test/own.test.ts holds that no look-up does without.

/** The record's own property of that name; undefined if there is none. */
export function own<R extends object>(record: R, name: string): R[keyof R] | undefined {
  return Object.hasOwn(record, name) ? record[name as keyof R] : undefined;
}
