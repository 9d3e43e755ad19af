// What a rehearsal is given, and what it comes to.

import type { AnyAggregate } from '../model/aggregate.ts';
import type { StoreOptions } from '../store/adapter.ts';
import type { RehearsalFailure } from './compare/failure.ts';
import type { StateChange } from './compare/state-diff.ts';

/** Which history two releases are compared on, and how. */
export interface RehearsalOptions {
  /** Data directory of a service, running or not; what its store has is read. */
  dataDir?: string | undefined;
  /** The store, where events are kept elsewhere: what its own function returns. */
  store?: StoreOptions | undefined;
  /** Definitions of the release that is running, and of the one to come; paired by their names. */
  old: readonly AnyAggregate[];
  new: readonly AnyAggregate[];
  /** Only aggregates of this type, and with it only the one with this id. */
  aggregateType?: string | undefined;
  aggregateId?: string | undefined;
  /** Only aggregates of which an event occurred then or later. All their events are folded. */
  since?: Date | undefined;
  /** States as they were before the first event that occurred then or later. */
  until?: Date | undefined;
  /** A share of the aggregates, above 0 and up to 1: the same ones each time. Default 1. */
  sample?: number | undefined;
  /**
   * Differences that are meant: `order:totals.net`, or a path of any type. A pattern covers the place that it names and what is
   * within it; `*` stands for any type, or any one name or index.
   */
  ignore?: readonly string[] | undefined;
  /** So many differences are described, at most; all are counted. Default 20. */
  limit?: number | undefined;
  /** Go on with this aggregate: types in their order, then ids by their bytes. */
  from?: { readonly aggregateType: string; readonly aggregateId: string } | undefined;
  /** Ends it with what was found so far. */
  signal?: AbortSignal | undefined;
  /** Called now and then, once a second at most. */
  onProgress?: ((progress: RehearsalCounts) => void) | undefined;
}

/** How much has been compared. */
export interface RehearsalCounts {
  readonly aggregates: number;
  readonly events: number;
  /** Aggregates that differ; those that differ in ignored places only are `ignored`. */
  readonly different: number;
  readonly ignored: number;
  /** Aggregates that both sides fail on, by the same kind of error. */
  readonly failedAlike: number;
  /** Aggregates that were left out, since the store has not all of their events, or cannot read one. */
  readonly incomplete: number;
  readonly seconds: number;
}

/** One aggregate that the two releases do not agree on. */
export interface RehearsalDifference {
  readonly aggregateType: string;
  readonly aggregateId: string;
  /**
   * After which event the states differ, as they did not before it, or at which a side fails. The first such event, but for a
   * history of more than 64 events whose states agreed again in between.
   */
  readonly version: number;
  /** Its log position; 0: it has come by no log. */
  readonly position: number;
  /** As it is stored. */
  readonly eventType: string;
  /** Why a side has no state; then there are no `changes`. */
  readonly oldFailure: RehearsalFailure | undefined;
  readonly newFailure: RehearsalFailure | undefined;
  /** Where the last states differ: the first ten places. */
  readonly changes: readonly StateChange[];
  /** How many places there are. */
  readonly changeCount: number;
}

/** What two releases make of the same history. */
export interface Rehearsal extends RehearsalCounts {
  /** By type, then by id; `limit` at most. */
  readonly differences: readonly RehearsalDifference[];
  /** Aggregates that one side alone defines: not compared. */
  readonly onlyOld: readonly string[];
  readonly onlyNew: readonly string[];
  /** Declared entities of either side: they have no reducers, so there is nothing to compare. */
  readonly entities: readonly string[];
  /** Aggregates of these types that are stored, and that `sample`, `since` and `until` leave out. */
  readonly leftOut: number;
  /** Patterns of `ignore` that no difference lies in, or none that the others do not cover. */
  readonly unusedIgnore: readonly string[];
  /** Log positions that the embedded store had not taken yet, as after a kill: their events were not compared. */
  readonly notStored: number;
  /** Where a rehearsal that was ended goes on; undefined: it is whole. */
  readonly next: { readonly aggregateType: string; readonly aggregateId: string } | undefined;
}
