// Whether this thread is a shard: a runtime must not be made there. A user's module that makes one when it is imported
// would otherwise start runtimes without end, each shard its own. Asked in any thread.

import { isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';

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

/**
 * The module that calls `called`, as its URL; undefined where V8 does not tell. Its name alone says whose mistake it is: a shard
 * imports the modules of aggregates, and these import others.
 */
export function callerOf(called: (...args: never[]) => unknown): string | undefined {
  const { prepareStackTrace } = Error;
  try {
    const trace: { stack?: NodeJS.CallSite[] } = {};
    Error.prepareStackTrace = (_, sites) => sites;
    Error.captureStackTrace(trace, called);
    const file = trace.stack?.[0]?.getFileName() ?? undefined;
    return file !== undefined && isAbsolute(file) ? pathToFileURL(file).href : file;
  } catch {
    return undefined; // `Error` is frozen, say
  } finally {
    try {
      Error.prepareStackTrace = prepareStackTrace;
    } catch {}
  }
}
