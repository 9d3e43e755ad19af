// `runtime.projections`: rows that are folded from events and kept current. Owned by the host thread.

import type { AggregateLike, EventNameOf } from '../model/aggregate.ts';
import type { Projection, ProjectionDefinition } from '../projections/projection.ts';
import type { DeliveredFields } from '../wire/carried.ts';
import type { HandlerStage } from './handlers-stage.ts';

/** Projections; see `runtime.projections`. */
export class Projections {
  private readonly stage: HandlerStage;

  /** @internal */
  constructor(stage: HandlerStage) {
    this.stage = stage;
  }

  /**
   * Fold events into rows, from the start, and keep them current.
   * @throws InvalidOptions, SubscriptionExists, RuntimeClosed
   */
  project<
    Row extends DeliveredFields<Row>,
    const A extends AggregateLike = any,
    const T extends EventNameOf<A> = EventNameOf<A>,
  >(definition: ProjectionDefinition<Row, A, T>): Projection<Row>;
  project(definition: ProjectionDefinition<any>): Projection<any> {
    return this.stage.open.project(definition);
  }

  /** One of this run, by its name. @throws UnknownSubscription, RuntimeClosed */
  named(name: string): Projection<unknown> {
    return this.stage.open.projection(name);
  }
}
