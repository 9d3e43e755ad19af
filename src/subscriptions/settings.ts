// The options of a subscription with their defaults, checked as a whole before anything begins.

import { types } from 'node:util';
import { checkAggregate, checkFunction, checkInteger, checkTypeList, invalid } from '../base/checks.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';
import { checkModule } from '../base/user-module.ts';
import { checkHandlerName } from '../handler-state/handler-name.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import { checkEventNames, checkRegistered } from '../model/catalogue.ts';
import type { StoredEvent } from '../model/event.ts';
import { Evolution, type WantedNames } from '../model/evolution.ts';
import type {
  AnySubscribeOptions,
  BatchDelivery,
  BreakerOptions,
  Delivery,
  From,
  OnExhausted,
  RetryOptions,
  SubscribeOptions,
  SubscribeWorkerOptions,
} from './handlers.ts';

export interface SubscriptionSettings {
  name: string;
  /** The name that its checkpoint, its letters and the keys of its effects have: the first that it ever had. */
  keptAs: string;
  /** Every name that it has or had. */
  names: readonly string[];
  /** Every name that a wanted event may have; undefined: all. */
  types: ReadonlySet<string> | undefined;
  /** Which of those are wanted; undefined: all. */
  wanted: WantedNames | undefined;
  aggregates: ReadonlySet<string> | undefined;
  /** How stored events are read. */
  evolution: Evolution;
  where: ((event: StoredEvent) => boolean) | undefined;
  from: From;
  concurrency: number;
  window: number;
  batch:
    | (Required<Omit<BatchDelivery<StoredEvent>, 'coalesceBy'>> & Pick<BatchDelivery<StoredEvent>, 'coalesceBy'>)
    | undefined;
  retry: Required<RetryOptions>;
  timeoutMs: number;
  breaker: { failures: number; pauseMs: number } | undefined;
  onExhausted: OnExhausted;
  deadLetterLimit: number;
  handle: ((event: any, delivery: Delivery) => unknown) | undefined;
  module: string | undefined;
  /** How long a thread of its own may take to start and to load the module. */
  moduleMs?: number;
  threads: number;
}

const knownOptions = fieldsOf<Record<keyof SubscribeOptions | keyof SubscribeWorkerOptions | 'batch', unknown>>({
  name: true,
  renamedFrom: true,
  events: true,
  aggregates: true,
  where: 'function',
  from: true,
  concurrency: true,
  window: true,
  batch: true,
  retry: true,
  timeoutMs: true,
  breaker: true,
  onExhausted: true,
  deadLetterLimit: true,
  handle: true,
  thread: true,
  module: true,
  threads: true,
});
const batchFields = fieldsOf<BatchDelivery<unknown>>({ max: true, maxDelayMs: true, coalesceBy: true });
const retryFields = fieldsOf<RetryOptions>({
  attempts: true,
  minDelayMs: true,
  factor: true,
  maxDelayMs: true,
  jitter: 'boolean',
  nonRetryable: 'list',
});
const breakerFields = fieldsOf<BreakerOptions>({ failures: true, pauseMs: true });

/** @throws InvalidOptions, UnknownEventType */
export function resolveSubscription(
  options: AnySubscribeOptions,
  definitions: ReadonlyMap<string, AnyAggregate>,
  moduleRoots?: readonly string[] | undefined,
): SubscriptionSettings {
  if (typeof options !== 'object' || options === null) invalid('subscribe', options, 'must be an object');
  checkFields('', options, knownOptions);
  checkHandlerName(options.name);
  const { batch, retry = {}, breaker = {} } = options;
  if (batch !== undefined) checkFields('batch', batch, batchFields);
  checkFields('retry', retry, retryFields);
  if (breaker !== false) checkFields('breaker', breaker, breakerFields);
  if (batch?.coalesceBy !== undefined) checkFunction('batch.coalesceBy', batch.coalesceBy);
  checkCode(options, moduleRoots);
  if (options.where !== undefined && typeof options.where !== 'function') {
    invalid('where', options.where, 'must be a function');
  }
  const onExhausted = options.onExhausted ?? 'park';
  if (!['park', 'park-event', 'stop'].includes(onExhausted)) {
    invalid('onExhausted', onExhausted, "must be 'park', 'park-event' or 'stop'");
  }
  return {
    name: options.name,
    ...namesOf(options.name, options.renamedFrom),
    ...resolveTypes(options, definitions),
    aggregates: resolveAggregates(options, definitions),
    where: options.where,
    from: checkFrom(options.from ?? 'start'),
    concurrency: batch ? 1 : checkInteger('concurrency', options.concurrency ?? 16, 1, 10_000),
    window: checkInteger('window', options.window ?? 10_000, 1, 1_000_000),
    batch: batch && {
      max: checkInteger('batch.max', batch.max, 1, 100_000),
      maxDelayMs: checkInteger('batch.maxDelayMs', batch.maxDelayMs ?? 0, 0, 3_600_000),
      coalesceBy: batch.coalesceBy as ((event: StoredEvent) => string) | undefined,
    },
    retry: {
      attempts: checkInteger('retry.attempts', retry.attempts ?? 5, 1, 1000),
      minDelayMs: checkInteger('retry.minDelayMs', retry.minDelayMs ?? 100, 0, 2 ** 31 - 1),
      factor: checkFactor(retry.factor ?? 2),
      maxDelayMs: checkInteger('retry.maxDelayMs', retry.maxDelayMs ?? 30_000, 0, 2 ** 31 - 1),
      jitter: retry.jitter ?? true,
      nonRetryable: checkNotRetried(retry.nonRetryable ?? []),
    },
    timeoutMs: checkInteger('timeoutMs', options.timeoutMs ?? 30_000, 1, 2 ** 31 - 1),
    breaker:
      breaker === false
        ? undefined
        : {
            failures: checkInteger('breaker.failures', breaker.failures ?? 20, 1, 1_000_000),
            pauseMs: checkInteger('breaker.pauseMs', breaker.pauseMs ?? 5_000, 1, 2 ** 31 - 1),
          },
    onExhausted,
    deadLetterLimit: checkInteger('deadLetterLimit', options.deadLetterLimit ?? 100_000, 1, 10_000_000),
    handle: options.handle as SubscriptionSettings['handle'],
    module: options.thread === 'worker' ? options.module : undefined,
    threads: checkInteger('threads', (options.thread === 'worker' ? options.threads : 1) ?? 1, 1, 64),
  };
}

function namesOf(name: string, former: readonly string[] | undefined): Pick<SubscriptionSettings, 'keptAs' | 'names'> {
  if (former === undefined) return { keptAs: name, names: [name] };
  if (!Array.isArray(former) || former.length === 0) {
    invalid('renamedFrom', former, 'must be a list of the names that it had before, the oldest first');
  }
  for (const one of former) checkHandlerName(one, 'renamedFrom');
  if (new Set(former).size < former.length) invalid('renamedFrom', former, 'names one twice');
  return { keptAs: former[0]!, names: [...new Set([name, ...former])] };
}

/** A function, or a module with threads of its own. */
function checkCode(options: AnySubscribeOptions, moduleRoots: readonly string[] | undefined): void {
  const { thread, handle } = options as { thread?: unknown; handle?: unknown };
  if (options.thread === 'worker') checkModule('module', options.module, moduleRoots);
  else if (thread !== undefined) invalid('thread', thread, "must be 'worker', or not be there");
  else if (typeof handle !== 'function') invalid('handle', handle, 'must be a function');
}

export function checkFrom(from: From): From {
  if (from === 'start' || from === 'now') return from;
  if (types.isDate(from) && !Number.isNaN(from.getTime())) return new Date(from); // it may change under us
  if (typeof from === 'number' && Number.isSafeInteger(from) && from >= 0) return from;
  return invalid('from', from, "must be 'start', 'now', a log position or a valid Date");
}

function checkNotRetried(given: NonNullable<RetryOptions['nonRetryable']>): NonNullable<RetryOptions['nonRetryable']> {
  for (const one of given) checkFunction('retry.nonRetryable', one);
  return given;
}

function resolveAggregates(
  { aggregates }: AnySubscribeOptions,
  definitions: ReadonlyMap<string, AnyAggregate>,
): ReadonlySet<string> | undefined {
  if (aggregates === undefined) return undefined;
  if (!Array.isArray(aggregates)) {
    invalid('aggregates', aggregates, 'must be a list of definitions or names; leave it out for all');
  }
  if (aggregates.length === 0) {
    invalid('aggregates', [], 'is empty, and would select nothing; name aggregates, or leave it out for all');
  }
  for (const one of aggregates) checkAggregate(one);
  checkRegistered(aggregates, definitions);
  return new Set(aggregates.map((one) => todaysNameOf(one, definitions)));
}

function resolveTypes(
  { events = '*', aggregates }: AnySubscribeOptions,
  definitions: ReadonlyMap<string, AnyAggregate>,
): Pick<SubscriptionSettings, 'types' | 'wanted' | 'evolution'> {
  const evolution = new Evolution(definitions.values());
  if (events === '*') return { types: undefined, wanted: undefined, evolution };
  checkTypeList('events', events, "'*' is all of them");
  checkEventNames(events, aggregates, definitions);
  const wanted = events.includes('*') ? undefined : evolution.names(events, undefined);
  return { types: wanted?.today, wanted, evolution };
}

const todaysNameOf = (aggregate: AnyAggregate | string, definitions: ReadonlyMap<string, AnyAggregate>): string =>
  typeof aggregate === 'string' ? (definitions.get(aggregate)?.name ?? aggregate) : aggregate.name;

function checkFactor(factor: number): number {
  if (Number.isFinite(factor) && factor >= 1) return factor;
  return invalid('retry.factor', factor, 'must be at least 1');
}
