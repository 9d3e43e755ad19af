// What a subscription needs of its surroundings; the stage gives it.
import type { Care } from '../care.ts';
import type { Call } from './attempts.ts';
import type { Feed } from './feed.ts';
import type { Starts } from './starts.ts';
import type { Tables } from './tables.ts';

export interface SubscriptionParts {
  tables: Tables;
  feed: Feed;
  starts: Starts;
  call: Call;
  care: Care;
  /** Resolves when the handler can be called; before that no event is taken. */
  ready?: (() => Promise<void>) | undefined;
  /** Kept in memory only: begins anew with each run. */
  volatile: boolean;
  runtimeHasFailed(): boolean;
  onError(error: unknown, details: Record<string, unknown>): void;
  /** Its filter takes more than in an earlier run, which has skipped that. */
  onWidened(details: Record<string, unknown>): void;
  onClosed(): Promise<void> | void;
}
