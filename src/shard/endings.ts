// How a command ends: its reply goes behind its frames, in one group; the outcome of one with a key is kept, and answers
// when that key comes again. Owned by a shard's thread.
//
// Invariant: what a failed command has raised is undone before its reply is written.

import { isError } from '../base/errors.ts';
import { checkedJson } from '../base/json.ts';
import { toWire, wireError } from '../base/wire-error.ts';
import type { Outcome } from '../model/receipt.ts';
import type { ControlBlock } from '../shared/control-block.ts';
import type { RingConsumer } from '../shared/ring/consumer.ts';
import type { RingProducer } from '../shared/ring/producer.ts';
import { GroupFlag } from '../shared/ring/ring.ts';
import { errorJson, toJson } from '../wire/payload.ts';
import type { Actor } from './actor.ts';
import type { Command } from './command.ts';
import type { ShardData } from './contract.ts';
import type { Execution } from './execution.ts';
import { LatestTimers } from './latest-timers.ts';
import type { Loader } from './loader.ts';
import { hasExpired, keepOutcome, keyReused } from './outcome.ts';
import { OutcomeCache } from './outcome-cache.ts';
import type { Outgoing } from './outgoing.ts';
import type { Snapshots } from './snapshots.ts';
import { tellable } from './tellable.ts';

/** What of a shard the end of a command concerns. */
export interface EndingParts {
  readonly outgoing: Outgoing;
  readonly commands: RingConsumer;
  readonly control: ControlBlock;
  readonly outcomeCache: OutcomeCache;
  readonly loader: Loader;
  readonly snapshots: Snapshots;
}

export class Endings {
  private readonly ring: RingProducer;
  private readonly outgoing: Outgoing;
  private readonly latestTimers: () => LatestTimers;
  private readonly control: ControlBlock;
  private readonly outcomeCache: OutcomeCache;
  private readonly loader: Loader;
  private readonly snapshots: Snapshots;
  private readonly idempotencyTtlMs: number;

  constructor(
    { idempotencyTtlMs }: ShardData,
    { outgoing, commands, control, outcomeCache, loader, snapshots }: EndingParts,
  ) {
    this.ring = outgoing.ring;
    this.outgoing = outgoing;
    this.latestTimers = () => new LatestTimers(outgoing.ring, commands);
    this.control = control;
    this.outcomeCache = outcomeCache;
    this.loader = loader;
    this.snapshots = snapshots;
    this.idempotencyTtlMs = idempotencyTtlMs;
  }

  /** With a value: what the command has raised is published, with its reply. */
  succeed(execution: Execution, value: unknown): void {
    const { actor, command } = execution;
    execution.end();
    let outcome: Outcome | undefined;
    try {
      const reply = value === undefined ? '' : toJson(value, 'result');
      if (command.key !== '') outcome = this.keep(execution, value === undefined ? {} : { value });
      if (execution.events === 0) this.outgoing.rest(actor, command);
      if (!command.isRead) this.snapshots.keep(actor, this.ring, reply);
      const kind = value === undefined ? GroupFlag.nothing : GroupFlag.value;
      const messages = execution.messages > 0 ? GroupFlag.messages : 0;
      this.outgoing.reply(command, kind | messages, actor.version, reply);
    } catch (error) {
      this.fail(execution, error);
      return;
    }
    this.published(actor, command, outcome);
    if (execution.timers !== undefined) actor.noteTimers(execution.timers, this.ring.published, this.latestTimers);
  }

  /** With an error: what the command has raised is undone. */
  fail(execution: Execution, error: unknown): void {
    const { actor, command } = execution;
    const { definition, commandNames } = actor.type;
    execution.undo();
    this.ring.abandon();
    const where = { aggregateType: definition.name, command: commandNames[command.commandIndex]! };
    const wire = toWire(tellable(error), where);
    const reply = errorJson(wire);
    try {
      this.outgoing.owed(() => {
        let outcome: Outcome | undefined;
        if (command.key !== '' && wire.kind === 'rejected')
          outcome = this.keep(execution, { error: checkedJson(reply, wireError, 'a rejection') });
        if (wire.kind === 'rejected') this.outgoing.rest(actor, command);
        this.outgoing.reply(command, 0, actor.version, reply);
        this.published(actor, command, outcome);
      });
    } catch (tooLarge) {
      // A rejection is passed on whole or not at all.
      if (wire.kind !== 'rejected' || !isError(tooLarge, 'CommandTooLarge')) throw tooLarge;
      this.fail(execution, tooLarge);
    }
  }

  private published(actor: Actor, command: Command, outcome: Outcome | undefined): void {
    if (command.isRead) return;
    actor.lastPublished = this.ring.published;
    if (outcome) this.outcomeCache.keep(actor, command.key, outcome, this.ring.published);
  }

  private keep(execution: Execution, result: Pick<Outcome, 'value' | 'error'>): Outcome {
    return keepOutcome(this.ring, execution, this.control.keyClock(), this.idempotencyTtlMs, result);
  }

  /** With the outcome of an earlier execution; false: there is none. */
  repeat(actor: Actor, command: Command): boolean {
    const { name: type, commandNames } = actor.type;
    const first =
      this.outcomeCache.get(OutcomeCache.key(type, actor.id, command.key)) ??
      this.loader.outcome(type, actor.id, command.key);
    if (first === undefined || hasExpired(first.outcome, command.key, this.control.keyClock())) return false;
    const name = commandNames[command.commandIndex]!;
    const { command: firstCommand = name } = first.outcome;
    if (firstCommand !== name) {
      this.outgoing.refuse(command, actor.type, keyReused(command.key, name, firstCommand));
      return true;
    }
    this.outgoing.repeat(actor, command, first);
    return true;
  }
}
