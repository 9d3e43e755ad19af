// Integration events: what is published to others, in place of or beside the domain events. A pure mapping, declared
// here by the user's module, carried out on the flush thread, checked in the host thread; what it makes is published in the transaction of its
// causes.

import { checkAggregate, checkFunction } from '../../base/checks.ts';
import { checkFields } from '../../base/known-fields.ts';
import { own } from '../../base/own.ts';
import { isThenable } from '../../base/thenable.ts';
import type { AnyAggregate, EventNamed, EventOf } from '../../model/aggregate.ts';
import type { StoredEvent } from '../../model/event.ts';
import { Evolution } from '../../model/evolution.ts';
import { eventsToday } from '../../model/evolved-event.ts';

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
  /** How its stored events are read: those of an earlier release may still be in flight. @internal */
  readonly evolution: Evolution;
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
  const evolution = new Evolution([aggregate]);
  return { aggregateType: aggregate.name, evolution, mapping: mapping as Integration['mapping'], whole };
}

/** Of a callback that must be synchronous. No code owns the promise, if it is one: its rejection would end the thread. */
export function refusePromise(what: string, returned: unknown): void {
  if (!isThenable(returned)) return;
  Promise.resolve(returned).catch(() => {});
  throw new Error(`${what} must be synchronous, and returned a promise`);
}

/** The mappings of a user's module, together. */
export class Integrations {
  private readonly byType = new Map<string, Integration[]>();

  constructor(integrations: readonly Integration[]) {
    for (const one of integrations) {
      const list = this.byType.get(one.aggregateType) ?? [];
      this.byType.set(one.aggregateType, [...list, one]);
    }
  }

  /** Whether events of the aggregate have to be looked at. */
  concerns(aggregateType: string): boolean {
    return this.byType.has(aggregateType);
  }

  /** What the events that one command raised on one aggregate become; each with the event that caused it. */
  map(aggregateType: string, events: readonly StoredEvent[]): { event: IntegrationEvent; cause: StoredEvent }[] {
    const made: { event: IntegrationEvent; cause: StoredEvent }[] = [];
    const take = (mapped: Mapped, cause: StoredEvent): void => {
      if (mapped === undefined) return;
      const all: readonly IntegrationEvent[] = Array.isArray(mapped) ? mapped : [mapped];
      for (const one of [mapped, ...all]) refusePromise('a mapping', one);
      for (const event of all) made.push({ event, cause });
    };
    for (const { mapping, whole, evolution } of this.byType.get(aggregateType) ?? []) {
      const read = eventsToday(events, evolution);
      for (const event of read) {
        const map = own(mapping, event.type);
        if (map !== undefined) take(map(event), event);
      }
      if (whole && read.length > 0) take(whole(Object.freeze(read)), read.at(-1)!);
    }
    return made;
  }
}
