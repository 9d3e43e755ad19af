// Whether this thread is a shard: a runtime must not be made there. A user's module that makes one when it is imported
// would otherwise start runtimes without end, each shard its own.

const mark = Symbol.for('trunkline.shard');
interface Inside {
  violation: string | undefined;
  readonly onViolation: (where: string) => void;
}
type Marked = { [mark]?: Inside };

/** `onViolation`: called at the first `createRuntime()`, at once: what the module does about its rejection may end the thread. */
export function enterShard(onViolation: (where: string) => void): void {
  (globalThis as Marked)[mark] ??= { violation: undefined, onViolation };
}

export function isInsideShard(): boolean {
  return (globalThis as Marked)[mark] !== undefined;
}

/** createRuntime() has been called here, by code that `where` tells of. */
export function noteViolation(where: string): void {
  const marked = (globalThis as Marked)[mark];
  if (marked === undefined || marked.violation !== undefined) return;
  marked.violation = where;
  marked.onViolation(where);
}

export function violation(): string | undefined {
  return (globalThis as Marked)[mark]?.violation;
}
