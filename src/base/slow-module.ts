// A warning while a module of the user's takes long to start: a start that waits for one says nothing else until its time is over.
// Host thread.
import { clearTimeout, setTimeout } from './clock.ts';
import { guarded } from './guarded.ts';

/** Much more than a module needs that only loads code. */
const longMs = 5_000;
/** Of the time that it may take, where that is short. */
const longShare = 1 / 4;

export interface ModuleStart {
  /** What starts: `shard 0`, `sink 'audit'`. */
  readonly what: string;
  readonly module: string;
  /** How long it may take. */
  readonly timeoutMs: number;
}

export type WarnOfModule = (message: string, details: Record<string, unknown>) => void;

/** Warns once, when the module has taken long. Call what is returned when it has started, or failed. */
export function watchModule({ what, module, timeoutMs }: ModuleStart, warn: WarnOfModule): () => void {
  const waitedMs = Math.min(longMs, Math.ceil(timeoutMs * longShare));
  const message = 'a module has not started yet, and what needs it waits';
  const timer = setTimeout(
    guarded(() => warn(message, { what, module, waitedMs, timeoutMs })),
    waitedMs,
  );
  return () => clearTimeout(timer);
}
