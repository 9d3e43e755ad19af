// What a user says of the log: how eagerly it syncs and batches, how much it holds; checked, with every default. Host thread.
import { isPowerOfTwo } from '../base/bytes.ts';
import { checkInteger, invalid } from '../base/checks.ts';
import { checkFields, fieldsOf, given } from '../base/known-fields.ts';

/** How eagerly the log syncs and batches. All fields but `ringBytes` may change while running. */
export interface FlushPolicy {
  /** Longest time from `written` to the next fsync, milliseconds, 0 to 60,000; 0: an fsync follows at once, always. */
  syncIntervalMs: number;
  /** Sync earlier when so many bytes wait for it, 4 KiB to 1 GiB. */
  syncBytes: number;
  /** Most bytes of one commit to the log, 4 KiB to 64 MiB: bounds what a reader must take at once. */
  batchBytes: number;
  /** Bytes of each thread's ring, a power of two, 64 KiB to 1 GiB; one command may use half. Fixed at start. */
  ringBytes: number;
  /** When a ring is full: `wait` delays the command, `reject` answers `RingFull`. */
  whenFull: 'wait' | 'reject';
  /**
   * How long the log thread and a shard may look for more work before they sleep, microseconds, 0 to 10,000. They stop
   * looking where it has not been paying off. 0 saves the CPU time that it costs, some 30 µs a wake-up later.
   */
  spinMicros: number;
}

/**
 * `latency`: least work behind a command's back: a sync every 50 ms. `balanced`: every 5 ms, a third of the bytes that
 * continuous syncs write (measured: 100 against 300 MB per 20,000 single-event commits). `durable`: syncs continuously;
 * choose it when most commands wait for `synced`.
 */
export const flushPresets: Readonly<Record<'latency' | 'balanced' | 'durable', FlushPolicy>> = {
  latency: preset(50, 64 << 20, 200),
  balanced: preset(5, 8 << 20, 100),
  durable: preset(0, 1 << 20, 100),
};

function preset(syncIntervalMs: number, syncBytes: number, spinMicros: number): FlushPolicy {
  return { syncIntervalMs, syncBytes, batchBytes: 1 << 20, ringBytes: 8 << 20, whenFull: 'wait', spinMicros };
}

/** A preset, or single fields; those that are left out keep their values. */
export type FlushOption =
  | keyof typeof flushPresets
  | { readonly [K in keyof FlushPolicy]?: FlushPolicy[K] | undefined };

/** How much the log may hold, and keeps. */
export interface LogOptions {
  /**
   * Most bytes the log may hold, 1 MiB to 1 TiB; default 4 GiB. Beyond, commands wait; those that are rejected instead get
   * `LogFull` somewhat earlier (64 MiB, in a small log a quarter): that is room for those already let in.
   */
  maxBytes?: number | undefined;
  /** Keep events in the log for so long after everyone has them, milliseconds; default 0. While there is room, in the log and on its disk. */
  retainMs?: number | undefined;
  /** Keep at least so many bytes of the newest events; default 64 MiB. While there is room, in the log and on its disk. */
  retainBytes?: number | undefined;
}

const logFields = fieldsOf<LogOptions>({ maxBytes: true, retainMs: true, retainBytes: true });

/** Fill in a policy and check it. `current` is what unnamed fields keep. */
export function resolveFlush(
  flush: FlushOption | undefined,
  current: FlushPolicy = flushPresets.balanced,
): FlushPolicy {
  if (typeof flush === 'string') {
    if (Object.hasOwn(flushPresets, flush)) return flushPresets[flush];
    return invalid('flush', flush, `must be one of ${Object.keys(flushPresets).join(', ')}`);
  }
  if (flush !== undefined) checkFields('flush', flush, Object.keys(current));
  const policy: FlushPolicy = { ...current, ...(given(flush) as Partial<FlushPolicy>) };
  checkInteger('flush.syncIntervalMs', policy.syncIntervalMs, 0, 60_000);
  checkInteger('flush.syncBytes', policy.syncBytes, 4096, 1 << 30);
  checkInteger('flush.batchBytes', policy.batchBytes, 4096, 64 << 20);
  checkInteger('flush.spinMicros', policy.spinMicros, 0, 10_000);
  checkInteger('flush.ringBytes', policy.ringBytes, 1 << 16, 1 << 30);
  if (!isPowerOfTwo(policy.ringBytes)) invalid('flush.ringBytes', policy.ringBytes, 'must be a power of two');
  if (policy.whenFull !== 'wait' && policy.whenFull !== 'reject') {
    invalid('flush.whenFull', policy.whenFull, "must be 'wait' or 'reject'");
  }
  return policy;
}

/** The policy in force, changed while running. */
export function changeFlush(flush: FlushOption | undefined, current: FlushPolicy, maxBytes: number): FlushPolicy {
  if (flush === undefined) invalid('flush', flush, 'must be a preset or single fields');
  const { ringBytes } = current;
  const next = resolveFlush(flush, current);
  if (typeof flush !== 'string' && next.ringBytes !== ringBytes) {
    invalid('flush.ringBytes', next.ringBytes, `is fixed at start (${ringBytes})`);
  }
  const changed = { ...next, ringBytes };
  checkRoom(changed, maxBytes);
  return changed;
}

/** One commit must fit well into the log, or a full log could never give it room. */
function checkRoom({ batchBytes, ringBytes }: FlushPolicy, maxBytes: number): void {
  const least = 2 * (batchBytes + ringBytes / 2);
  if (maxBytes < least) {
    invalid('log.maxBytes', maxBytes, `must be at least ${least}: twice flush.batchBytes and half of flush.ringBytes`);
  }
}

/** @throws InvalidOptions */
export function resolveLog(options: LogOptions | undefined, flush: FlushPolicy): Required<LogOptions> {
  if (options !== undefined) checkFields('log', options, logFields);
  const log = {
    maxBytes: checkInteger('log.maxBytes', options?.maxBytes ?? 4 * 2 ** 30, 2 ** 20, 2 ** 40),
    retainMs: checkInteger('log.retainMs', options?.retainMs ?? 0, 0, 2 ** 40),
    retainBytes: checkInteger(
      'log.retainBytes',
      options?.retainBytes ?? Math.min(64 << 20, Math.floor((options?.maxBytes ?? 2 ** 32) / 4)),
      0,
      2 ** 40,
    ),
  };
  if (log.retainBytes >= log.maxBytes) invalid('log.retainBytes', log.retainBytes, 'must be less than log.maxBytes');
  checkRoom(flush, log.maxBytes);
  return log;
}
