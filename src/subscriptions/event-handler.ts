// Handlers as classes: what an instance says of itself, as the options of a subscription.

import { TrunklineError } from '../base/errors.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';
import { shown } from '../base/shown.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import type { StoredEvent } from '../model/event.ts';
import type { AnySubscribeOptions, Delivery, SubscribeOptions } from './handlers.ts';

/**
 * A handler as a class; register an instance by `runtime.register`. This base class takes every event: say less by `handles`
 * (event types, or an aggregate's definition) or, in general, by `canHandle`.
 *
 * ```ts
 * class Welcome extends EventHandler {
 *   readonly handlerName = 'welcome';
 *   override handles() { return 'UserRegistered'; }
 *   async handle(event: StoredEvent) { await this.mail.send(event.data); }
 * }
 * ```
 */
export abstract class EventHandler {
  /** The subscription's name, unless `register` is given one. Never the class's: a minifier gives that to another class. */
  readonly handlerName?: string | undefined;

  /** Event types; `'*'`: all; an aggregate's definition: all of its events. */
  handles(): string | readonly string[] | AnyAggregate {
    return '*';
  }

  /** Whether events of this type are wanted, of those that `handles` names. */
  canHandle(_eventType: string): boolean {
    return true;
  }

  /** Called for each event; what it throws, or rejects with, is retried. */
  abstract handle(event: StoredEvent, delivery: Delivery): unknown;
}

/** What an instance must have; it need not extend {@link EventHandler}. */
export interface EventHandlerLike {
  readonly handlerName?: string | undefined;
  /** Event types; `'*'`: all (the default); an aggregate's definition: all of its events. */
  handles?(): string | readonly string[] | AnyAggregate;
  /** Whether events of this type are wanted, of those that `handles` names. Default: all. */
  canHandle?(eventType: string): boolean;
  /** Called for each event; what it throws, or rejects with, is retried. */
  handle(event: StoredEvent, delivery: Delivery): unknown;
}

/** How an instance is subscribed; `name` is its `handlerName`, unless one is given. */
export type RegisterOptions = Omit<
  SubscribeOptions,
  'name' | 'handle' | 'events' | 'aggregates' | 'where' | 'batch'
> & {
  name?: string | undefined;
};

const registerFields = fieldsOf<RegisterOptions>({
  name: true,
  renamedFrom: true,
  from: true,
  concurrency: true,
  window: true,
  retry: true,
  timeoutMs: true,
  breaker: true,
  onExhausted: true,
  deadLetterLimit: true,
  thread: true,
});

export function subscriptionOf(handler: EventHandlerLike, options: RegisterOptions = {}): AnySubscribeOptions {
  if (typeof handler?.handle !== 'function') {
    throw new TrunklineError('InvalidOptions', { option: 'handler', value: shown(handler), reason: 'has no handle()' });
  }
  checkFields('register', options, registerFields);
  const name = options.name ?? handler.handlerName;
  if (name === undefined) {
    const reason =
      'is missing: give the handler a handlerName, or register(handler, { name }). Its checkpoint goes by it, and a class has another name once it is minified';
    throw new TrunklineError('InvalidOptions', { option: 'name', reason });
  }
  const wanted = handler.handles?.() ?? '*';
  const isDefinition = typeof wanted === 'object' && !Array.isArray(wanted);
  return {
    ...options,
    name,
    ...(isDefinition ? { aggregates: [wanted as AnyAggregate] } : { events: eventsOf(wanted as string | string[]) }),
    ...(handler.canHandle && { where: (event: StoredEvent) => handler.canHandle!(event.type) }),
    handle: (event: StoredEvent, delivery: Delivery) => handler.handle(event, delivery),
  };
}

const eventsOf = (wanted: string | readonly string[]): '*' | readonly string[] =>
  wanted === '*' || typeof wanted !== 'string' ? wanted : [wanted];
