// The release to come: one command of it on one aggregate, and what it comes to. Nothing leaves here: what it raises and sends
// lies in private memory, and what it asks gets the answer that the running release got. Rehearsal thread.

import { clearTimeout, setTimeout } from '../../base/clock.ts';
import { TrunklineError } from '../../base/errors.ts';
import { guarded } from '../../base/guarded.ts';
import { checkedJson, list, userJson } from '../../base/json.ts';
import { own } from '../../base/own.ts';
import { isThenable } from '../../base/thenable.ts';
import { fromWire } from '../../base/wire-error.ts';
import type { TappedQuestion } from '../../dispatch/command-taps.ts';
import type { AnyAggregate } from '../../model/aggregate.ts';
import { namesOf, storedTypeOf } from '../../model/aggregate-names.ts';
import { Evolution } from '../../model/evolution.ts';
import { Actor, type ActorType } from '../../shard/actor.ts';
import { anyCommandOf } from '../../shard/any-command.ts';
import type { Command } from '../../shard/command.ts';
import { answerShape } from '../../shard/contract.ts';
import { Execution, type ExecutionEnvironment } from '../../shard/execution.ts';
import { tellable } from '../../shard/tellable.ts';
import { StagedGroup } from '../../shared/ring/group.ts';
import { GROUP_HEADER_BYTES } from '../../shared/ring/ring.ts';
import { toJson } from '../../wire/payload.ts';
import { failureOf, type RehearsalFailure } from '../compare/failure.ts';
import type { HandedOver, NamedType } from './contract.ts';
import { type CommandOutcome, framesOf, type Sent, thrownFailure } from './outcome.ts';

/** For a command that awaits; one that does not return at all ends the rehearsal. */
const commandMs = 5_000;

/** The running release has not asked that, so there is no answer. */
class NotAsked extends Error {
  override readonly name = 'NotAsked';
}

/** It has not settled in time. */
class NotSettled extends Error {
  override readonly name = 'NotSettled';
}

export class Candidate {
  readonly evolution: Evolution;
  private readonly definitions: readonly AnyAggregate[];
  private readonly others: readonly NamedType[];
  private readonly context: object;
  private readonly groupLimit: number;

  /** `others`: every type of the runtime. */
  constructor(
    definitions: readonly AnyAggregate[],
    others: readonly NamedType[],
    { context, groupLimit }: { readonly context: object; readonly groupLimit: number },
  ) {
    this.definitions = definitions;
    this.others = others;
    this.context = context;
    this.groupLimit = groupLimit;
    this.evolution = new Evolution(definitions);
  }

  /** `occurredAt`: what the running release's events bear. */
  async run(
    type: ActorType,
    basis: { readonly state: unknown; readonly version: number },
    name: string,
    given: HandedOver,
    occurredAt: number,
  ): Promise<{ readonly outcome: CommandOutcome; readonly failure?: RehearsalFailure | undefined }> {
    const actor = new Actor(type, given.id, basis.state, basis.version, 0);
    const group = new StagedGroup(this.groupLimit);
    const command = { metadataJson: given.metadataJson, key: '', askers: '', cancelled: false } as Command;
    const questions = new Questions(given.questions);
    const execution = new Execution(actor, command, group, this.surroundings(questions, occurredAt));
    const nothing = { events: [], sent: [], asked: questions.asked };
    try {
      const input = checkedJson(given.inputJson, list, 'the input of a command');
      const { name: aggregateType, commands } = type.definition;
      const run = own(commands as Record<string, (...all: unknown[]) => unknown>, name);
      if (run === undefined) {
        throw new TrunklineError('UnknownCommand', { aggregateType, command: name, known: Object.keys(commands) });
      }
      const made = run(execution, ...input);
      const value = isThenable(made) ? await settled(made, execution) : made;
      const json = value === undefined ? undefined : toJson(value, 'result');
      const raised = framesOf(group.frames.bytes, GROUP_HEADER_BYTES, group.frameCount, this.evolution);
      const returned = json === undefined ? undefined : userJson(json);
      return { outcome: { value: returned, ...raised, asked: questions.asked } };
    } catch (error) {
      const failure = tellable(error);
      const outcome = { ...thrownFailure(failure), ...nothing };
      return { outcome, failure: outcome.error && failureOf(failure) };
    } finally {
      execution.end();
    }
  }

  private surroundings(questions: Questions, occurredAt: number): ExecutionEnvironment {
    return {
      context: this.context,
      dateMs: () => occurredAt,
      definition: (name, named) => this.definitionOf(name, named),
      ask: async (target, id, command, data) => questions.answer(storedTypeOf(target), id, command, data),
    };
  }

  /** Of a type that is not rehearsed only the name is known: whatever is sent to it is compared. */
  private definitionOf(name: string, named: AnyAggregate): AnyAggregate {
    const known = this.definitions.find((one) => namesOf(one).includes(name));
    if (known !== undefined) return known;
    const storedType = this.others.find(({ names }) => names.includes(name))?.storedType ?? name;
    return {
      name,
      renamedFrom: storedType === name ? [] : [storedType],
      commands: anyCommandOf(named),
    } as unknown as AnyAggregate;
  }
}

async function settled(made: unknown, execution: Execution): Promise<unknown> {
  let late: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    const giveUp = guarded(() => {
      execution.giveUp(new TrunklineError('DeadlineExceeded', { deadlineMs: commandMs, executed: 'no' }));
      reject(new NotSettled(`it has not settled within ${commandMs} ms`));
    });
    late = setTimeout(giveUp, commandMs);
  });
  try {
    return await Promise.race([made, tooLate]);
  } finally {
    clearTimeout(late);
  }
}

/** What the running release's command has asked others, with their answers. */
class Questions {
  readonly asked: Sent[] = [];
  private readonly left: TappedQuestion[];

  constructor(recorded: readonly TappedQuestion[]) {
    this.left = [...recorded];
  }

  answer(aggregateType: string, aggregateId: string, command: string, inputJson: string): unknown {
    this.asked.push({ aggregateType, aggregateId, command, input: userJson(inputJson) });
    const i = this.left.findIndex(
      (one) =>
        one.aggregateType === aggregateType &&
        one.aggregateId === aggregateId &&
        one.command === command &&
        one.inputJson === inputJson,
    );
    if (i < 0) throw new NotAsked(`${aggregateType}/${aggregateId} was not asked to ${command} with this input`);
    const [question] = this.left.splice(i, 1);
    const { value, error } = checkedJson(question!.answerJson, answerShape, 'a recorded answer');
    if (error !== undefined) throw fromWire(error);
    return value;
  }
}
