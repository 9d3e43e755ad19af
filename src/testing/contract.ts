// What a test of an aggregate is written with, and what it gets: types alone.

import type { Rejected, TrunklineError } from '../base/errors.ts';
import type { ArgumentsOf, EventOf, ShardContext, StateOf } from '../model/aggregate.ts';
import type { StoredEvent } from '../model/event.ts';
import type { Carried, ReadState } from '../wire/carried.ts';

/** An event of the newest version, as a test writes it down; a field of its data that may be `undefined` may be left out. */
export type NewestEvent<A> =
  EventOf<A> extends infer E
    ? E extends StoredEvent<infer T, infer D>
      ? { type: T; data: D | ReadState<D> }
      : never
    : never;

/** The same, or an event as an older release has stored it: by the name and the version of then. */
export type GivenEvent<A> = NewestEvent<A> | { type: string; data: unknown; schemaVersion: number };

/** What surrounds the aggregate under test. */
export interface GivenOptions {
  id?: string | undefined;
  context?: ShardContext | undefined;
  metadata?: Record<string, unknown> | undefined;
  /** Answers what the command asks of other aggregates; may throw. */
  answer?:
    | ((question: { aggregateType: string; id: string; command: string; input: unknown[] }) => unknown)
    | undefined;
}

/** What a command came to. */
export interface Outcome<A, Value = unknown> {
  /** What the command returned, through JSON. */
  readonly value: Value;
  readonly events: readonly EventOf<A>[];
  readonly state: StateOf<A>;
  readonly version: number;
  /** Commands sent to other aggregates. */
  readonly sent: readonly { aggregateType: string; id: string; command: string; input: unknown[] }[];
  /** Timers that wait by then, in the order in which they are due. */
  readonly timers: readonly WaitingTimer[];
}

/** A timer that has been set, and neither cancelled, replaced nor executed. */
export interface WaitingTimer {
  /** Left out where it has none. */
  readonly name?: string | undefined;
  /** In how many milliseconds of virtual time; 0: at once. */
  readonly dueInMs: number;
  readonly command: string;
  readonly input: unknown[];
}

type EventTypes<A> = EventOf<A> extends infer E ? (E extends StoredEvent<infer T> ? T : never) : never;

/** What may be expected: event types, events with their data, a rejection (its class, code or instance), an error class. */
export type Expected<A> =
  | readonly (EventTypes<A> | NewestEvent<A>)[]
  | Rejected
  | TrunklineError
  | (new (
      ...args: any[]
    ) => Error);

/** A command's outcome: a promise if the command is asynchronous, either if its type does not tell. */
type Settled<Returned, O> = [Returned] extends [never]
  ? O
  : [Returned] extends [PromiseLike<any>]
    ? Promise<O>
    : unknown extends Returned
      ? O | Promise<O>
      : [Extract<Returned, PromiseLike<any>>] extends [never]
        ? O
        : O | Promise<O>;

/** What follows from the command, which returned `Returned`. */
export interface Then<A, Returned = unknown> {
  /**
   * Assert what the command came to; an AssertionError says what was expected and what came. For an asynchronous command
   * it returns a promise: await it, or a wrong expectation is not seen.
   */
  then(expected: Expected<A>): Settled<Returned, Outcome<A, Carried<Awaited<Returned>>>>;
  /** What the command came to, nothing asserted; rejects as the command did. */
  outcome(): Promise<Outcome<A, Carried<Awaited<Returned>>>>;
  /**
   * Virtual time moves on by so many milliseconds, and no real time passes: timers that are due by then are executed, each as
   * a command of its own, in the order of their dates; also those that such a command sets. @throws InvalidOptions
   */
  after(delayMs: number): After<A, Returned>;
}

/** What follows from the timers' commands of a span of virtual time. */
export interface After<A, Returned = unknown> {
  /**
   * Assert what these commands came to: the events of all of them, and none from before; or the failure of one, which ends
   * the span. A promise if the first command, or one of these, is asynchronous: await it.
   */
  then(expected: Expected<A>): SettledAfter<A, Returned, Outcome<A, undefined>>;
  /** What they came to, nothing asserted; rejects as the one that has failed. */
  outcome(): Promise<Outcome<A, undefined>>;
  /** The span that follows this one. @throws InvalidOptions */
  after(delayMs: number): After<A, Returned>;
}

type ReturnedBy<F> = F extends (...all: any[]) => infer R ? R : never;
type AnyReturned<A> = A extends { commands: infer C } ? ReturnedBy<C[keyof C]> : unknown;
/** Behind a command that is asynchronous all is; else it depends on those of the timers, which may be any. */
type SettledAfter<A, Returned, O> = [Returned] extends [never]
  ? Settled<AnyReturned<A>, O>
  : [Returned] extends [PromiseLike<any>]
    ? Promise<O>
    : Settled<AnyReturned<A>, O>;
/** The aggregate's commands, to be tried. */
export type When<A> = A extends { commands: infer C }
  ? { readonly [K in keyof C & string]: (...input: ArgumentsOf<C[K]>) => Then<A, ReturnedBy<C[K]>> }
  : never;
