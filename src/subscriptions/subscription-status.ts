// What a subscription tells of itself, out of what its parts know. Owned by the host thread.
import { dateMs } from '../base/clock.ts';
import { tame } from '../base/tame.ts';
import type { CheckpointRecord } from '../handler-state/checkpoint.ts';
import type { EventDispatcher } from './event-dispatcher.ts';
import type { SubscriptionState, SubscriptionStatus } from './handlers.ts';

/** `failure`: what keeps it from going on, if anything does. */
export function statusOf(
  name: string,
  state: SubscriptionState,
  dispatcher: EventDispatcher,
  synced: number,
  failure: unknown,
): SubscriptionStatus {
  const { tracker, runner, breaker, parked, handled } = dispatcher;
  const { low, count } = tracker;
  const shown = failure ?? runner.lastError;
  return {
    name,
    state,
    position: low,
    lagEvents: Math.max(0, synced - low),
    lagSeconds: low >= synced ? 0 : ageSeconds(dispatcher),
    inFlight: count,
    handled,
    failures: runner.failures,
    deadLetters: parked.count,
    circuit: breaker.isOpen ? 'open' : 'closed',
    lastError: shown === undefined ? undefined : tame(shown),
  };
}

/** Where it stands, as it is kept. */
export function checkpointOf({ tracker, lastTaken }: EventDispatcher, isPaused: boolean): CheckpointRecord {
  return {
    low: tracker.low,
    done: tracker.done(),
    ...(lastTaken && { lastId: lastTaken.id, lastAt: lastTaken.occurredAt.toISOString() }),
    updatedAt: new Date(dateMs()).toISOString(),
    ...(isPaused && { paused: true }),
  };
}

/** Of one that has not come to its subscription yet, or has ended before. */
export function emptyStatus(name: string, state: SubscriptionState, failure: unknown): SubscriptionStatus {
  return {
    name,
    state,
    position: 0,
    lagEvents: 0,
    lagSeconds: 0,
    inFlight: 0,
    handled: 0,
    failures: 0,
    deadLetters: 0,
    circuit: 'closed',
    lastError: failure === undefined ? undefined : tame(failure),
  };
}

/** Since the oldest event that is not done occurred, as far as it is known. */
function ageSeconds({ tracker, lastTaken }: EventDispatcher): number {
  const since = tracker.oldest?.occurredAt ?? lastTaken?.occurredAt.getTime();
  return since === undefined ? 0 : Math.max(0, (dateMs() - since) / 1000);
}
