// Replay: events of the past, once more, to a function or to a running handler, beside what goes on. Moves no checkpoint.
// Owned by the host thread.

import { isDate } from 'node:util/types';
import {
  checkAggregate,
  checkFunction,
  checkId,
  checkInteger,
  checkSignal,
  checkTypeList,
  invalid,
} from '../base/checks.ts';
import { performance } from '../base/clock.ts';
import { guarded } from '../base/guarded.ts';
import { checkFields, fieldsOf, taken } from '../base/known-fields.ts';
import { pauseUnless } from '../base/on-abort.ts';
import { doneOutside } from '../base/refusable-call.ts';
import { isThenable, promised } from '../base/thenable.ts';
import type { AggregateLike, AnyAggregate, EventNameOf, EventsNamed } from '../model/aggregate.ts';
import { checkEventNames, checkRegistered } from '../model/catalogue.ts';
import type { StoredEvent } from '../model/event.ts';
import type { History } from '../store/history.ts';
import type { StartPositions } from './start-positions.ts';
import type { RunningSubscription } from './subscription.ts';

/** What to replay, into what, how fast. */
export interface ReplayOptions<A extends AggregateLike = any, T extends EventNameOf<A> = EventNameOf<A>> {
  /** First log position, or a time: from the first event that occurred then or later. Default: the start. */
  from?: number | Date | undefined;
  /** Last log position, or a time (before it). Default: what is written now. */
  to?: number | Date | undefined;
  types?: readonly T[] | undefined;
  aggregate?: A | undefined;
  /** With `aggregate`. */
  aggregateId?: string | undefined;
  /**
   * A function, or the name of a running subscription whose handler is called with one attempt each, behind what goes on with
   * the event's aggregate; its effects (`tx`) are kept.
   */
  into: string | ((event: EventsNamed<A, T>) => unknown);
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: ReplayProgress) => void) | undefined;
  /** How often `onProgress` is called, milliseconds; default 1,000. */
  progressMs?: number | undefined;
  /** At most so many events a second; default: as fast as it goes. */
  eventsPerSecond?: number | undefined;
  /** Only count: nothing is called. */
  dryRun?: boolean | undefined;
}

/** How far a replay has come. */
export interface ReplayProgress {
  events: number;
  /** Of the named handler, attempts that failed: the replay goes on behind them. */
  failed: number;
  position: number;
  fromPosition: number;
  toPosition: number;
  seconds: number;
  eventsPerSecond: number;
  /** By positions; undefined at first. */
  remainingSeconds: number | undefined;
}

const pageSize = 5000;
const rateSliceMs = 50;
const replayFields = fieldsOf<ReplayOptions>({
  from: true,
  to: true,
  types: 'list',
  aggregate: true,
  aggregateId: true,
  into: true,
  signal: true,
  onProgress: 'function',
  progressMs: true,
  eventsPerSecond: true,
  dryRun: 'boolean',
});

/** @throws InvalidOptions */
function checkReplay({ from = 1, to, into, ...options }: ReplayOptions): void {
  const { signal, onProgress, progressMs, eventsPerSecond, dryRun = false, types, aggregate, aggregateId } = options;
  checkMoment('from', from);
  if (to !== undefined) checkMoment('to', to);
  if (typeof from === typeof to && Number(from) > Number(to)) invalid('to', to, 'lies before `from`');
  if (eventsPerSecond !== undefined) checkInteger('eventsPerSecond', eventsPerSecond, 1, 1_000_000_000);
  if (progressMs !== undefined) checkInteger('progressMs', progressMs, 0, 2 ** 31 - 1);
  if (signal !== undefined) checkSignal(signal);
  if (onProgress !== undefined) checkFunction('onProgress', onProgress);
  if (typeof dryRun !== 'boolean') invalid('dryRun', dryRun, 'must be true or false');
  if (types !== undefined) checkTypeList('types', types, 'leave it out to replay all');
  if (aggregate !== undefined) checkAggregate(aggregate);
  if (aggregateId !== undefined) checkId('aggregate id', aggregateId);
  for (const type of types ?? []) checkId('event type', type);
  if (aggregateId !== undefined && aggregate === undefined) invalid('aggregateId', aggregateId, 'needs `aggregate`');
  const isTarget = typeof into === 'function' || (typeof into === 'string' && into !== '');
  if (!isTarget && !(dryRun && into === undefined)) invalid('into', into, 'must be a function or a name');
}

function checkMoment(option: string, moment: number | Date): void {
  if (isDate(moment) && !Number.isNaN(moment.getTime())) return;
  if (typeof moment === 'number' && Number.isSafeInteger(moment) && moment >= 0) return;
  invalid(option, moment, 'must be a log position or a valid Date');
}

interface ReplayParts {
  history: History;
  starts: StartPositions;
  definitions: ReadonlyMap<string, AnyAggregate>;
  find(name: string): RunningSubscription;
  written(): number;
  /** Aborts when the runtime closes: the replay ends. */
  closing: AbortSignal;
}

/** @internal see `runtime.replay` */
export function replay(options: ReplayOptions, parts: ReplayParts): Promise<ReplayProgress> {
  return promised(() => replayOf(options, parts));
}

function replayOf(options: ReplayOptions, parts: ReplayParts): Promise<ReplayProgress> {
  checkFields('replay', options, replayFields);
  const given = taken(options, replayFields);
  checkReplay(given);
  checkRegistered(given.aggregate === undefined ? undefined : [given.aggregate], parts.definitions);
  checkEventNames(given.types, given.aggregate === undefined ? undefined : [given.aggregate], parts.definitions);
  const { into, dryRun = false } = given;
  const subscription = typeof into === 'string' && !dryRun ? parts.find(into) : undefined;
  const replayed = (): Promise<ReplayProgress> => replayInto(subscription, given, parts);
  if (subscription === undefined) return replayed();
  return doneOutside(subscription.dispatcher.code, `replay() into '${subscription.name}'`, replayed);
}

/** `subscription` undefined: into a function, or a dry run. */
async function replayInto(
  subscription: RunningSubscription | undefined,
  given: ReplayOptions,
  parts: ReplayParts,
): Promise<ReplayProgress> {
  const { from = 1, to, into, types, aggregate, aggregateId, eventsPerSecond: rate } = given;
  const { onProgress = () => {}, progressMs = 1000, dryRun = false } = given;
  const signal = given.signal === undefined ? parts.closing : AbortSignal.any([given.signal, parts.closing]);
  const report = guarded(onProgress); // what it throws does not end the replay: there is the signal for that
  const written = parts.written();
  const fromPosition = await parts.starts.positionOf(from);
  const toPosition = typeof to === 'number' ? Math.min(to, written) : written;
  const until = isDate(to) ? to : undefined;
  const progress: ReplayProgress = {
    events: 0,
    failed: 0,
    position: fromPosition - 1,
    fromPosition,
    toPosition,
    seconds: 0,
    eventsPerSecond: 0,
    remainingSeconds: undefined,
  };
  const started = performance.now();
  let told = started;
  const tell = (position: number): void => {
    told = performance.now();
    progress.position = position;
    progress.seconds = (told - started) / 1000;
    progress.eventsPerSecond = progress.seconds > 0 ? progress.events / progress.seconds : 0;
    const share = (position - fromPosition + 1) / Math.max(1, toPosition - fromPosition + 1);
    if (share > 0) progress.remainingSeconds = (progress.seconds / share) * (1 - share);
    report({ ...progress });
  };
  const hand = (event: StoredEvent): unknown => {
    if (subscription === undefined) return (into as (event: StoredEvent) => unknown)(event);
    return subscription.dispatcher.asked.replay(event).then((isDone) => isDone || progress.failed++);
  };
  const query = { from: fromPosition, to: toPosition, types, aggregate, aggregateId, until, signal, pageSize };
  if (fromPosition <= toPosition) {
    const pages = subscription === undefined ? parts.history.pages(query) : parts.history.stored(query);
    for await (const page of pages) {
      for (const event of page) {
        signal.throwIfAborted();
        if (rate !== undefined) await due(started, progress.events, rate, signal);
        if (!dryRun) {
          const result = hand(event);
          if (isThenable(result)) await result;
        }
        progress.events++;
      }
      if (page.length > 0 && performance.now() - told >= progressMs) tell(page.at(-1)!.position);
    }
  }
  await subscription?.effectsKept();
  tell(Math.max(toPosition, fromPosition - 1));
  return progress;
}

/** Resolves when the next event is due at this rate; waits in slices, not for each. */
async function due(started: number, events: number, rate: number, signal: AbortSignal): Promise<void> {
  const aheadMs = (events / rate) * 1000 - (performance.now() - started);
  if (aheadMs >= rateSliceMs || (events > 0 && aheadMs >= 1000 / rate && rate < 1000 / rateSliceMs)) {
    await pauseUnless(signal, Math.max(1, aheadMs));
    signal.throwIfAborted(); // with its reason
  }
}
