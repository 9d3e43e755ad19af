// Whether this thread is a shard: a runtime must not be made there. A user's module that makes one when it is imported
// would otherwise start runtimes without end, each shard its own.

const mark = Symbol.for('trunkline.shard');
type Marked = { [mark]?: { violation: string | undefined } };

export function enterShard(): void {
  (globalThis as Marked)[mark] ??= { violation: undefined };
}

export function isInsideShard(): boolean {
  return (globalThis as Marked)[mark] !== undefined;
}

/** createRuntime() has been called here, by code that `where` tells of. */
export function noteViolation(where: string): void {
  const marked = (globalThis as Marked)[mark];
  if (marked) marked.violation ??= where;
}

export function violation(): string | undefined {
  return (globalThis as Marked)[mark]?.violation;
}
