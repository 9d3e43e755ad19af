// The options of a runtime: unit, default, bound and effect. Each room declares what it takes, and checks it; here they are one
// whole, checked before anything is touched.

import { checkInteger, invalid, isMadeBy } from '../base/checks.ts';
import { revealed } from '../base/hidden.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';
import { type Logger, resolveLogger } from '../base/logger.ts';
import { isStorable } from '../base/tame.ts';
import { checkModule, resolveRoots } from '../base/user-module.ts';
import { checkSinks, type SinkOptions, type StreamOptions } from '../flush/sink-options.ts';
import { type FlushOption, type FlushPolicy, type LogOptions, resolveFlush, resolveLog } from '../log/policy.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import { checkAggregates, checkEntities } from '../model/aggregates-option.ts';
import type { EntityEvents } from '../model/entity-events.ts';
import { type MessageOptions, type MessageSettings, resolveMessages } from '../model/message-options.ts';
import { type Level, levels } from '../model/receipt.ts';
import { resolveStarts, type StartOptions, type StartSettings } from '../model/start-options.ts';
import { StoreOptions, storeRule } from '../store/adapter.ts';
import { RELAYED_DATA_BYTES_LIMIT } from '../wire/limits.ts';

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
  /** With a store that has transactions: most of them for handlers (`tx.client()`) at a time, 1 to 1,000; default 8. */
  connections?: number | undefined;
}

/** The options of `createRuntime`; all but two have a default. */
export interface RuntimeOptions {
  /** Where log and store live; created if absent, mode 0700; one runtime at a time. */
  dataDir: string;
  aggregates: readonly AnyAggregate[];
  /** What `defineEntityEvents` has returned: their events are checked as they come in, and read in their newest version. */
  entities?: readonly EntityEvents[] | undefined;
  /** Threads that run aggregates, 1 to 64; default: cores - 1, at least 1, at most 4. */
  shards?: number | undefined;
  /** The level a command waits for unless it says otherwise; default `written`. */
  ack?: Level | undefined;
  flush?: FlushOption | undefined;
  /** A module, by URL or absolute path, whose default export makes what commands see as `context`, once per shard. */
  context?: string | undefined;
  /**
   * Folders, by URL or absolute path: no module that an option names may lie outside of them, links resolved; default: any file.
   * That goes for aggregates, `context`, sinks, handlers of `subscribe`, and the stream's `integration` and `topics.module`.
   */
  moduleRoots?: readonly string[] | undefined;
  log?: LogOptions | undefined;
  /** Where events are kept: what a store's own function returns; default: here, in `dataDir`. */
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
  /** An actor leaves when it has had no command for so long, milliseconds; default 600,000. */
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
   * A pino logger, or one like it; default: pino at level `warn` on stderr, since a sink, a handler or a shard that fails says
   * so here first. `false`: silence. A logger that throws hurts nothing: its message goes to stderr.
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

const handlerFields = fieldsOf<HandlerOptions>({
  checkpointDelayMs: true,
  inboxTtlMs: true,
  stagedChangesLimit: true,
  connections: true,
});
const knownOptions: readonly (keyof RuntimeOptions)[] = [
  'dataDir',
  'aggregates',
  'entities',
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

function checkDefinitions({ aggregates, entities }: RuntimeOptions, moduleRoots: readonly string[] | undefined): void {
  checkAggregates(aggregates, moduleRoots);
  checkEntities(entities, aggregates);
}

/** Everything with its default, or `InvalidOptions` naming the first option that cannot work. */
export function resolveOptions(options: RuntimeOptions, cores: number): ResolvedOptions {
  checkFields('', options, knownOptions);
  if (typeof options.dataDir !== 'string' || options.dataDir === '' || !isStorable(options.dataDir)) {
    invalid('dataDir', options.dataDir, 'must name a folder');
  }
  if (options.handlers !== undefined) checkFields('handlers', options.handlers, handlerFields);
  const moduleRoots = resolveRoots(options.moduleRoots);
  checkDefinitions(options, moduleRoots);
  checkSinks(options.stream, options.sinks, moduleRoots);
  if (options.store !== undefined && !isMadeBy(StoreOptions, options.store)) {
    invalid('store', options.store, storeRule);
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
  const log = resolveLog(options.log, flush);
  if (options.store !== undefined && log.maxBytes < 4 * RELAYED_DATA_BYTES_LIMIT) {
    const reason = `must be at least ${4 * RELAYED_DATA_BYTES_LIMIT}: transactions may save events of a quarter of that`;
    invalid('log.maxBytes', log.maxBytes, reason);
  }
  return {
    dataDir: options.dataDir,
    aggregates: options.aggregates,
    entities: options.entities ?? [],
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
