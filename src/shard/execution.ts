// One run of one command on one actor: what the user's function gets as its first argument. Raises are applied at once
// and undone as a whole if the command does not succeed.

import {
  checkDate,
  checkDeadline,
  checkDelay,
  checkId,
  dateMostMs,
  invalid,
  nameFault,
  nameOfDefinition,
} from '../base/checks.ts';
import { TrunklineError } from '../base/errors.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';
import { NAME_BYTES_LIMIT } from '../base/name-limits.ts';
import { isThenable } from '../base/thenable.ts';
import type {
  AnyAggregate,
  Asker,
  AskOptions,
  CommandContext,
  Sender,
  ShardContext,
  TimerOptions,
  TimerSender,
} from '../model/aggregate.ts';
import { storedTypeOf } from '../model/aggregate-names.ts';
import { validate } from '../model/validate.ts';
import type { Group } from '../shared/ring/group.ts';
import { FrameKind } from '../wire/frame.ts';
import { idToText, writeNewId } from '../wire/ids.ts';
import { type Address, nameWithSenders, sendersIn } from '../wire/message.ts';
import { metadataIn } from '../wire/metadata.ts';
import { argumentsJson, plainToJson, toPlain } from '../wire/payload.ts';
import { TimerFrame, timerFrameName } from '../wire/timer.ts';
import type { Actor } from './actor.ts';
import type { Command } from './command.ts';
import { AppliedEvent, insideReducer, reduce } from './evolve.ts';
import { freezeFields } from './frozen.ts';

/** What a command may reach beyond its own aggregate. The shard is one; the test kit is another. */
export interface ExecutionEnvironment {
  readonly context: ShardContext;
  /** The date that events and messages bear: milliseconds since 1970. */
  readonly dateMs: () => number;
  /** The aggregate type of that name, or `UnknownAggregateType`. `named`: what the command has named it by. */
  definition(name: string, named: AnyAggregate): AnyAggregate;
  /** Put a question to another aggregate, its arguments as JSON; resolves to its value. */
  ask(aggregate: AnyAggregate, id: string, command: string, data: string, question: Question): Promise<unknown>;
}

export interface Question {
  deadlineMs: number | undefined;
  metadataJson: string;
  /** The aggregates that wait for the answer: who asks is the last one, each before it waits for the next. */
  askers: readonly Address[];
}

const askFields = fieldsOf<AskOptions>({ deadlineMs: true });
const timerFields = fieldsOf<TimerOptions>({ name: 'text' });

export class Execution implements CommandContext<any, any> {
  readonly actor: Actor;
  readonly command: Command;
  /** Where frames go: the ring itself, or a private stage once the command has turned out to be asynchronous. */
  private group: Group;
  events = 0;
  /** Frames that the host's turn must see: messages, and timers. */
  messages = 0;
  /** Which timer waits under each name that this command has set or cancelled, by id; '': none. */
  timers: Map<string, string> | undefined;
  private readonly surroundings: ExecutionEnvironment;
  private readonly priorState: unknown;
  private readonly priorVersion: number;
  private ended = false;
  private abort: AbortController | undefined;
  /** Where in the group the event stands that was raised last. */
  private lastEvent = 0;

  constructor(actor: Actor, command: Command, group: Group, surroundings: ExecutionEnvironment) {
    this.actor = actor;
    this.command = command;
    this.group = group;
    this.surroundings = surroundings;
    freezeFields(actor.state);
    this.priorState = actor.state;
    this.priorVersion = actor.version;
  }

  /** What it raises goes there from now on. */
  continueIn(group: Group): void {
    this.group = group;
  }

  get id(): string {
    return this.actor.id;
  }
  get state(): unknown {
    return this.actor.state;
  }
  get version(): number {
    return this.actor.version;
  }
  get context(): ShardContext {
    return this.surroundings.context;
  }
  get signal(): AbortSignal {
    this.abort ??= new AbortController();
    if (this.command.cancelled) this.abort.abort(new TrunklineError('Aborted', { executed: 'unknown' }));
    return this.abort.signal;
  }

  raise(type: string, data: unknown): void {
    const { actor, group, command } = this;
    const { definition, name } = actor.type;
    this.checkOpen('raise');
    const spec = definition.events[type];
    if (spec === undefined || !Object.hasOwn(definition.events, type)) {
      const known = Object.keys(definition.events);
      throw new TrunklineError('UnknownEventType', { aggregateType: definition.name, eventType: String(type), known });
    }
    const checked = spec.schema === undefined ? data : validate(spec.schema, data, definition.name, type);
    const plain = toPlain(checked, type);
    const json = plainToJson(plain, type);
    const version = actor.version + 1;
    const now = this.surroundings.dateMs();
    const metadata = command.metadataJson;
    const offset = group.frame(FrameKind.event, spec.schemaVersion, now, version, name, actor.id, type, metadata, json);
    writeNewId(group.frames.bytes, offset + 16, now);
    const reducer = actor.type.reducers.get(type)!;
    try {
      const applied = reducer.seesEvent ? this.applied(offset, type, spec.schemaVersion, plain, now) : undefined;
      const state = reduce(reducer, actor.state, plain, applied);
      if (isThenable(state)) {
        const reason = `evolve.${type} is asynchronous; reducers must return the next state itself`;
        throw new TrunklineError('InvalidDefinition', { aggregateType: definition.name, reason });
      }
      actor.state = state;
    } catch (error) {
      group.dropFrame(offset);
      throw error;
    }
    actor.version = version;
    this.lastEvent = offset - group.start;
    this.events++;
  }

  /** The event that was just written at `offset`, as a reducer sees it. */
  private applied(offset: number, type: string, schemaVersion: number, data: unknown, now: number): AppliedEvent {
    const { id, type: actorType, version } = this.actor;
    const { name } = actorType.definition;
    const { metadataJson } = this.command;
    const { view } = this.group.frames;
    return new AppliedEvent(name, id, version + 1, type, schemaVersion, data, now, metadataJson, view, offset + 16);
  }

  ask<A extends AnyAggregate>(aggregate: A, id: string, options: AskOptions = {}): Asker<A> {
    const target = this.target(aggregate, id);
    checkFields('ask', options, askFields);
    if (options.deadlineMs !== undefined) checkDeadline('deadlineMs', options.deadlineMs);
    const { metadataJson, askers } = this.command;
    const chain = askers === '' ? [this.address] : [...sendersIn(askers).senders, this.address];
    const question: Question = { deadlineMs: options.deadlineMs, metadataJson, askers: chain };
    const asksItself = storedTypeOf(target) === this.actor.type.name && id === this.id;
    return commandMethods(target, (command, input) => {
      this.checkOpen('ask');
      if (asksItself) return Promise.reject(new TrunklineError('AskItself', { aggregateType: target.name, id }));
      // The user's own toJSON() may raise: so the arguments become text before the group is looked at.
      const data = argumentsJson(input);
      if (!this.group.isEmpty) {
        const { type, id: asker } = this.actor;
        return Promise.reject(new TrunklineError('AskAfterRaise', { aggregateType: type.definition.name, id: asker }));
      }
      return this.surroundings.ask(target, id, command, data, question);
    }) as Asker<A>;
  }

  send<A extends AnyAggregate>(aggregate: A, id: string): Sender<A> {
    const target = this.target(aggregate, id);
    return commandMethods(target, (command, input) => {
      this.checkOpen('send');
      const now = this.surroundings.dateMs();
      const data = argumentsJson(input);
      const metadata = this.sendMetadata();
      const name = nameWithSenders(command, [this.address]);
      const offset = this.group.frame(FrameKind.message, 0, now, 0, storedTypeOf(target), id, name, metadata, data);
      writeNewId(this.group.frames.bytes, offset + 16, now);
      this.messages++;
    }) as Sender<A>;
  }

  after(delayMs: number, options?: TimerOptions): TimerSender {
    checkDelay('delayMs', delayMs);
    return this.timer(Math.min(Math.ceil(this.surroundings.dateMs() + delayMs), dateMostMs), options);
  }

  at(date: Date, options?: TimerOptions): TimerSender {
    checkDate('at', date);
    return this.timer(Math.max(0, date.getTime()), options); // the order of dates has no signs
  }

  private timer(dueMs: number, options: TimerOptions = {}): TimerSender {
    checkFields('timer', options, timerFields);
    const { name = '' } = options;
    if (options.name !== undefined) checkTimerName(name);
    return commandMethods(this.actor.type.definition, (command, input) => {
      this.checkOpen('timer');
      const data = argumentsJson(input);
      const id = this.timerFrame(TimerFrame.set, timerFrameName(command, name), dueMs, this.sendMetadata(), data);
      if (name !== '') this.noteTimer(name, id());
    }) as TimerSender;
  }

  cancel(name: string): void {
    checkTimerName(name);
    this.checkOpen('timer');
    this.timerFrame(TimerFrame.cancel, timerFrameName('', name), this.surroundings.dateMs(), '', '');
    this.noteTimer(name, '');
  }

  /** Returns what tells its id. */
  private timerFrame(change: number, name: string, dueMs: number, metadata: string, data: string): () => string {
    const { type, id } = this.actor;
    const offset = this.group.frame(FrameKind.timer, 0, dueMs, change, type.name, id, name, metadata, data);
    const { frames } = this.group;
    writeNewId(frames.bytes, offset + 16, this.surroundings.dateMs());
    this.messages++;
    return () => idToText(frames.bytes, offset + 16);
  }

  private noteTimer(name: string, id: string): void {
    this.timers ??= new Map();
    this.timers.set(name, id);
  }

  private get address(): Address {
    return { aggregateType: this.actor.type.name, aggregateId: this.actor.id };
  }

  /** What a sent command inherits: this one's metadata; its cause is the event that was raised last. */
  private sendMetadata(): string {
    const { metadataJson } = this.command;
    if (this.events === 0) return metadataJson;
    const metadata = metadataIn(metadataJson);
    const causationId = idToText(this.group.frames.bytes, this.group.start + this.lastEvent + 16);
    return JSON.stringify({ ...metadata, causationId });
  }

  /** The caller has given up. */
  giveUp(error: TrunklineError): void {
    this.command.cancelled = true;
    this.abort?.abort(error);
  }

  /** Nothing may be raised any more. */
  end(): void {
    this.ended = true;
  }

  /** As if the command had never run. */
  undo(): void {
    this.ended = true;
    this.actor.state = this.priorState;
    this.actor.version = this.priorVersion;
    this.events = 0;
    this.messages = 0;
    this.timers = undefined;
  }

  /** Whom a question or a message is for; refused here and now if it could never arrive. */
  private target(aggregate: AnyAggregate, id: string): AnyAggregate {
    checkId('aggregate id', id);
    return this.surroundings.definition(nameOfDefinition(aggregate), aggregate);
  }

  private checkOpen(called: 'raise' | 'send' | 'ask' | 'timer'): void {
    if (!this.ended && !insideReducer()) return;
    const { type, id } = this.actor;
    const aggregateType = type.definition.name;
    if (this.ended) throw new TrunklineError('CommandEnded', { aggregateType, id });
    throw new TrunklineError('InsideReducer', { aggregateType, id, called });
  }
}

function checkTimerName(name: string): void {
  const fault = nameFault(name, NAME_BYTES_LIMIT);
  if (fault !== undefined) invalid('name', name, fault);
}

/**
 * An object with a method for each command. Any other name is what it is on a plain object: libraries look for marks on what
 * they are given (`toJSON`, `then`, `asymmetricMatch` …), and must find none.
 */
export function commandMethods(target: AnyAggregate, call: (command: string, input: unknown[]) => unknown): object {
  return new Proxy(
    {},
    {
      get(plain, name) {
        if (typeof name !== 'string' || !Object.hasOwn(target.commands, name)) return Reflect.get(plain, name);
        return (...input: unknown[]) => call(name, input);
      },
    },
  );
}
