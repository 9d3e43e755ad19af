// What a projection needs of its surroundings, and what a store's adapter offers for projections: rows in a table of the user's.
// Owned by the host thread.

import { TrunklineError } from '../base/errors.ts';
import { shown } from '../base/shown.ts';
import type { StateTables } from '../handler-state/handler-state.ts';
import type { HandlerStateStore } from '../handler-state/handler-state-store.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import { loadAdapter, type StoreOptions } from '../store/adapter.ts';
import type { HandlerFn } from '../subscriptions/handler-code.ts';
import type { SubscriptionSettings } from '../subscriptions/settings.ts';
import type { RunningSubscription } from '../subscriptions/subscription.ts';
import type { BeginOptions } from '../subscriptions/subscription-parts.ts';
import type { Projection, ProjectionDefinition, ProjectionTable } from './projection.ts';

/** What a projection needs of its surroundings. */
export interface ProjectionStage {
  /** Tables on this machine. */
  readonly local: StateTables;
  /** The adapter's own tables. */
  readonly remote: HandlerStateStore | undefined;
  readonly waitTimeoutMs: number;
  readonly syncedPosition: number;
  readonly definitions: ReadonlyMap<string, AnyAggregate>;
  /** Reports what holds a projection up at the store; it tries again. */
  projectionHeldUp(projection: string, error: unknown): void;
  begin(settings: SubscriptionSettings, call: HandlerFn, options?: BeginOptions): RunningSubscription;
}

export interface RemoteProjections {
  /** @throws InvalidOptions */
  projection<Row>(
    definition: ProjectionDefinition<Row>,
    into: ProjectionTable,
    stage: ProjectionStage,
    onClosed: () => void,
  ): Projection<Row>;
}

/** An adapter whose store can hold a projection's rows in a table of the user's; it keeps the state of handlers as well. */
export interface ProjectionAdapter {
  openProjections(): Promise<RemoteProjections>;
}

/** undefined: the store has no tables of the user's. */
export async function loadProjections(store: StoreOptions): Promise<RemoteProjections | undefined> {
  const adapter = await loadAdapter<Partial<ProjectionAdapter>>(store.describe());
  return adapter.openProjections?.();
}

/** @throws InvalidOptions: there is none, and so no table of a user's */
export function projectionsFor(into: ProjectionTable, remote: RemoteProjections | undefined): RemoteProjections {
  if (remote) return remote;
  const reason = 'a table needs a store outside of the data directory that has tables of yours';
  throw new TrunklineError('InvalidOptions', { option: 'projection.into', value: shown(into), reason });
}
