// What a subscription needs of its surroundings, which the stage gives it; and how one begins that is not quite a user's.

import type { StateTables } from '../handler-state/handler-state.ts';
import type { Care } from '../wire/care.ts';
import type { Feed } from './feed.ts';
import type { HandlerFn } from './handler-code.ts';
import type { StartPositions } from './start-positions.ts';

export interface SubscriptionParts {
  handlerState: StateTables;
  feed: Feed;
  starts: StartPositions;
  call: HandlerFn;
  care: Care;
  /** Resolves when the handler can be called; before that no event is taken. */
  ready?: (() => Promise<void>) | undefined;
  /** Kept in memory only: begins again with each run. */
  volatile: boolean;
  runtimeHasFailed(): boolean;
  onError(error: unknown, details: Record<string, unknown>): void;
  /** The handler's thread could not be made, or could not load its module: events wait for it, and are not to blame. */
  onUnready(error: unknown): void;
  /** Its filter takes more than in an earlier run, which has skipped that. */
  onWidened(details: Record<string, unknown>): void;
  /** It has had other names, and nothing is kept under any of them; others have kept something. */
  onNothingKept(details: Record<string, unknown>): void;
  onClosed(): Promise<void> | void;
}

export interface BeginOptions {
  /** It folds a projection's rows: nothing for users to steer, who would fold events twice. */
  isInternal?: boolean;
  volatile?: boolean;
  handlerState?: StateTables;
  /** Resolves when the handler can be called. */
  ready?: () => Promise<void>;
  closed?: () => Promise<void> | void;
}
