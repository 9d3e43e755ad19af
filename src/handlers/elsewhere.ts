// What handlers take of a store elsewhere, from its adapter: the place where they keep what must survive, and projections into
// tables of the user's. Loaded where there is such a store. Caller's thread.
import type { AnyAggregate } from '../aggregate.ts';
import { TrunklineError } from '../errors.ts';
import { shown } from '../shown.ts';
import { loadAdapter, type StoreOptions } from '../store/adapter.ts';
import type { Call } from './attempts.ts';
import type { RemoteTraces } from './forget.ts';
import type { Projection, ProjectionDefinition, ProjectionTable } from './projection.ts';
import type { SubscriptionSettings } from './settings.ts';
import type { BeginOptions } from './stage-parts.ts';
import type { RunningSubscription } from './subscription.ts';
import type { TableStore } from './table-store.ts';

/** What a projection needs of the stage that it is a part of. */
export interface ProjectionStage {
  /** The adapter's own tables. */
  readonly remote: TableStore | undefined;
  readonly waitTimeoutMs: number;
  readonly syncedPosition: number;
  readonly definitions: ReadonlyMap<string, AnyAggregate>;
  /** Reports what holds a projection up at the store; it tries again. */
  projectionHeldUp(projection: string, error: unknown): void;
  begin(settings: SubscriptionSettings, call: Call, options?: BeginOptions): RunningSubscription;
}

/** Tells the store how far those readers are whose checkpoints are kept on this machine. */
export interface ReaderNotes {
  /** The same store, whose checkpoints are noted as they are committed. */
  follow(store: TableStore): Promise<TableStore>;
  close(): Promise<void>;
  /** Ends at once what it is doing. */
  cut(): void;
}

/** `settings`: of the store's options. */
export interface HandlersElsewhere {
  /** `connections`: most transactions of handlers at a time. */
  tables(settings: unknown, logId: string, connections: number): TableStore;
  /** `onError`: once for each time that the store begins to fail. */
  readers(settings: unknown, logId: string, onError: (error: Error) => void): ReaderNotes;
  traces(settings: unknown, logId: string): RemoteTraces;
  /** @throws InvalidOptions */
  projection<Row>(
    definition: ProjectionDefinition<Row>,
    into: ProjectionTable,
    stage: ProjectionStage,
    onClosed: () => void,
  ): Projection<Row>;
}

/** An adapter whose store keeps what handlers need; without it they keep it on this machine. */
export interface HandlersAdapter {
  openHandlers(): Promise<HandlersElsewhere>;
}

/** undefined: the store keeps nothing of handlers. */
export async function loadElsewhere(store: StoreOptions): Promise<HandlersElsewhere | undefined> {
  const adapter = await loadAdapter<Partial<HandlersAdapter>>(store.describe());
  return adapter.openHandlers?.();
}

/** @throws InvalidOptions: there is none, and so no table of a user's */
export function elsewhereFor(into: ProjectionTable, elsewhere: HandlersElsewhere | undefined): HandlersElsewhere {
  if (elsewhere) return elsewhere;
  const reason = 'a table needs store: postgres(…)';
  throw new TrunklineError('InvalidOptions', { option: 'projection.into', value: shown(into), reason });
}
