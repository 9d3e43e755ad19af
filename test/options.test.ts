// Options: defaults that work, and each value that cannot work refused by the name of its option.
import { describe, expect, test } from 'vitest';
import { postgres } from '../src/adapters/postgres/session/postgres.ts';
import { isError } from '../src/base/errors.ts';
import { type FlushPolicy, flushPresets, resolveFlush } from '../src/log/policy.ts';
import { type RuntimeOptions, resolveOptions } from '../src/runtime/options.ts';
import { Counter } from './fixtures/counter.ts';

const valid: RuntimeOptions = { dataDir: './data', aggregates: [Counter] };
/** Rings and batches that fit into the smallest log. */
const small = { ringBytes: 1 << 16, batchBytes: 1 << 16 };

const resolve = (options: Record<string, unknown>, cores = 2): ReturnType<typeof resolveOptions> =>
  resolveOptions({ ...valid, ...options }, cores);

function refusedOption(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (!isError(error, 'InvalidOptions')) throw error;
    expect(error.details.reason).not.toBe('');
    expect(error.message).toContain(error.details.option);
    return error.details.option;
  }
  return 'accepted';
}

test('the defaults', () => {
  expect(resolve({})).toMatchObject({
    shards: 1,
    ack: 'written',
    flush: flushPresets.balanced,
    context: undefined,
    log: { maxBytes: 4 * 2 ** 30, retainMs: 0, retainBytes: 64 << 20 },
    sinks: [],
    actorLimit: 100_000,
    actorIdleMs: 600_000,
    mailboxLimit: 10_000,
    maxInFlight: 65_536,
    idempotencyTtlMs: 86_400_000,
    askDeadlineMs: 5_000,
  });
  expect([1, 2, 4, 64].map((cores) => resolve({}, cores).shards)).toEqual([1, 1, 3, 4]);
  expect(() => resolve({ logger: false }).logger.error({}, 'silent')).not.toThrow();
});

test('every preset passes its own check', () => {
  for (const preset of Object.keys(flushPresets) as (keyof typeof flushPresets)[]) {
    expect(resolveFlush(preset)).toEqual(flushPresets[preset]);
    expect(resolveFlush({ ...flushPresets[preset] })).toEqual(flushPresets[preset]);
  }
});

test('single fields keep the rest of what is in force', () => {
  const current: FlushPolicy = { ...flushPresets.durable, spinMicros: 7 };
  expect(resolveFlush({ syncIntervalMs: 9 }, current)).toEqual({ ...current, syncIntervalMs: 9 });
  expect(resolveFlush(undefined, current)).toEqual(current);
  expect(resolve({ flush: { batchBytes: 8192 } }).flush).toEqual({ ...flushPresets.balanced, batchBytes: 8192 });
});

test('a small log keeps less than it may hold', () => {
  const { log } = resolve({ flush: small, log: { maxBytes: 2 ** 20 + 1 } }); // a quarter of it is no whole number
  expect(log.retainBytes).toBeLessThan(log.maxBytes);
});

describe('values at their bounds are accepted, one beyond is refused by name', () => {
  const bounded: [name: string, low: number, high: number, make: (value: unknown) => Record<string, unknown>][] = [
    ['shards', 1, 64, (shards) => ({ shards })],
    ['actorLimit', 1, 10_000_000, (actorLimit) => ({ actorLimit })],
    ['actorIdleMs', 1, 2 ** 40, (actorIdleMs) => ({ actorIdleMs })],
    ['mailboxLimit', 1, 1_000_000, (mailboxLimit) => ({ mailboxLimit })],
    ['maxInFlight', 1, 1_000_000, (maxInFlight) => ({ maxInFlight })],
    ['idempotencyTtlMs', 1, 2 ** 40, (idempotencyTtlMs) => ({ idempotencyTtlMs })],
    ['askDeadlineMs', 1, 2 ** 31 - 1, (askDeadlineMs) => ({ askDeadlineMs })],
    ['log.maxBytes', 2 ** 20, 2 ** 40, (maxBytes) => ({ flush: small, log: { maxBytes, retainBytes: 0 } })],
    ['log.retainMs', 0, 2 ** 40, (retainMs) => ({ log: { retainMs } })],
    ['flush.syncIntervalMs', 0, 60_000, (syncIntervalMs) => ({ flush: { syncIntervalMs } })],
    ['flush.syncBytes', 4096, 2 ** 30, (syncBytes) => ({ flush: { syncBytes } })],
    ['flush.batchBytes', 4096, 64 * 2 ** 20, (batchBytes) => ({ flush: { batchBytes } })],
    ['flush.spinMicros', 0, 10_000, (spinMicros) => ({ flush: { spinMicros } })],
    ['flush.ringBytes', 2 ** 16, 2 ** 30, (ringBytes) => ({ flush: { ringBytes } })],
  ];
  test.each(bounded)('%s', (name, low, high, make) => {
    for (const value of [low, high]) expect(refusedOption(() => resolve(make(value)))).toBe('accepted');
    for (const value of [low - 1, high + 1, low + 0.5, Number.NaN, Number.POSITIVE_INFINITY, '1', -low - 1]) {
      expect(refusedOption(() => resolve(make(value)))).toBe(name);
    }
  });
});

describe('what cannot work is refused by the name of its option', () => {
  const other = { ...Counter, name: 'counter' };
  const cases: [option: string, options: Record<string, unknown>][] = [
    ['dataDir', { dataDir: undefined }],
    ['dataDir', { dataDir: '' }],
    ['dataDir', { dataDir: 5 }],
    ['aggregates', { aggregates: [] }],
    ['aggregates', { aggregates: undefined }],
    ['aggregates', { aggregates: Counter }],
    ['aggregates', { aggregates: [Counter, other] }],
    ['aggregates[0]', { aggregates: [undefined] }],
    ['aggregates[1]', { aggregates: [Counter, { name: 'not defined' }] }],
    ['ack', { ack: 'eventually' }],
    ['ack', { ack: 'published' }],
    ['context', { context: './shard-context.ts' }],
    ['flush', { flush: 'fastest' }],
    ['flush', { flush: 'toString' }],
    ['flush.syncInterval', { flush: { syncInterval: 5 } }],
    ['flush.ringBytes', { flush: { ringBytes: 3 << 20 } }],
    ['flush.whenFull', { flush: { whenFull: 'drop' } }],
    ['log.maxBytes', { log: { maxBytes: 2 ** 20 } }],
    // An event that a transaction has saved may have a MiB, and enters as one.
    [
      'log.maxBytes',
      { flush: small, store: postgres({ connectionString: 'postgres://h/d' }), log: { maxBytes: 4_194_303 } },
    ],
    ['log.retainBytes', { log: { maxBytes: 2 ** 20, retainBytes: 2 ** 20 } }],
    ['log.maxBytes', { log: { maxBytes: 2 ** 20 } }],
    ['log.retainBytes', { log: { retainBytes: 2 ** 40 } }],
    ['sinks', { sinks: [{ name: 'store', module: 'file:///s.ts' }] }],
    [
      'sinks',
      {
        sinks: [
          { name: 'a', module: 'file:///s.ts' },
          { name: 'a', module: 'file:///t.ts' },
        ],
      },
    ],
    ['sinks', { sinks: [{ name: '', module: 'file:///s.ts' }] }],
    ['sinks.a.options', { sinks: [{ name: 'a', module: 'file:///s.ts', options: { map() {} } }] }],
    ['sinks', { sinks: [{ name: 'x'.repeat(101), module: 'file:///s.ts' }] }],
    ['sinks.a.module', { sinks: [{ name: 'a', module: './s.ts' }] }],
    ['aggregates', { aggregates: Array(65_537).fill({}) }],
    ['shard', { shard: 2 }],
    ['log.maxbytes', { log: { maxbytes: 2 ** 21 } }],
  ];
  test.each(cases)('%s: %j', (option, options) => {
    expect(refusedOption(() => resolve(options))).toBe(option);
  });

  test.each([undefined, null, 5, 'data'])('options %j', (options) => {
    expect(refusedOption(() => resolveOptions(options as never, 2))).toBe('options');
  });
});

test('what resolveFlush refuses leaves the current policy as it was', () => {
  const current = { ...flushPresets.balanced };
  expect(refusedOption(() => resolveFlush({ syncBytes: 1 }, current))).toBe('flush.syncBytes');
  expect(current).toEqual(flushPresets.balanced);
});
