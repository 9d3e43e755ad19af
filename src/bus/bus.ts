// The live bus: listeners in the host thread, called in log order once events are `written`. In memory: a listener
// hears what happens while it listens. One that throws, or rejects, is reported; the others are called.

import { EventEmitter } from 'eventemitter3';
import { checkAggregate, checkFunction, invalid } from '../base/checks.ts';
import { TrunklineError } from '../base/errors.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';
import { printAs } from '../base/one-line.ts';
import { detached } from '../base/running.ts';
import { isThenable } from '../base/thenable.ts';
import type { AnyAggregate, EventNamed, EventTypeOf } from '../model/aggregate.ts';
import type { StoredEvent } from '../model/event.ts';
import { evolutionOf } from '../model/evolution.ts';

/** What narrows a listening. */
export interface ListenOptions<Event = StoredEvent> {
  /** Only events for which it returns true. */
  where?: ((event: Event) => boolean) | undefined;
  batch?: false | undefined;
}

/** A listening that hears a turn's events together. */
export interface BatchOptions<Event = StoredEvent> {
  /** Only events for which it returns true. */
  where?: ((event: Event) => boolean) | undefined;
  /** Call the listener once per turn, with all the events of that turn. */
  batch: true;
}

/** Ends a listening; also by `using`. */
export interface ListenerHandle extends Disposable {
  /** The listener is called no more; `using` does the same at the end of its block. */
  off(): void;
}

type Listener<Event> = (event: Event) => unknown;
type BatchListener<Event> = (events: readonly Event[]) => unknown;

interface Entry {
  name: string;
  heard: (event: StoredEvent) => void;
  listener: Listener<any>;
  where: ((event: any) => boolean) | undefined;
  batch: StoredEvent[] | undefined;
}

export type ListenerErrorHandler = (error: unknown, event: StoredEvent) => void;

/** Live listeners: `on`, `off`. What happened before is in `runtime.events()`. */
export class Bus {
  // One emitter name per (aggregate type, event type), (aggregate type, any) and any: a lookup, not a scan.
  private readonly emitter = new EventEmitter<string>();
  private readonly entries = new Set<Entry>();
  private readonly batches = new Set<Entry>();
  private readonly onError: ListenerErrorHandler;
  private readonly admit: (aggregate: AnyAggregate | undefined) => void;

  /** @internal `admit` throws when no events come any more, or none of this aggregate. */
  constructor(onError: ListenerErrorHandler, admit: (aggregate: AnyAggregate | undefined) => void = () => {}) {
    this.onError = onError;
    this.admit = admit;
  }

  /**
   * Listen to one event type of an aggregate, to all of its events (`'*'`), or to everything.
   *
   * ```ts
   * runtime.bus.on(Call, 'CallRouted', (event) => console.log(event.data.trunk));
   * runtime.bus.on('*', (events) => audit(events), { batch: true });
   * ```
   * @throws UnknownAggregateType, UnknownEventType, InvalidOptions, RuntimeClosed
   */
  on<A extends AnyAggregate, T extends EventTypeOf<A> | '*'>(
    aggregate: A,
    type: T,
    listener: BatchListener<EventNamed<A, T>>,
    options: BatchOptions<EventNamed<A, T>>,
  ): ListenerHandle;
  on<A extends AnyAggregate, T extends EventTypeOf<A> | '*'>(
    aggregate: A,
    type: T,
    listener: Listener<EventNamed<A, T>>,
    options?: ListenOptions<EventNamed<A, T>>,
  ): ListenerHandle;
  on(type: '*', listener: BatchListener<StoredEvent>, options: BatchOptions): ListenerHandle;
  on(type: '*', listener: Listener<StoredEvent>, options?: ListenOptions): ListenerHandle;
  on(...args: unknown[]): ListenerHandle {
    const everything = args[0] === '*';
    if (!everything) checkListening(args[0] as AnyAggregate, args[1] as string);
    this.admit(everything ? undefined : (args[0] as AnyAggregate));
    const name = everything ? '*' : listenedName(args[0] as AnyAggregate, args[1] as string);
    const [listener, options = {}] = args.slice(everything ? 1 : 2) as [Listener<any>, Partial<BatchOptions>?];
    checkFunction('listener', listener);
    checkFields('on', options, listenFields);
    if (options.where !== undefined) checkFunction('where', options.where);
    if (options.batch !== undefined && typeof options.batch !== 'boolean') {
      invalid('batch', options.batch, 'must be true or false');
    }
    const heard = (event: StoredEvent): void => this.deliver(entry, event);
    const entry: Entry = { name, heard, listener, where: options.where, batch: options.batch ? [] : undefined };
    this.entries.add(entry);
    this.emitter.on(name, heard);
    const off = (): void => this.remove(entry);
    return { off, [Symbol.dispose]: off };
  }

  /** The counterpart of `on`, by the same arguments. */
  off<A extends AnyAggregate>(aggregate: A, type: string, listener: (...args: any[]) => unknown): void;
  off(type: '*', listener: (...args: any[]) => unknown): void;
  off(...args: unknown[]): void {
    const everything = args[0] === '*';
    const aggregate = args[0] as AnyAggregate | undefined;
    if (!everything && typeof aggregate?.events !== 'object') return; // nothing listens to what is no definition
    const name = everything ? '*' : listenedName(aggregate as AnyAggregate, args[1] as string);
    const listener = args[everything ? 1 : 2];
    for (const entry of this.entries) if (entry.name === name && entry.listener === listener) this.remove(entry);
  }

  private remove(entry: Entry): void {
    this.entries.delete(entry);
    this.emitter.off(entry.name, entry.heard);
  }

  /** Whether no listener is left. @internal */
  get isIdle(): boolean {
    return this.entries.size === 0;
  }

  /** Whether a listener wants such an event: asked before it is decoded. @internal */
  wants(aggregateType: string, type: string): boolean {
    const { emitter } = this;
    return (
      emitter.listenerCount('*') > 0 ||
      emitter.listenerCount(nameOf(aggregateType, '*')) > 0 ||
      emitter.listenerCount(nameOf(aggregateType, type)) > 0
    );
  }

  /** Hand an event to who listens to it. @internal */
  emit(event: StoredEvent): void {
    this.emitter.emit(nameOf(event.aggregateType, event.type), event);
    this.emitter.emit(nameOf(event.aggregateType, '*'), event);
    this.emitter.emit('*', event);
  }

  /** The turn is over: hand out what batch listeners have collected. @internal */
  endTurn(): void {
    if (this.batches.size === 0) return;
    for (const entry of this.batches) {
      const events = entry.batch!;
      entry.batch = [];
      if (this.entries.has(entry)) this.call(entry, events, events[0]!);
    }
    this.batches.clear();
  }

  private deliver(entry: Entry, event: StoredEvent): void {
    try {
      if (entry.where && !entry.where(event)) return;
    } catch (error) {
      this.onError(error, event);
      return;
    }
    if (entry.batch === undefined) {
      this.call(entry, event, event);
      return;
    }
    entry.batch.push(event);
    this.batches.add(entry);
  }

  private call(entry: Entry, argument: unknown, event: StoredEvent): void {
    try {
      const result = detached(entry.listener, argument); // this turn may have begun in a handler's call
      if (isThenable(result)) Promise.resolve(result).catch((error) => this.onError(error, event));
    } catch (error) {
      this.onError(error, event);
    }
  }
}

const listenFields = fieldsOf<BatchOptions>({ where: true, batch: true });

function checkListening(aggregate: AnyAggregate, type: string): void {
  if (typeof aggregate === 'string') {
    invalid('aggregate', aggregate, "must be a definition; of names, only '*' (everything)");
  }
  checkAggregate(aggregate);
  if (type === '*' || (typeof type === 'string' && Object.hasOwn(aggregate.events, type))) return;
  if (evolutionOf(aggregate).names.get(type)?.kind === 'event') return; // a name that it had before
  const known = Object.keys(aggregate.events);
  throw new TrunklineError('UnknownEventType', { aggregateType: aggregate.name, eventType: String(type), known });
}

/** By the names of today. */
const listenedName = (aggregate: AnyAggregate, type: string): string =>
  nameOf(aggregate.name, evolutionOf(aggregate).todaysName(type));

const nameOf = (aggregateType: string, type: string): string => `${aggregateType}\0${type}`;

printAs(Bus, (bus) => `Bus ${bus.isIdle ? 'without' : 'with'} listeners`);
