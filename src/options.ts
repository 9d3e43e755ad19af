// Every option: unit, default, bound and effect. Checked as a whole before anything is touched.

import type { AnyAggregate } from './aggregate.ts';
import { checkAggregates } from './aggregates-option.ts';
import { checkCrosses, checkInteger, invalid, isMadeBy, nameFault } from './checks.ts';
import { Hidden, revealed } from './hidden.ts';
import { checkFields, fieldsOf, given } from './known-fields.ts';
import { RELAYED_DATA_BYTES_LIMIT } from './limits.ts';
import { type Logger, resolveLogger } from './logger.ts';
import { type MessageOptions, type MessageSettings, resolveMessages } from './message-options.ts';
import { type Level, levels } from './receipt.ts';
import { isPowerOfTwo } from './ring/ring.ts';
import { resolveStarts, type StartOptions, type StartSettings } from './start-options.ts';
import { StoreOptions } from './store/adapter.ts';
import { isStorable } from './tame.ts';
import { checkModule, resolveRoots } from './user-module.ts';

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

/** How much the log may hold, and keeps. */
export interface LogOptions {
  /**
   * Most bytes the log may hold, 1 MiB to 1 TiB; default 4 GiB. Beyond, commands wait; those that are rejected instead get
   * `LogFull` somewhat earlier (64 MiB, in a small log a quarter): that is room for those already let in.
   */
  maxBytes?: number | undefined;
  /** Keep events in the log for so long after everyone has them, milliseconds; default 0. While there is room. */
  retainMs?: number | undefined;
  /** Keep at least so many bytes of the newest events; default 64 MiB. While there is room. */
  retainBytes?: number | undefined;
}

/** A user's own sink: a module whose `createSink(options)` returns a {@link import('./flush/flush.ts').Sink}. */
export interface SinkOptions {
  /** Name of its cursor; unique, 1 to 100 bytes. */
  name: string;
  /** The module, by URL or absolute path; the flush thread imports it. */
  module: string;
  /** Passed to `createSink`; must survive structured cloning. */
  options?: unknown;
}

/** A stream, as `kafka()` describes it: a sink whose checkpoint is the level `published`. */
export interface StreamOptions extends SinkOptions {
  /** Bounds of a batch: frames, bytes, and at most one batch in so many milliseconds unless somebody waits. */
  batch?: { count: number; bytes: number; delayMs: number };
  /** Report `StreamBehind` when more positions wait. */
  backlogLimit?: number | undefined;
}

/** How durable handlers keep what must survive: all subscriptions and projections together. */
export interface HandlerOptions {
  /**
   * How long checkpoints and effects wait for others before they are committed together, milliseconds, 0 to 60,000; default
   * 20. More: fewer transactions, and more to be handled again after a crash.
   */
  checkpointDelayMs?: number | undefined;
  /** How long `runtime.once` remembers a key, milliseconds, at least 1,000; default 604,800,000 (7 days). */
  inboxTtlMs?: number | undefined;
  /** From so many changes that wait for the store on, subscriptions take nothing more, 100 to 10,000,000; default 50,000. */
  stagedChangesLimit?: number | undefined;
  /** With `store: postgres(…)`: most transactions of handlers (`tx.client()`) at a time, 1 to 1,000; default 8. */
  connections?: number | undefined;
}

/** The options of `createRuntime`; all but two have a default. */
export interface RuntimeOptions {
  /** Where log and store live; created if absent, mode 0700; one runtime at a time. */
  dataDir: string;
  aggregates: readonly AnyAggregate[];
  /** Threads that run aggregates, 1 to 64; default: cores - 1, at least 1, at most 4. */
  shards?: number | undefined;
  /** The level a command waits for unless it says otherwise; default `written`. */
  ack?: Level | undefined;
  flush?: keyof typeof flushPresets | { readonly [K in keyof FlushPolicy]?: FlushPolicy[K] | undefined } | undefined;
  /** A module, by URL or absolute path, whose default export makes what commands see as `context`, once per shard. */
  context?: string | undefined;
  /**
   * Folders, by URL or absolute path: no module that an option names may lie outside of them, links resolved; default: any file.
   * That goes for aggregates, `context`, sinks, handlers of `subscribe`, and the stream's `integration` and `topics.module`.
   */
  moduleRoots?: readonly string[] | undefined;
  log?: LogOptions | undefined;
  /** Where events are kept; default: here, in `dataDir`. Elsewhere: `postgres(…)`. */
  store?: StoreOptions | undefined;
  /** Sinks of your own behind the log, beside the store. */
  sinks?: readonly SinkOptions[] | undefined;
  /** Where events are published: `kafka({ brokers })`; default: nowhere. */
  stream?: StreamOptions | undefined;
  handlers?: HandlerOptions | undefined;
  /** Messages between aggregates (`send`): attempts, dead letters, and who hears of what failed. */
  messages?: MessageOptions | undefined;
  /** How long modules of yours may take as they start, and how often a shard that dies is started again. */
  starts?: StartOptions | undefined;
  /**
   * Most live actors of a shard, 1 to 10,000,000; default 100,000. The least recently used idle ones leave once the store has
   * what they raised. While the store is behind there may be an eighth more (at least 64): then commands for other aggregates
   * wait for it, or get `TooManyUnstored` (`whenFull: 'reject'`). The same bounds, until the store has them, the outcomes of
   * commands with idempotency keys, and the entities that this runtime publishes.
   */
  actorLimit?: number | undefined;
  /** An actor leaves when nobody has asked for it for so long, milliseconds; default 600,000. */
  actorIdleMs?: number | undefined;
  /** Most commands waiting for one aggregate, 1 to 1,000,000; default 10,000; beyond: `MailboxFull`. */
  mailboxLimit?: number | undefined;
  /** Most commands in flight in all, 1 to 1,000,000; default 65,536; beyond: `TooManyInFlight`. */
  maxInFlight?: number | undefined;
  /** How long an idempotency key is remembered, milliseconds; default 86,400,000 (a day). */
  idempotencyTtlMs?: number | undefined;
  /**
   * How long a call waits for what is not its own work, milliseconds, 1 to 2,147,483,647; default 60,000: `reached`, reads that
   * wait for the store, `publish` and commands with `ack` above `written` (`DeadlineExceeded`, executed: 'yes'), control of
   * handlers. Then the call ends with what holds it up, or `WaitTimedOut`. A deadline or `timeoutMs` of the call's own goes first.
   */
  waitTimeoutMs?: number | undefined;
  /** Deadline of an `ask` that names none, milliseconds; default 5,000. */
  askDeadlineMs?: number | undefined;
  /**
   * A pino logger, or one like it; default: pino at level `warn` on stderr, since a sink, a handler or a shard that fails is
   * told here first. `false`: silence. A logger that throws hurts nothing: its message goes to stderr.
   */
  logger?: Logger | false | undefined;
  /** Identity of this boot of the machine; default: the kernel's. For tests of power loss. */
  bootId?: string | undefined;
}

export interface ResolvedOptions
  extends Required<
    Omit<
      RuntimeOptions,
      | 'context'
      | 'moduleRoots'
      | 'bootId'
      | 'flush'
      | 'handlers'
      | 'log'
      | 'logger'
      | 'messages'
      | 'starts'
      | 'store'
      | 'stream'
    >
  > {
  handlers: Required<HandlerOptions>;
  messages: MessageSettings;
  starts: StartSettings;
  store: StoreOptions | undefined;
  stream: StreamOptions | undefined;
  context: string | undefined;
  moduleRoots: readonly string[] | undefined;
  bootId: string | undefined;
  flush: FlushPolicy;
  log: Required<LogOptions>;
  logger: Logger;
}

const logFields = fieldsOf<LogOptions>({ maxBytes: true, retainMs: true, retainBytes: true });
const handlerFields = fieldsOf<HandlerOptions>({
  checkpointDelayMs: true,
  inboxTtlMs: true,
  stagedChangesLimit: true,
  connections: true,
});
const sinkFields = fieldsOf<SinkOptions>({ name: true, module: true, options: true });
const streamFields = fieldsOf<StreamOptions>({
  name: true,
  module: true,
  options: true,
  batch: true,
  backlogLimit: true,
});

const knownOptions: readonly (keyof RuntimeOptions)[] = [
  'dataDir',
  'aggregates',
  'shards',
  'ack',
  'flush',
  'context',
  'moduleRoots',
  'log',
  'store',
  'sinks',
  'stream',
  'handlers',
  'messages',
  'starts',
  'actorLimit',
  'actorIdleMs',
  'mailboxLimit',
  'maxInFlight',
  'idempotencyTtlMs',
  'waitTimeoutMs',
  'askDeadlineMs',
  'logger',
  'bootId',
];

/** Fill in a policy and check it. `current` is what unnamed fields keep. */
export function resolveFlush(
  flush: RuntimeOptions['flush'],
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
export function changeFlush(flush: RuntimeOptions['flush'], current: FlushPolicy, maxBytes: number): FlushPolicy {
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

function resolveHandlers(options: HandlerOptions): Required<HandlerOptions> {
  return {
    checkpointDelayMs: checkInteger('handlers.checkpointDelayMs', options.checkpointDelayMs ?? 20, 0, 60_000),
    inboxTtlMs: checkInteger('handlers.inboxTtlMs', options.inboxTtlMs ?? 7 * 86_400_000, 1000, 2 ** 40),
    stagedChangesLimit: checkInteger(
      'handlers.stagedChangesLimit',
      options.stagedChangesLimit ?? 50_000,
      100,
      10_000_000,
    ),
    connections: checkInteger('handlers.connections', options.connections ?? 8, 1, 1000),
  };
}

/** Everything with its default, or `InvalidOptions` naming the first option that cannot work. */
export function resolveOptions(options: RuntimeOptions, cores: number): ResolvedOptions {
  checkFields('', options, knownOptions);
  if (typeof options.dataDir !== 'string' || options.dataDir === '' || !isStorable(options.dataDir)) {
    invalid('dataDir', options.dataDir, 'must name a folder');
  }
  if (options.log !== undefined) checkFields('log', options.log, logFields);
  if (options.handlers !== undefined) checkFields('handlers', options.handlers, handlerFields);
  if (options.sinks !== undefined && !Array.isArray(options.sinks)) invalid('sinks', options.sinks, 'must be an array');
  const moduleRoots = resolveRoots(options.moduleRoots);
  checkAggregates(options.aggregates, moduleRoots);
  const { stream } = options;
  if (!stream && stream !== undefined && stream !== null) invalid('stream', stream, 'must be made by kafka()');
  const sinkNames = new Set<string>(['store', 'memory']);
  for (const sink of [...(options.stream ? [options.stream] : []), ...(options.sinks ?? [])]) {
    checkFields('sinks', sink, sink === options.stream ? streamFields : sinkFields);
    const fault = nameFault(sink.name, 100);
    if (fault !== undefined) invalid('sinks', sink.name, `name ${fault}`);
    checkModule(`sinks.${sink.name}.module`, sink.module, moduleRoots);
    if (sinkNames.has(sink.name)) invalid('sinks', sink.name, 'two cursors have this name');
    // What kafka() has made it has checked; its secrets may be functions, which stay here.
    const isChecked = sink === options.stream && isMadeBy(Hidden, sink.options);
    if (!isChecked) checkCrosses(`sinks.${sink.name}.options`, revealed(sink.options));
    sinkNames.add(sink.name);
  }
  if (options.store !== undefined && !isMadeBy(StoreOptions, options.store)) {
    invalid('store', options.store, 'must be made by postgres()');
  }
  if (options.store !== undefined) checkModule('store', options.store.describe().module, moduleRoots);
  const ack = options.ack ?? 'written';
  if (!levels.includes(ack)) invalid('ack', ack, `must be one of ${levels.join(', ')}`);
  if (ack === 'published' && !options.stream) invalid('ack', ack, 'needs a stream, and none is configured');
  if (options.context !== undefined) checkModule('context', options.context, moduleRoots);
  // What kafka() was given: it knows no roots.
  const { integration, topics } = Object(revealed(options.stream?.options)) as {
    integration?: unknown;
    topics?: { module?: unknown };
  };
  if (integration !== undefined) checkModule('stream.integration', integration, moduleRoots);
  if (topics?.module !== undefined) checkModule('stream.topics.module', topics.module, moduleRoots);
  if (options.bootId !== undefined && !(typeof options.bootId === 'string' && isStorable(options.bootId))) {
    invalid('bootId', options.bootId, 'must be text');
  }
  const flush = resolveFlush(options.flush);
  const log = {
    maxBytes: checkInteger('log.maxBytes', options.log?.maxBytes ?? 4 * 2 ** 30, 2 ** 20, 2 ** 40),
    retainMs: checkInteger('log.retainMs', options.log?.retainMs ?? 0, 0, 2 ** 40),
    retainBytes: checkInteger(
      'log.retainBytes',
      options.log?.retainBytes ?? Math.min(64 << 20, Math.floor((options.log?.maxBytes ?? 2 ** 32) / 4)),
      0,
      2 ** 40,
    ),
  };
  if (log.retainBytes >= log.maxBytes) invalid('log.retainBytes', log.retainBytes, 'must be less than log.maxBytes');
  checkRoom(flush, log.maxBytes);
  if (options.store !== undefined && log.maxBytes < 4 * RELAYED_DATA_BYTES_LIMIT) {
    const reason = `must be at least ${4 * RELAYED_DATA_BYTES_LIMIT}: transactions may save events of a quarter of that`;
    invalid('log.maxBytes', log.maxBytes, reason);
  }
  return {
    dataDir: options.dataDir,
    aggregates: options.aggregates,
    shards: checkInteger('shards', options.shards ?? Math.min(4, Math.max(1, cores - 1)), 1, 64),
    ack,
    flush,
    context: options.context,
    moduleRoots,
    log,
    store: options.store,
    sinks: options.sinks ?? [],
    stream: options.stream,
    handlers: resolveHandlers(options.handlers ?? {}),
    messages: resolveMessages(options.messages),
    starts: resolveStarts(options.starts),
    actorLimit: checkInteger('actorLimit', options.actorLimit ?? 100_000, 1, 10_000_000),
    actorIdleMs: checkInteger('actorIdleMs', options.actorIdleMs ?? 600_000, 1, 2 ** 40),
    mailboxLimit: checkInteger('mailboxLimit', options.mailboxLimit ?? 10_000, 1, 1_000_000),
    maxInFlight: checkInteger('maxInFlight', options.maxInFlight ?? 65_536, 1, 1_000_000),
    idempotencyTtlMs: checkInteger('idempotencyTtlMs', options.idempotencyTtlMs ?? 86_400_000, 1, 2 ** 40),
    waitTimeoutMs: checkInteger('waitTimeoutMs', options.waitTimeoutMs ?? 60_000, 1, 2 ** 31 - 1),
    askDeadlineMs: checkInteger('askDeadlineMs', options.askDeadlineMs ?? 5_000, 1, 2 ** 31 - 1),
    logger: resolveLogger(options.logger),
    bootId: options.bootId,
  };
}
