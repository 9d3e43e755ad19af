// The options of what starts: how long a module of the user's may take, and how often a shard that dies as it starts is started
// again.
import { checkInteger } from '../base/checks.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';

/** Starts of threads that import modules of yours. */
export interface StartOptions {
  /**
   * How long one module may take (an aggregate's, `context`, a sink's with `createSink`, a handler's), milliseconds, 10 to
   * 2,147,483,647; default 60,000. Then the start fails with `StartTimedOut`, and the thread that it holds is ended; for a handler,
   * whose module is loaded after the start, the subscription takes no event and loads it again.
   */
  timeoutMs?: number | undefined;
  /**
   * So often in a row a shard may die as it starts, before it has taken a command, 1 to 1,000; default 10. Then the runtime
   * fails: `ThreadFailed`. Starts that fail for want of descriptors, threads or memory do not count.
   */
  attempts?: number | undefined;
  /**
   * Pause before a shard that has died within 10 seconds of its start is started again, milliseconds; default 50; none after
   * the first time, then doubled each time, with jitter.
   */
  minDelayMs?: number | undefined;
  /** Longest pause, milliseconds; default 1,000. */
  maxDelayMs?: number | undefined;
}

export type StartSettings = Required<{ [K in keyof StartOptions]: number }>;

const fields = fieldsOf<StartOptions>({ timeoutMs: true, attempts: true, minDelayMs: true, maxDelayMs: true });
const timerLimitMs = 2 ** 31 - 1;

/** @throws InvalidOptions */
export function resolveStarts(options: StartOptions = {}): StartSettings {
  checkFields('starts', options, fields);
  const { timeoutMs = 60_000, attempts = 10, minDelayMs = 50, maxDelayMs = 1_000 } = options;
  return {
    timeoutMs: checkInteger('starts.timeoutMs', timeoutMs, 10, timerLimitMs),
    attempts: checkInteger('starts.attempts', attempts, 1, 1000),
    minDelayMs: checkInteger('starts.minDelayMs', minDelayMs, 0, timerLimitMs),
    maxDelayMs: checkInteger('starts.maxDelayMs', maxDelayMs, 0, timerLimitMs),
  };
}
