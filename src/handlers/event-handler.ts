// Handlers as classes: what an instance says of itself, as the options of a subscription.
import type { AnyAggregate } from '../aggregate.ts';
import { TrunklineError } from '../errors.ts';
import type { StoredEvent } from '../event.ts';
import type { AnySubscribeOptions, Delivery, SubscribeOptions } from './handlers.ts';

/**
 * A handler as a class; register an instance by `runtime.register`. This base class takes every event: say less by `handles`
 * (event types, or an aggregate's definition) or, in general, by `canHandle`.
 *
 * ```ts
 * class Welcome extends EventHandler {
 *   override handles() { return 'UserRegistered'; }
 *   async handle(event: StoredEvent) { await this.mail.send(event.data); }
 * }
 * ```
 */
export abstract class EventHandler {
  /** Event types; `'*'`: all; an aggregate's definition: all of its events. */
  handles(): string | readonly string[] | AnyAggregate {
    return '*';
  }

  canHandle(_eventType: string): boolean {
    return true;
  }

  abstract handle(event: StoredEvent, delivery: Delivery): unknown;
}

/** What an instance must have; it need not extend {@link EventHandler}. */
export interface EventHandlerLike {
  handles?(): string | readonly string[] | AnyAggregate;
  canHandle?(eventType: string): boolean;
  handle(event: StoredEvent, delivery: Delivery): unknown;
}

/** How an instance is subscribed; its name is its class's, unless one is given. */
export type RegisterOptions = Omit<
  SubscribeOptions,
  'name' | 'handle' | 'events' | 'aggregates' | 'where' | 'batch'
> & {
  name?: string;
};

export function subscriptionOf(handler: EventHandlerLike, options: RegisterOptions = {}): AnySubscribeOptions {
  if (typeof handler?.handle !== 'function') {
    throw new TrunklineError('InvalidOptions', { option: 'handler', value: typeof handler, reason: 'has no handle()' });
  }
  const wanted = handler.handles?.() ?? '*';
  const isDefinition = typeof wanted === 'object' && !Array.isArray(wanted);
  return {
    name: handler.constructor.name,
    ...options,
    ...(isDefinition ? { aggregates: [wanted as AnyAggregate] } : { events: eventsOf(wanted as string | string[]) }),
    ...(handler.canHandle && { where: (event: StoredEvent) => handler.canHandle!(event.type) }),
    handle: (event: StoredEvent, delivery: Delivery) => handler.handle(event, delivery),
  };
}

const eventsOf = (wanted: string | readonly string[]): '*' | readonly string[] =>
  wanted === '*' || typeof wanted !== 'string' ? wanted : [wanted];
