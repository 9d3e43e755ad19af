// Aggregates: how a user defines one, and the types that follow from the definition.

import { TrunklineError } from '../base/errors.ts';
import { fieldsOf } from '../base/known-fields.ts';
import { AGGREGATE_TYPE_BYTES_LIMIT, NAME_BYTES_LIMIT } from '../base/name-limits.ts';
import { own } from '../base/own.ts';
import { tame } from '../base/tame.ts';
import { moduleRule, moduleUrl } from '../base/user-module.ts';
import type { Carried, DeepReadonly, DeliveredFields } from '../wire/carried.ts';
import {
  checkCommands,
  checkName,
  checkPast,
  checkShape,
  isReadable,
  type SkippedEvent,
  takenSkipped,
} from './definition-checks.ts';
import type { EvolvingEvent, StoredEvent } from './event.ts';
import { type EventSpec, isEventSpec } from './event-spec.ts';
import type { Level, Receipt } from './receipt.ts';

declare const phantom: unique symbol;

type Events = Record<string, EventSpec<any, any>>;
type InputOf<E> = E extends EventSpec<infer I, any> ? I : never;
/** A payload as everyone sees it who did not raise it. */
type DataOf<E> = E extends EventSpec<any, infer O> ? Carried<O> : never;

/**
 * What the module named by the runtime's `context` option made for this shard. Name its fields once for all commands:
 *
 * ```ts
 * declare module 'trunkline' { interface ShardContext { tariffs: Tariffs } }
 * ```
 */
export interface ShardContext {
  [name: string]: any;
}

/** How one question is asked. */
export interface AskOptions {
  /** Milliseconds; default: the runtime's `askDeadlineMs`. */
  deadlineMs?: number | undefined;
}

/** What a command is given: the aggregate it runs on. One command at a time runs on an aggregate. */
export interface CommandContext<State, E extends Events, Names extends string = string> {
  readonly id: string;
  /** The state now; after `raise` the next one. Read it, never change it: its own fields are frozen. */
  readonly state: DeepReadonly<State>;
  readonly version: number;
  /** Aborted when the caller gives up or its deadline passes. */
  readonly signal: AbortSignal;
  /** What `context` of the runtime's options made for this shard. */
  readonly context: ShardContext;
  /**
   * Raise an event: checked, serialised, and applied to `state` at once; in the log when the command has succeeded.
   * @throws SchemaViolation, UnserialisableValue, UnknownEventType, CommandTooLarge; in a reducer: InsideReducer
   */
  raise<K extends keyof E & string>(type: K, data: InputOf<E[K]>): void;
  /**
   * Await another aggregate's command and get its value; its events are `written` by then. Before the first `raise` only
   * (`AskAfterRaise`), never of itself (`AskItself`) nor of one that waits for this command (`AskCycle`), within a deadline
   * (`DeadlineExceeded`); rejects as that command does.
   */
  ask<A extends AnyAggregate>(aggregate: A, id: string, options?: AskOptions): Asker<A>;
  /** Send another aggregate a command after this one is `written`; delivered at least once, executed once. */
  send<A extends AnyAggregate>(aggregate: A, id: string): Sender<A>;
  /**
   * Send this aggregate a command of its own, to be executed so many milliseconds from now: `auction.after(200).close()`. As durable
   * as what the command raises, executed once, never early. With the `name` of one that is pending it replaces that.
   * @throws InvalidOptions
   */
  after(delayMs: number, options?: TimerOptions): TimerSender<Names>;
  /** The same for a date; one that has passed is due at once. @throws InvalidOptions */
  at(date: Date, options?: TimerOptions): TimerSender<Names>;
  /** What waits under this name is not executed any more; it is no error if nothing does. @throws InvalidOptions */
  cancel(name: string): void;
}

/** How a timer is set. */
export interface TimerOptions {
  /** One timer of this name waits for each aggregate: the one that was set last. 1 to 100 bytes of UTF-8; default: none. */
  name?: string | undefined;
}

/** The aggregate's own commands, to be executed later. What they take is not known within their own definition. */
export type TimerSender<Names extends string = string> = { readonly [K in Names]: (...input: any[]) => void };

/** Names that a ref needs for itself, or that JavaScript looks for on any object. */
export const reservedCommandNames = ['then', 'catch', 'finally', 'with', 'toJSON', 'constructor'] as const;
type Reserved = (typeof reservedCommandNames)[number];
type Command<State, E extends Events, Names extends string> = (
  aggregate: CommandContext<State, E, Names>,
  ...input: never[]
) => unknown;
type Commands<State, E extends Events, Names extends string> = {
  [name: string]: Command<State, E, Names>;
} & { [K in Exclude<Reserved, 'constructor'>]?: never };

type Evolve<Name extends string, State, E extends Events> = {
  [K in keyof E]: (
    state: DeepReadonly<State>,
    data: DataOf<E[K]>,
    event: EvolvingEvent<K & string, DataOf<E[K]>, Name>,
  ) => DeepReadonly<State>;
};

/** When snapshots of an aggregate's state are taken, and which are still good. */
export interface SnapshotPolicy {
  /** Take a snapshot every so many events of an aggregate; default 100; 0 means never. */
  every?: number | undefined;
  /** Raise it when code that `evolve` calls has changed; a change of `evolve`'s own text is noticed without. */
  version?: number | undefined;
}

/** A defined aggregate type. */
export interface Aggregate<Name extends string, State, E extends Events, C> {
  readonly name: Name;
  /** The names that it had before, the oldest first: what is stored has that one. */
  readonly renamedFrom: readonly string[];
  /** URL of the module that exports it; shard threads import it. */
  readonly module: string;
  readonly state: () => State;
  readonly events: E;
  readonly evolve: Evolve<Name, State, E>;
  readonly commands: C;
  readonly snapshot: Required<SnapshotPolicy>;
  /** Event types of the past that mean nothing any more. */
  readonly retired: readonly string[];
  /** Stored events that are passed over on purpose, whatever they are. */
  readonly skipped: readonly SkippedEvent[];
  readonly [phantom]?: [State, C];
}

/** An aggregate of whatever type. */
export type AnyAggregate = Aggregate<any, any, any, any>;

/**
 * Define an aggregate type: its state, its events, how they change the state, and its commands.
 *
 * Reducers and commands are inferred from the rest. Two cases need a word more, by TypeScript's own rules: a reducer
 * without parameters that returns literals (write `(_state) => …`), and two aggregates that ask each other, or a command
 * that uses its own result (give it a return type).
 *
 * ```ts
 * export const Counter = defineAggregate('counter', {
 *   module: import.meta.url,
 *   state: () => ({ total: 0 }),
 *   events: { Added: event<{ amount: number }>() },
 *   evolve: { Added: (state, data) => ({ total: state.total + data.amount }) },
 *   commands: {
 *     add(counter, amount: number) {
 *       counter.raise('Added', { amount });
 *       return counter.state.total;
 *     },
 *   },
 * });
 * ```
 * @throws InvalidDefinition for a name, event or command that cannot work
 */
export function defineAggregate<
  const Name extends string,
  State,
  E extends Events,
  Names extends string,
  C extends Commands<State, E, Names>,
>(
  name: Name,
  spec: {
    /** The module that exports the definition, by URL or absolute path: `import.meta.url`; in CommonJS `__filename`. */
    module: string;
    state: () => State;
    events: E;
    evolve: NoInfer<Evolve<Name, State, E>>;
    // The second part tells their names, so that `after(ms)` has them.
    commands: C & { readonly [K in Names]?: unknown };
    /**
     * The names that the type had before, the oldest first. Its history goes on: the oldest name stays the one in logs, stores and
     * topics, today's is what readers and errors show, and filters take each of them.
     */
    renamedFrom?: readonly string[] | undefined;
    snapshot?: SnapshotPolicy | undefined;
    /** Event types of the past that mean nothing any more: reducers and handlers pass over them. */
    retired?: readonly string[] | undefined;
    /**
     * Single stored events that reducers, handlers and readers pass over, as of a retired type: one that no release can read, say. At
     * most 10,000. The aggregate's versions stay as they are.
     */
    skipped?: readonly SkippedEvent[] | undefined;
  },
): Aggregate<Name, State, E, C> {
  const fail = (reason: string): never => {
    throw new TrunklineError('InvalidDefinition', { aggregateType: tame(name), reason });
  };
  checkName('aggregate type', name, AGGREGATE_TYPE_BYTES_LIMIT, fail);
  checkShape('', spec, definitionFields, fail);
  for (const part of ['events', 'evolve', 'commands'] as const) {
    if (!isReadable(spec[part])) fail(`${part} must be an object of functions by name`);
  }
  const module = moduleUrl(spec.module) ?? fail(`module ${moduleRule}`);
  if (typeof spec.state !== 'function') fail('state must be a function that makes the first state');
  for (const type of Object.keys(spec.events)) {
    checkName('event type', type, NAME_BYTES_LIMIT, fail);
    if (typeof own(spec.evolve, type) !== 'function') fail(`evolve has no function for event '${type}'`);
    if (!isEventSpec(spec.events[type])) return fail(`event '${type}' must be made by event() or versions()`);
  }
  const { retired = [], renamedFrom = [], skipped = [] } = spec;
  checkPast({ events: spec.events, retired, renamedFrom, skipped }, fail);
  for (const type of Object.keys(spec.evolve))
    if (!Object.hasOwn(spec.events, type)) fail(`evolve names '${type}', no event of its`);
  checkCommands(spec.commands, reservedCommandNames, fail);
  const snapshot = snapshotIn(spec.snapshot, fail);
  const lists = {
    retired: [...retired],
    renamedFrom: Object.freeze([...renamedFrom]),
    skipped: takenSkipped(skipped),
  };
  return Object.freeze({ ...spec, name, module, snapshot, ...lists }) as Aggregate<Name, State, E, C>;
}

function snapshotIn(
  given: SnapshotPolicy | undefined,
  fail: (reason: string) => never,
): { every: number; version: number } {
  if (given !== undefined) checkShape('snapshot.', given, snapshotFields.names, fail);
  const { every = 100, version = 1 } = given ?? {};
  if (!Number.isInteger(every) || every < 0) fail(`snapshot.every is ${every}, must be 0 or a positive integer`);
  if (!Number.isInteger(version)) fail(`snapshot.version is ${version}, must be an integer`);
  return { every, version };
}

const snapshotFields = fieldsOf<SnapshotPolicy>({ every: true, version: true });
const definitionFields = [
  'module',
  'state',
  'events',
  'evolve',
  'commands',
  'renamedFrom',
  'snapshot',
  'retired',
  'skipped',
];
/** The union of an aggregate's events. */
export type EventOf<A> =
  A extends Aggregate<infer N, any, infer E, any>
    ? { [K in keyof E & string]: StoredEvent<K, DataOf<E[K]>, N> }[keyof E & string]
    : never;

/** One event type of an aggregate, by name; `'*'` is any. */
export type EventNamed<A, T extends string> = T extends '*' ? EventOf<A> : Extract<EventOf<A>, { type: T }>;
/** The names of an aggregate's events. */
export type EventTypeOf<A> = A extends Aggregate<any, any, infer E, any> ? keyof E & string : never;
type IsAny<T> = 0 extends 1 & T ? true : false;
/** An aggregate as a filter takes it: by its definition, or by its name alone. */
export type AggregateLike = AnyAggregate | string;
/** The names by which a filter over these aggregates may choose events; any name where one of them is given by name. */
export type EventNameOf<A> = IsAny<A> extends true ? string : A extends string ? string : EventTypeOf<A>;
/** The events of these aggregates that have one of these names. Payloads are typed where the definition is given. */
export type EventsNamed<A, T extends string> =
  IsAny<A> extends true ? StoredEvent<T, any> : A extends string ? StoredEvent<T, any, A> : EventNamed<A, T>;
/** The state of an aggregate type. */
export type StateOf<A> = A extends Aggregate<any, infer State, any, any> ? State : never;

/** A command's arguments after its first parameter, as a sender gives them. */
export type ArgumentsOf<F> = F extends (aggregate: any, ...input: infer I) => unknown ? DeliveredFields<I> : never;
/** A command's result as its sender gets it: through JSON. */
type ResultOf<F> = F extends (...all: any[]) => infer R ? Carried<Awaited<R>> : never;

/** How one command is sent. */
export interface SendOptions {
  /** Which level to wait for; default: the runtime's `ack`. */
  ack?: Level | undefined;
  /**
   * The same key for the same aggregate, within `idempotencyTtlMs`, returns the first outcome and raises nothing. With
   * another command: `IdempotencyKeyReused`. Arguments are not compared. 1 to 255 bytes of UTF-8. Who sends a key that
   * another has used reads that one's outcome: where keys come from clients, give `principal` as well.
   */
  idempotencyKey?: string | undefined;
  /**
   * Who sends the command, as your service has authenticated them (an account, a tenant, the subject of a token). The key
   * counts for this principal alone: with another one, or none, the same key is another key. Only a hash of it is kept. 1 to
   * 1,024 bytes of UTF-8; the key has at most 230 then. Without a key it has no effect.
   */
  principal?: string | undefined;
  /** For all of it, its level included: milliseconds, more than 0; then `DeadlineExceeded`, which says whether it was executed. */
  deadlineMs?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Goes into every event of the command. JSON values. */
  metadata?: Record<string, unknown> | undefined;
}

type CommandsOf<A> = A extends Aggregate<any, any, any, infer C> ? C : never;
type CommandNames<C> = Exclude<keyof C & string, Reserved>;

/** One aggregate, by type and id: each command is a method that resolves to a {@link Receipt}. */
export type Ref<A> = {
  readonly [K in CommandNames<CommandsOf<A>>]: (
    ...input: ArgumentsOf<CommandsOf<A>[K]>
  ) => Promise<Receipt<ResultOf<CommandsOf<A>[K]>, EventOf<A>>>;
} & { with(options: SendOptions): Ref<A> };

/** The same commands, awaited from within another aggregate's command: each resolves to its value. */
export type Asker<A> = {
  readonly [K in CommandNames<CommandsOf<A>>]: (
    ...input: ArgumentsOf<CommandsOf<A>[K]>
  ) => Promise<ResultOf<CommandsOf<A>[K]>>;
};

/** The same commands, sent and not awaited. */
export type Sender<A> = {
  readonly [K in CommandNames<CommandsOf<A>>]: (...input: ArgumentsOf<CommandsOf<A>[K]>) => void;
};
