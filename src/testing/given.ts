// The test kit: a command on one aggregate, in memory, without threads, files or services. It runs the very code that a
// shard runs: the same checks, the same serialisation, the same reducers.

import { AssertionError, deepStrictEqual, fail } from 'node:assert/strict';
import { inspect } from 'node:util';
import { checkInteger, nameOfDefinition } from '../base/checks.ts';
import type { Rejected, TrunklineError } from '../base/errors.ts';
import { userJson } from '../base/json.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';
import { own } from '../base/own.ts';
import { isThenable } from '../base/thenable.ts';
import { flushPresets } from '../log/policy.ts';
import type { AnyAggregate, ArgumentsOf, EventOf, ShardContext, StateOf } from '../model/aggregate.ts';
import { decodeEvent, type StoredEvent } from '../model/event.ts';
import { Actor } from '../shard/actor.ts';
import { actorTypeOf } from '../shard/actor-type.ts';
import { anyCommandOf } from '../shard/any-command.ts';
import type { Command } from '../shard/command.ts';
import { evolveFrame } from '../shard/evolve.ts';
import { commandMethods, Execution, type ExecutionEnvironment } from '../shard/execution.ts';
import { freezeState } from '../shard/frozen.ts';
import { tellable } from '../shard/tellable.ts';
import { StagedGroup } from '../shared/ring/group.ts';
import { GROUP_HEADER_BYTES } from '../shared/ring/ring.ts';
import type { Carried, ReadState } from '../wire/carried.ts';
import { FrameKind, FrameReader } from '../wire/frame.ts';
import { writeNewId } from '../wire/ids.ts';
import { sendersIn } from '../wire/message.ts';
import { metadataToJson } from '../wire/metadata.ts';
import { argumentsJson, toJson } from '../wire/payload.ts';

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

interface WrittenEvent {
  type: string;
  data: unknown;
  schemaVersion?: number;
}

const givenEventFields = fieldsOf<WrittenEvent>({ type: 'text', data: 'any', schemaVersion: true });
const givenFields = fieldsOf<GivenOptions>({ id: true, context: true, metadata: true, answer: true });

/** What a command came to. */
export interface Outcome<A, Value = unknown> {
  /** What the command returned, through JSON. */
  readonly value: Value;
  readonly events: readonly EventOf<A>[];
  readonly state: StateOf<A>;
  readonly version: number;
  /** Commands sent to other aggregates. */
  readonly sent: readonly { aggregateType: string; id: string; command: string; input: unknown[] }[];
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
}

type ReturnedBy<F> = F extends (...all: any[]) => infer R ? R : never;
/** The aggregate's commands, to be tried. */
export type When<A> = A extends { commands: infer C }
  ? { readonly [K in keyof C & string]: (...input: ArgumentsOf<C[K]>) => Then<A, ReturnedBy<C[K]>> }
  : never;

/**
 * Given these events of an aggregate, when a command comes, then …
 *
 * ```ts
 * given(Call, [{ type: 'CallCreated', data: created }]).when.route({ candidates }).then(['CallRouted']);
 * given(Call).when.route({ candidates }).then(new Rejected('no-such-call'));
 * ```
 */
export function given<A extends AnyAggregate>(
  aggregate: A,
  events: readonly GivenEvent<A>[] = [],
  options: GivenOptions = {},
): { readonly when: When<A> } {
  nameOfDefinition(aggregate);
  checkFields('given', options, givenFields);
  const when = commandMethods(aggregate, (name, input) => new Trial(aggregate, events, options, name, input));
  return { when: when as When<A> };
}

/** A change of a state or a payload in place is found in a test: all of it is frozen, after every event. */
class GuardedExecution extends Execution {
  override raise(type: string, data: unknown): void {
    super.raise(type, data);
    freezeState(this.actor.state);
  }
}

// What a command's events may take with the default rings: half of one.
const commandBytesLimit = flushPresets.balanced.ringBytes / 2;

class Trial<A extends AnyAggregate> {
  private readonly group = new StagedGroup(commandBytesLimit);
  private readonly actor: Actor;
  private readonly result: Outcome<A> | Promise<Outcome<A>> | undefined;
  private readonly error: unknown;

  constructor(aggregate: A, events: readonly GivenEvent<A>[], options: GivenOptions, name: string, input: unknown[]) {
    const id = options.id ?? 'given';
    this.actor = replay(aggregate, id, events);
    const command = {
      metadataJson: metadataToJson(options.metadata ?? {}),
      key: '',
      askers: '',
      cancelled: false,
    } as Command;
    const execution = new GuardedExecution(this.actor, command, this.group, surroundings(aggregate, options));
    try {
      // Through JSON, as the arguments of a real command travel.
      const value = aggregate.commands[name](execution, ...userJson(argumentsJson(input)));
      this.result = isThenable(value)
        ? Promise.resolve(value).then(
            (settled) => this.settle(execution, settled),
            (error) => {
              execution.undo();
              throw tellable(error);
            },
          )
        : this.settle(execution, value);
    } catch (error) {
      execution.undo();
      this.error = tellable(error);
    }
  }

  // biome-ignore lint/suspicious/noThenProperty: reads as given, when, then; and may be awaited
  then(expected: Expected<A> | ((outcome: Outcome<A>) => unknown), reject?: (error: unknown) => unknown): unknown {
    const { result, error } = this;
    if (typeof expected === 'function' && !isErrorClass(expected)) {
      return (error ? Promise.reject(error) : Promise.resolve(result as Outcome<A>)).then(expected, reject);
    }
    if (isThenable(result)) {
      return result.then(
        (outcome) => check(expected, outcome, undefined, this.actor),
        (failure) => check(expected, undefined, failure, this.actor),
      );
    }
    return check(expected, result, error, this.actor);
  }

  async outcome(): Promise<Outcome<A>> {
    if (this.error !== undefined) throw this.error;
    return this.result as Outcome<A> | Promise<Outcome<A>>;
  }

  private todaysType(stored: string): string {
    const { definition, name } = this.actor.type;
    return stored === name ? definition.name : stored;
  }

  private settle(execution: Execution, value: unknown): Outcome<A> {
    execution.end();
    const events: StoredEvent[] = [];
    const sent: Outcome<A>['sent'][number][] = [];
    const frame = new FrameReader(this.group.frames.bytes).at(GROUP_HEADER_BYTES);
    for (let i = 0; i < this.group.frameCount; i++) {
      if (frame.kind === FrameKind.event) events.push(decodeEvent(frame, 0, this.todaysType(frame.aggregateType)));
      else
        sent.push({
          aggregateType: this.todaysType(frame.aggregateType),
          id: frame.aggregateId,
          command: sendersIn(frame.name).command,
          input: userJson(frame.dataJson),
        });
      frame.at(frame.next);
    }
    const { state, version } = this.actor;
    const carried = value === undefined ? undefined : userJson(toJson(value, 'result'));
    return {
      value: carried,
      events: events as unknown as readonly EventOf<A>[],
      state: state as StateOf<A>,
      version,
      sent,
    };
  }
}

/** The actor after the given events, which go through frames as stored ones do. */
function replay(definition: AnyAggregate, id: string, events: readonly WrittenEvent[]): Actor {
  const type = actorTypeOf(definition, 0);
  const { name } = type;
  const actor = new Actor(type, id, freezeState(definition.state()), 0, 0);
  const group = new StagedGroup(64 << 20);
  for (const [i, event] of events.entries()) {
    checkFields(`given[${i}]`, event, givenEventFields);
    const { type: eventType, data } = event;
    group.clear();
    const now = Date.now();
    const newest = own(definition.events as AnyAggregate['events'], eventType)?.schemaVersion ?? 1;
    const { schemaVersion = newest } = event;
    checkInteger(`given[${i}].schemaVersion`, schemaVersion, 1, 65_535);
    const json = toJson(data, eventType);
    const offset = group.frame(FrameKind.event, schemaVersion, now, actor.version + 1, name, id, eventType, '', json);
    writeNewId(group.frames.bytes, offset + 16, now);
    actor.state = freezeState(evolveFrame(definition, actor.state, new FrameReader(group.frames.bytes).at(offset), id));
    actor.version++;
  }
  return actor;
}

function surroundings(aggregate: AnyAggregate, options: GivenOptions): ExecutionEnvironment {
  return {
    context: options.context ?? {},
    dateMs: () => Date.now(), // as the test has it: it may have faked the date
    definition: (name, named) =>
      name === aggregate.name ? aggregate : ({ name, commands: anyCommandOf(named) } as unknown as AnyAggregate),
    ask: async (target, id, command, data) => {
      if (!options.answer)
        fail(`the command asks ${target.name}/${id} to ${command}; give an answer: given(…, …, { answer })`);
      return options.answer({ aggregateType: target.name, id, command, input: userJson(data) });
    },
  };
}

function isErrorClass(value: unknown): value is new (...args: any[]) => Error {
  return typeof value === 'function' && (value === Error || value.prototype instanceof Error);
}

function check<A>(
  expected: Expected<A> | ((...args: any[]) => unknown),
  outcome: Outcome<A> | undefined,
  error: unknown,
  actor: Actor,
): Outcome<A> {
  if (Array.isArray(expected)) {
    if (outcome === undefined) throw mismatch(`the events ${listOf(expected)}`, error, expected);
    const events = outcome.events as readonly StoredEvent[];
    const seen = events.map((event, i) =>
      typeof expected[i] === 'object' ? { type: event.type, data: event.data } : event.type,
    );
    deepStrictEqual(seen, expected.map(asRaised));
    return outcome;
  }
  if (outcome !== undefined) {
    const events = (outcome.events as readonly StoredEvent[]).map((event) => event.type);
    fail(`expected the command to fail with ${failureOf(expected)}; it raised ${listOf(events)}`);
  }
  if (isErrorClass(expected)) {
    if (!(error instanceof expected)) throw mismatch(failureOf(expected), error, expected);
  } else {
    const wanted = expected as Rejected | TrunklineError;
    const seen = error as Rejected | TrunklineError;
    if (!(error instanceof Error) || !('code' in error)) throw mismatch(failureOf(expected), error, expected);
    deepStrictEqual({ name: seen.name, code: seen.code }, { name: wanted.name, code: wanted.code });
    if (wanted.details !== undefined) deepStrictEqual(seen.details, wanted.details);
  }
  const state = actor.state as StateOf<A>;
  return { value: undefined, events: [], state, version: actor.version, sent: [] };
}

/** An expected event, its data as an event has them: without fields that are `undefined`. */
function asRaised(expected: unknown): unknown {
  if (typeof expected !== 'object' || expected === null || !('data' in expected)) return expected;
  return { ...expected, data: userJson(toJson(expected.data, 'data')) };
}

/** The command failed otherwise than expected: says both, and keeps what it failed with as the cause. */
function mismatch(wanted: string, error: unknown, expected: unknown): AssertionError {
  const message = `expected ${wanted}; the command failed with ${failureOf(error)}`;
  return Object.assign(new AssertionError({ message, actual: error, expected, operator: 'then' }), { cause: error });
}

const listOf = (events: readonly (string | { type: string })[]): string =>
  `[${events.map((event) => (typeof event === 'string' ? event : event.type)).join(', ')}]`;

function failureOf(error: unknown): string {
  if (typeof error === 'function') return error.name;
  if (!(error instanceof Error)) return inspect(error);
  const { name, code, details, message } = error as Error & { code?: unknown; details?: unknown };
  const shown = details === undefined ? '' : ` ${inspect(details)}`;
  return code === undefined ? `${name}: ${message}` : `${name} '${code}'${shown}`;
}
