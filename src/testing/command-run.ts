// One command on one actor, as a shard would run it: what it came to, read from its frames.

import { fail } from 'node:assert/strict';
import { userJson } from '../base/json.ts';
import { isThenable } from '../base/thenable.ts';
import { flushPresets } from '../log/policy.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import { decodeEvent, type StoredEvent } from '../model/event.ts';
import type { Actor } from '../shard/actor.ts';
import { anyCommandOf } from '../shard/any-command.ts';
import type { Command } from '../shard/command.ts';
import { Execution, type ExecutionEnvironment } from '../shard/execution.ts';
import { freezeState } from '../shard/frozen.ts';
import { tellable } from '../shard/tellable.ts';
import { StagedGroup } from '../shared/ring/group.ts';
import { GROUP_HEADER_BYTES } from '../shared/ring/ring.ts';
import { FrameKind, FrameReader } from '../wire/frame.ts';
import { sendersIn } from '../wire/message.ts';
import { argumentsJson, toJson } from '../wire/payload.ts';
import { type TimerChange, timerChangeIn } from '../wire/timer.ts';
import type { GivenOptions } from './contract.ts';

export interface Call {
  readonly command: string;
  readonly input: unknown[];
  readonly metadataJson: string;
}

export interface Sent {
  readonly aggregateType: string;
  readonly id: string;
  readonly command: string;
  readonly input: unknown[];
}

export interface Ran {
  readonly value: unknown;
  readonly events: readonly StoredEvent[];
  readonly sent: readonly Sent[];
  readonly timers: readonly TimerChange[];
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

/** A failed one leaves the actor as it was. `nowMs`: the date of all that it does, milliseconds since 1970. */
export function runCommand(
  actor: Actor,
  { command, input, metadataJson }: Call,
  options: GivenOptions,
  nowMs: number,
): Ran | Promise<Ran> {
  const { definition } = actor.type;
  const group = new StagedGroup(commandBytesLimit);
  const frame = { metadataJson, key: '', askers: '', cancelled: false } as Command;
  const execution = new GuardedExecution(actor, frame, group, surroundings(definition, options, nowMs));
  const settle = (value: unknown): Ran => {
    execution.end();
    const carried = value === undefined ? undefined : userJson(toJson(value, 'result'));
    return { value: carried, ...framesOf(group, actor) };
  };
  const failed = (error: unknown): never => {
    execution.undo();
    throw tellable(error);
  };
  try {
    // Through JSON, as the arguments of a real command travel.
    const value = definition.commands[command](execution, ...userJson(argumentsJson(input)));
    return isThenable(value) ? Promise.resolve(value).then(settle).catch(failed) : settle(value);
  } catch (error) {
    return failed(error);
  }
}

function framesOf(group: StagedGroup, { type: { definition, name } }: Actor): Omit<Ran, 'value'> {
  const todaysType = (stored: string): string => (stored === name ? definition.name : stored);
  const events: StoredEvent[] = [];
  const sent: Sent[] = [];
  const timers: TimerChange[] = [];
  const frame = new FrameReader(group.frames.bytes).at(GROUP_HEADER_BYTES);
  for (let i = 0; i < group.frameCount; i++, frame.at(frame.next)) {
    const { kind } = frame;
    if (kind === FrameKind.event) events.push(decodeEvent(frame, 0, todaysType(frame.aggregateType)));
    else if (kind === FrameKind.message) sent.push(sentIn(frame, todaysType));
    else if (kind === FrameKind.timer) timers.push(timerChangeIn(frame, 0)!);
    else fail(`a command has written a frame of kind ${kind}`);
  }
  return { events, sent, timers };
}

function sentIn({ aggregateType, aggregateId, name, dataJson }: FrameReader, typeOf: (stored: string) => string): Sent {
  const { command } = sendersIn(name);
  return { aggregateType: typeOf(aggregateType), id: aggregateId, command, input: userJson(dataJson) };
}

function surroundings(aggregate: AnyAggregate, options: GivenOptions, nowMs: number): ExecutionEnvironment {
  return {
    context: options.context ?? {},
    dateMs: () => nowMs,
    definition: (name, named) =>
      name === aggregate.name ? aggregate : ({ name, commands: anyCommandOf(named) } as unknown as AnyAggregate),
    ask: async (target, id, command, data) => {
      if (!options.answer)
        fail(`the command asks ${target.name}/${id} to ${command}; give an answer: given(…, …, { answer })`);
      return options.answer({ aggregateType: target.name, id, command, input: userJson(data) });
    },
  };
}
