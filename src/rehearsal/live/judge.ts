// One command after the other: tried by the release to come, and compared with what happened. Rehearsal thread.

import { isDeepStrictEqual } from 'node:util';
import type { ErrorCode } from '../../base/error-details.ts';
import { isError } from '../../base/errors.ts';
import { checkedJson, userJson } from '../../base/json.ts';
import { wireError } from '../../base/wire-error.ts';
import type { ActorType } from '../../shard/actor.ts';
import { tellable } from '../../shard/tellable.ts';
import { GroupFlag } from '../../shared/ring/ring.ts';
import { FrameKind, FrameReader } from '../../wire/frame.ts';
import { failureOf, type RehearsalFailure } from '../compare/failure.ts';
import type { IgnoredPlaces } from '../compare/paths.ts';
import { diffOf } from '../compare/state-diff.ts';
import type { RehearsedAggregates } from './aggregates.ts';
import type { Candidate } from './candidate.ts';
import type { HandedOver, Judged } from './contract.ts';
import { type CommandOutcome, framesOf, type Sent, thrownFailure, wireFailure } from './outcome.ts';
import type { Folded } from './past-states.ts';

/** A type of the runtime's, as the release to come defines it. */
export interface JudgedType {
  readonly type: ActorType;
  /** The running release's commands, by their numbers. */
  readonly commands: readonly string[];
}

const changesMost = 10;

/** Errors that a command's own run comes to. By any other it has not run, or its surroundings have failed it. */
const ownErrors: ReadonlySet<string> = new Set<ErrorCode>([
  ...([
    'CommandFailed',
    'SchemaViolation',
    'AsyncSchemaUnsupported',
    'UnserialisableValue',
    'CommandTooLarge',
  ] as const),
  ...(['UnknownEventType', 'UnknownAggregateType', 'UnknownCommand', 'InvalidId', 'InvalidDefinition'] as const),
  ...(['InvalidOptions', 'AskAfterRaise', 'AskItself', 'AskCycle', 'CommandEnded', 'InsideReducer'] as const),
]);
/** A store or a log that is unavailable says nothing of the release to come. */
const surroundings = ['StoreUnavailable', 'VersionGap', 'RecordInvalid', 'StoreDamaged'] as const;

export class Judge {
  private readonly types: readonly (JudgedType | undefined)[];
  private readonly aggregates: RehearsedAggregates;
  private readonly candidate: Candidate;
  private readonly ignored: IgnoredPlaces;

  constructor(
    types: readonly (JudgedType | undefined)[],
    aggregates: RehearsedAggregates,
    candidate: Candidate,
    ignored: IgnoredPlaces,
  ) {
    this.types = types;
    this.aggregates = aggregates;
    this.candidate = candidate;
    this.ignored = ignored;
  }

  /** See `IgnoredPlaces`. */
  get unusedIgnore(): readonly string[] {
    return this.ignored.unused;
  }

  async judge(command: HandedOver): Promise<Judged> {
    const { type, commands } = this.types[command.typeIndex]!;
    const name = commands[command.commandIndex]!;
    const happened = new Happened(command);
    if (!happened.hasRun) return { verdict: 'not executed', isError: false, difference: undefined };
    let before: Folded | undefined;
    try {
      before = await this.aggregates.before(type, command, happened.versionBefore);
      if (before === undefined) return { verdict: 'no state', isError: false, difference: undefined };
      const old = happened.outcome(this.candidate);
      const { outcome: now, failure } = await this.candidate.run(type, before, name, command, happened.occurredAt);
      this.aggregates.after(type, command, before);
      return this.compared(command, happened, sorted(old), sorted(now), failure);
    } catch (thrown) {
      const error = tellable(thrown);
      if (surroundings.some((code) => isError(error, code)))
        return { verdict: 'no state', isError: false, difference: undefined };
      // The release to come cannot read this history.
      const nothing: CommandOutcome = { events: [], sent: [], asked: [] };
      const now = { ...nothing, ...thrownFailure(error) };
      return this.compared(command, happened, nothing, now, failureOf(error));
    }
  }

  private compared(
    command: HandedOver,
    { versionBefore: version }: Happened,
    old: CommandOutcome,
    now: CommandOutcome,
    failure: RehearsalFailure | undefined,
  ): Judged {
    const { type, commands } = this.types[command.typeIndex]!;
    const { changes, count, ignored } = diffOf(old, now, this.ignored.of(type.name), changesMost);
    const isError = now.error !== undefined && !isDeepStrictEqual(old.error, now.error);
    if (count === 0) return { verdict: ignored > 0 ? 'ignored' : 'same', isError: false, difference: undefined };
    const name = commands[command.commandIndex]!;
    const difference = {
      ...{ aggregateType: type.definition.name, aggregateId: command.id, command: name, version, failure },
      ...{ changes, changeCount: count },
    };
    return { verdict: 'different', isError, difference };
  }
}

/** In which order answers came, or questions were put beside each other, counts for nothing. */
function sorted(outcome: CommandOutcome): CommandOutcome {
  const text = ({ aggregateType, aggregateId, command, input }: Sent): string =>
    JSON.stringify([aggregateType, aggregateId, command, input]);
  return { ...outcome, asked: outcome.asked.toSorted((a, b) => (text(a) < text(b) ? -1 : 1)) };
}

/** What the running release has made of a command: its group, read. */
class Happened {
  readonly hasRun: boolean;
  readonly versionBefore: number;
  readonly occurredAt: number;
  private readonly bytes: Buffer;
  private readonly command: HandedOver;
  private readonly failure: Pick<CommandOutcome, 'rejection' | 'error'> | undefined;

  constructor(command: HandedOver) {
    const { group, frameCount, flags, readAt, version } = command;
    this.command = command;
    this.bytes = Buffer.from(group.buffer, group.byteOffset, group.byteLength);
    const frame = new FrameReader(this.bytes);
    let events = 0;
    let occurredAt = readAt;
    for (let i = 0, at = 0; i < frameCount; i++, at = frame.next) {
      frame.at(at);
      if (frame.kind !== FrameKind.event) continue;
      if (events++ === 0) occurredAt = frame.occurredAt;
    }
    this.versionBefore = version - events;
    this.occurredAt = occurredAt;
    const hasSucceeded = (flags & (GroupFlag.value | GroupFlag.nothing)) !== 0;
    this.failure = hasSucceeded ? undefined : wireFailure(checkedJson(this.reply, wireError, 'the reply to a command'));
    const code = this.failure?.error?.code;
    this.hasRun = (flags & GroupFlag.repeated) === 0 && (code === undefined || ownErrors.has(code));
  }

  private get reply(): string {
    return this.bytes.toString('utf8', this.command.framesBytes);
  }

  /** As the release to come reads it. @throws UpcastFailed, UnsupportedEventVersion */
  outcome({ evolution }: Candidate): CommandOutcome {
    const { flags, frameCount, questions } = this.command;
    const frames = framesOf(this.bytes, 0, frameCount, evolution);
    const asked = questions.map(({ aggregateType, aggregateId, command, inputJson }) => ({
      ...{ aggregateType, aggregateId, command },
      input: userJson(inputJson),
    }));
    const value = (flags & GroupFlag.value) !== 0 ? userJson(this.reply) : undefined;
    return { value, ...this.failure, ...frames, asked };
  }
}
