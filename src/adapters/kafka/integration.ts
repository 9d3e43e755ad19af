// Integration events: what is published to others, in place of or beside the domain events. A pure mapping, declared here by
// the user's module and checked in the host thread; integrations.ts carries it out. What it makes is published in the
// transaction of its causes.

import { checkAggregate, checkFunction } from '../../base/checks.ts';
import { checkFields } from '../../base/known-fields.ts';
import { isThenable } from '../../base/thenable.ts';
import type { AnyAggregate, EventNamed, EventOf } from '../../model/aggregate.ts';
import { storedTypeOf } from '../../model/aggregate-names.ts';

/** What settings call them: `integration.{type}`, for their schemas, and for whether they are published. */
export const integrationName = 'integration';

/** An event for the outside. */
export interface IntegrationEvent {
  /** Public name, 1 to 100 bytes, for example `call-billing.v2`. */
  type: string;
  /** Version of its shape; default 1. */
  version?: number | undefined;
  /** JSON. */
  data: unknown;
  /** Default: `{prefix}.integration.{aggregateType}`. */
  topic?: string | undefined;
  /** Default: the aggregate's id. */
  key?: string | undefined;
  /** Who says so; default: what the cause says, or else the stream's `clientId`. */
  source?: string | undefined;
}

/** What a mapping returns: one, several, or nothing. */
export type Mapped = IntegrationEvent | readonly IntegrationEvent[] | undefined;

/** The mapping of one aggregate's events, made by {@link integration}. */
export interface Integration {
  readonly aggregateType: string;
  /** It says how stored events are read: those of an earlier release may still be in flight. */
  readonly aggregate: AnyAggregate;
  readonly mapping: Readonly<Record<string, (event: any) => Mapped>>;
  readonly whole: ((events: readonly any[]) => Mapped) | undefined;
}

/**
 * Map an aggregate's events to public ones: by type, one at a time; `whole`, if given, sees all that one command has raised
 * together, to make one of several. Synchronous and without side effects: both may run again for the same events.
 *
 * ```ts
 * export default [integration(Call, {
 *   CallCompleted: (event) => ({ type: 'call-billing.v2', version: 2, data: { price: event.data.price } }),
 * })];
 * ```
 */
export function integration<A extends AnyAggregate>(
  aggregate: A,
  mapping: { readonly [T in EventOf<A>['type']]?: (event: EventNamed<A, T>) => Mapped },
  whole?: (events: readonly EventOf<A>[]) => Mapped,
): Integration {
  checkAggregate(aggregate);
  checkFields('integration', mapping, Object.keys(aggregate.events));
  for (const [type, map] of Object.entries(mapping)) checkFunction(`integration.${type}`, map);
  if (whole !== undefined) checkFunction('integration whole', whole);
  return { aggregateType: storedTypeOf(aggregate), aggregate, mapping: mapping as Integration['mapping'], whole };
}

/** Of a callback that must be synchronous. No code owns the promise, if it is one: its rejection would end the thread. */
export function refusePromise(what: string, returned: unknown): void {
  if (!isThenable(returned)) return;
  Promise.resolve(returned).catch(() => {});
  throw new Error(`${what} must be synchronous, and returned a promise`);
}
