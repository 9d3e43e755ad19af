// Replay: events of the past, once more, to a function or to a running handler, beside what goes on. Moves no checkpoint.
// Owned by the caller's thread.
import { setTimeout as pause } from 'node:timers/promises';
import type { AggregateLike, EventNameOf, EventsNamed } from '../aggregate.ts';
import { checkInteger } from '../checks.ts';
import { TrunklineError } from '../errors.ts';
import type { StoredEvent } from '../event.ts';
import type { History } from '../store/history.ts';
import { checkFrom } from './settings.ts';
import type { Starts } from './starts.ts';
import type { RunningSubscription } from './subscription.ts';

/** What to replay, into what, how fast. */
export interface ReplayOptions<A extends AggregateLike = any, T extends EventNameOf<A> = EventNameOf<A>> {
  /** First log position, or a time: from the first event that occurred then or later. Default: the start. */
  from?: number | Date;
  /** Last log position, or a time (before it). Default: what is written now. */
  to?: number | Date;
  types?: readonly T[];
  aggregate?: A;
  /** With `aggregate`. */
  aggregateId?: string;
  /** A function, or the name of a running subscription whose handler is called with one attempt each. */
  into: string | ((event: EventsNamed<A, T>) => unknown);
  signal?: AbortSignal;
  onProgress?: (progress: ReplayProgress) => void;
  /** How often `onProgress` is called, milliseconds; default 1,000. */
  progressMs?: number;
  /** At most so many events a second; default: as fast as it goes. */
  eventsPerSecond?: number;
  /** Only count: nothing is called. */
  dryRun?: boolean;
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

/** @internal see `runtime.replay` */
export async function replay(
  { from = 1, to, into, ...options }: ReplayOptions,
  parts: { history: History; starts: Starts; find(name: string): RunningSubscription; written(): number },
): Promise<ReplayProgress> {
  const { types, aggregate, aggregateId, signal, onProgress = () => {}, progressMs = 1000, dryRun = false } = options;
  checkFrom(from);
  if (to !== undefined) checkFrom(to);
  const rate = options.eventsPerSecond;
  if (rate !== undefined) checkInteger('eventsPerSecond', rate, 1, 1_000_000_000);
  if (typeof into !== 'string' && typeof into !== 'function' && !dryRun) {
    throw new TrunklineError('InvalidOptions', { option: 'into', value: into, reason: 'must be a function or a name' });
  }
  const subscription = typeof into === 'string' && !dryRun ? parts.find(into) : undefined;
  const written = parts.written();
  const fromPosition = await parts.starts.positionOf(from);
  const toPosition = typeof to === 'number' ? Math.min(to, written) : written;
  const until = to instanceof Date ? to : undefined;
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
    onProgress({ ...progress });
  };
  const hand = (event: StoredEvent): unknown => {
    if (subscription === undefined) return (into as (event: StoredEvent) => unknown)(event);
    return subscription.handling.replay(event).then((isDone) => isDone || progress.failed++);
  };
  const query = { from: fromPosition, to: toPosition, types, aggregate, aggregateId, until, signal, pageSize };
  if (fromPosition <= toPosition) {
    for await (const page of parts.history.pages(query)) {
      for (const event of page) {
        signal?.throwIfAborted();
        if (rate !== undefined) await due(started, progress.events, rate, signal);
        if (!dryRun) {
          const result = hand(event);
          if (result instanceof Promise) await result;
        }
        progress.events++;
      }
      if (page.length > 0 && performance.now() - told >= progressMs) tell(page.at(-1)!.position);
    }
  }
  tell(Math.max(toPosition, fromPosition - 1));
  return progress;
}

/** Resolves when the next event is due at this rate; waits in slices, not for each. */
async function due(started: number, events: number, rate: number, signal: AbortSignal | undefined): Promise<void> {
  const aheadMs = (events / rate) * 1000 - (performance.now() - started);
  if (aheadMs >= rateSliceMs || (events > 0 && aheadMs >= 1000 / rate && rate < 1000 / rateSliceMs)) {
    await pause(Math.max(1, aheadMs), undefined, signal && { signal });
  }
}
