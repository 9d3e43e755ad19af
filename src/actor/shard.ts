// A shard: one thread that runs many actors, one command at a time for each. Takes commands from its command ring, lets
// the user's functions decide, and publishes what they raised, with the reply, into its event ring.
//
// Invariants: a command's frames are published whole, by one store, after the command has succeeded; a reply is behind its
// frames in the same group; an actor runs its next command when the last one has ended, asynchronous ones included.
import type { AnyAggregate } from '../aggregate.ts';
import { monotonicMs } from '../clock.ts';
import { isError, TrunklineError, toWire } from '../errors.ts';
import { FrameReader } from '../frame.ts';
import { Levels, LevelWord } from '../log/levels.ts';
import { errorJson, toJson } from '../payload.ts';
import type { Outcome, RepeatedReply } from '../receipt.ts';
import { Bell } from '../ring/bell.ts';
import { RingConsumer } from '../ring/consumer.ts';
import { StagedGroup } from '../ring/group.ts';
import { RingProducer } from '../ring/producer.ts';
import { GroupFlag, GroupKind } from '../ring/ring.ts';
import type { Actor, ActorType, ShardData } from './actor.ts';
import { Arrivals } from './arrivals.ts';
import { Asks } from './asks.ts';
import { Command } from './command.ts';
import { Execution, type Surroundings } from './execution.ts';
import type { Loader } from './loader.ts';
import { Mailbox } from './mailbox.ts';
import { hasExpired, keepOutcome } from './outcome.ts';
import { RememberedOutcomes } from './remembered.ts';
import { Residents } from './residents.ts';
import { Snapshots } from './snapshots.ts';
import { StoredHorizon } from './stored-horizon.ts';
import { tellable } from './tellable.ts';

const noInput: unknown[] = [];
const roomBoundMs = 100; // how long a full ring may keep the thread from looking at its flags
// A wake-up costs the waker as much as two or three commands; the log thread would find one frame each time.
const commandsPerRing = 128;
const passivationsPerSweep = 1024; // bounds a sweep to some 100 µs

const unfaithfulState =
  'state holds what JSON cannot carry (Date, Map, a class …): no snapshots, loads replay every event';

const urgency = (command: Command): number => (command.urgent ? GroupFlag.urgent : 0);

export class Shard {
  readonly levels: Levels;
  /** Asynchronous commands under way. */
  pending = 0;
  /** Called when one of them has settled. */
  onSettled: () => void = () => {};
  /** What went wrong in this class itself after an asynchronous command had settled: the thread must end. */
  failure: unknown;
  private readonly data: ShardData;
  private readonly types: readonly ActorType[];
  private readonly loader: Loader;
  private readonly commands: RingConsumer;
  private readonly ring: RingProducer;
  private readonly frame: FrameReader;
  private readonly residents: Residents;
  readonly arrivals: Arrivals;
  private readonly remembered = new RememberedOutcomes();
  private readonly horizon: StoredHorizon;
  private readonly asks: Asks;
  private readonly snapshots: Snapshots;
  private readonly logBell: Bell;
  private readonly callerBell: Bell;
  private readonly surroundings: Surroundings;
  /** Asynchronous commands under way, and those behind them in a mailbox, by slot. */
  private readonly running = new Map<number, Execution>();
  private readonly waiting = new Map<number, Command>();
  private readonly idleStages: StagedGroup[] = [];
  private mustWait = false;
  private isAbandoned = false;
  private isDraining = false;
  private untold = 0;
  /** By the monotonic clock, as of the last turn. */
  private now = monotonicMs();

  constructor(data: ShardData, types: readonly ActorType[], loader: Loader, context: object) {
    this.data = data;
    this.types = types;
    this.loader = loader;
    this.levels = new Levels(data.levels);
    this.commands = new RingConsumer(data.commandRing);
    this.frame = new FrameReader(this.commands.bytes);
    this.logBell = new Bell(this.levels.words, LevelWord.logBell);
    this.callerBell = new Bell(this.levels.words, LevelWord.callerBell, data.outbox);
    this.ring = new RingProducer(data.eventRing, () => this.waitForRoom());
    this.residents = new Residents(types, data.actorLimit, data.actorIdleMs);
    this.arrivals = new Arrivals(loader, this.residents, types, data.mailboxLimit, {
      arrived: (actor) => this.settled(actor),
      refused: (command, type, error) => this.refuse(command, type, error),
      failed: (error) => this.failed(error),
    });
    this.horizon = new StoredHorizon(this.ring, this.levels);
    this.snapshots = new Snapshots(data.groupLimit / 8, (aggregateType) => {
      data.outbox.postMessage({ type: 'warning', message: unfaithfulState, details: { aggregateType } });
    });
    this.asks = new Asks(this.ring, data.askDeadlineMs, () => this.logBell.ring());
    this.surroundings = {
      context,
      definition: (name) => this.definition(name),
      ask: (...question) => this.asks.ask(...question),
    };
  }

  hasWork(): boolean {
    return this.commands.published() !== this.commands.cursor;
  }

  /** Take and run up to `most` commands; returns how many there were. */
  drain(most: number): number {
    const limit = this.commands.published();
    let count = 0;
    this.now = monotonicMs();
    this.isDraining = true;
    while (count < most && this.commands.take(limit)) {
      count++;
      if (this.untold === commandsPerRing) {
        this.logBell.ring();
        this.untold = 1;
      }
      const { kind } = this.commands;
      if (kind === GroupKind.command) {
        const command = new Command(this.commands, this.frame);
        // Given back before it runs: a command that kills its thread is not met again by the next one.
        this.commands.release();
        this.dispatch(command);
      } else {
        if (kind === GroupKind.answer) this.asks.settle(this.commands, this.frame);
        else this.cancel(this.commands.slot);
        this.commands.release();
      }
    }
    this.isDraining = false;
    if (this.untold > 1) this.logBell.ring();
    this.untold = 0;
    return count;
  }

  /** Now and then: see how far the store is, and let actors go that it can bring back. */
  sweep(): void {
    this.now = monotonicMs();
    this.horizon.update();
    this.remembered.forget(this.horizon.storedBytes);
    this.residents.passivate(this.now, this.horizon.storedBytes, passivationsPerSweep);
    this.levels.setFlag(LevelWord.firstShardActors + this.data.index, this.residents.count);
  }

  private definition(name: string): AnyAggregate {
    const type = this.types.find((known) => known.name === name);
    if (type) return type.definition;
    throw new TrunklineError('UnknownAggregateType', { aggregateType: name, known: this.types.map((t) => t.name) });
  }

  private dispatch(command: Command): void {
    const type = this.types[command.typeIndex]!;
    const actor = this.find(type, command);
    if (actor === undefined) return;
    if (actor.mailbox !== undefined) {
      const limit = this.data.mailboxLimit;
      if (actor.mailbox.put(command)) {
        this.waiting.set(command.slot, command);
        return;
      }
      this.refuse(command, type, new TrunklineError('MailboxFull', { aggregateType: type.name, id: actor.id, limit }));
      return;
    }
    this.execute(actor, command);
  }

  /** The actor, loaded if it is not here; undefined if that failed, which the caller has been told. */
  private find(type: ActorType, command: Command): Actor | undefined {
    const resident = this.residents.get(type, command.id);
    if (resident !== undefined) {
      this.residents.touch(resident, this.now);
      return resident;
    }
    try {
      const { published } = this.ring;
      const actor = this.arrivals.bring(type, command.id, this.now, () => this.ring.writtenBytes() >= published);
      if (actor.mailbox) this.pending++;
      return actor;
    } catch (error) {
      this.refuse(command, type, error);
      return undefined;
    }
  }

  private execute(actor: Actor, command: Command): void {
    const { type } = actor;
    if (this.waiting.size > 0) this.waiting.delete(command.slot);
    if (command.cancelled) {
      this.refuse(command, type, new TrunklineError('Aborted', { executed: 'no' }));
      return;
    }
    if (command.deadlineAt !== 0 && monotonicMs() >= command.deadlineAt) {
      this.refuse(command, type, new TrunklineError('DeadlineExceeded', { deadlineMs: 0, executed: 'no' }));
      return;
    }
    if (command.key !== '' && this.repeat(actor, command)) return;
    const execution = new Execution(actor, command, this.ring, this.surroundings);
    let result: unknown;
    let isAsynchronous: boolean;
    try {
      const input = command.inputJson === '[]' ? noInput : (JSON.parse(command.inputJson) as unknown[]);
      result = type.definition.commands[type.commandNames[command.commandIndex]!](execution, ...input);
      isAsynchronous = typeof (result as PromiseLike<unknown> | undefined)?.then === 'function';
    } catch (error) {
      this.fail(execution, error);
      return;
    }
    if (isAsynchronous) this.await(execution, Promise.resolve(result));
    else this.succeed(execution, result);
  }

  /** The command has turned out to be asynchronous: its frames move to a stage, other commands of its actor wait. */
  private await(execution: Execution, result: Promise<unknown>): void {
    const stage = this.idleStages.pop() ?? new StagedGroup(this.data.groupLimit);
    stage.copyFrom(this.ring);
    this.ring.abandon();
    execution.group = stage;
    execution.actor.mailbox = new Mailbox(this.data.mailboxLimit);
    this.pending++;
    this.running.set(execution.command.slot, execution);
    result
      .then(
        (value) => this.resume(execution, stage, () => this.succeed(execution, value)),
        (error) => this.resume(execution, stage, () => this.fail(execution, error)),
      )
      .catch((error) => this.failed(error));
  }

  private failed(error: unknown): void {
    this.failure = error;
    this.onSettled();
  }

  private resume(execution: Execution, stage: StagedGroup, settle: () => void): void {
    const { actor, command } = execution;
    if (this.isAbandoned) return;
    this.running.delete(command.slot);
    this.ring.copyFrom(stage);
    stage.clear();
    this.idleStages.push(stage);
    settle();
    this.settled(actor);
  }

  /** What an actor's commands have waited for has ended. If one is asynchronous again, the rest moves into its mailbox. */
  private settled(actor: Actor): void {
    if (this.isAbandoned) return;
    this.pending--;
    this.onSettled();
    const waiting = actor.mailbox!;
    actor.mailbox = undefined;
    for (let next = waiting.take(); next; next = waiting.take()) {
      if (actor.mailbox === undefined) this.execute(actor, next);
      else (actor.mailbox as Mailbox).put(next);
    }
    if (actor.isFenced && actor.mailbox === undefined) this.residents.remove(actor);
  }

  private succeed(execution: Execution, value: unknown): void {
    const { actor, command } = execution;
    execution.end();
    let outcome: Outcome | undefined;
    try {
      const reply = value === undefined ? '' : toJson(value, 'result');
      if (command.key !== '') outcome = this.keep(execution, value === undefined ? {} : { value });
      this.snapshots.keep(actor, this.ring);
      const kind = value === undefined ? GroupFlag.nothing : GroupFlag.value;
      const messages = execution.messages > 0 ? GroupFlag.messages : 0;
      const flags = kind | messages | urgency(command);
      this.ring.publish(GroupKind.reply, flags, command.slot, actor.version, reply);
    } catch (error) {
      this.fail(execution, error);
      return;
    }
    this.published(actor, command, outcome);
  }

  private fail(execution: Execution, error: unknown): void {
    const { actor, command } = execution;
    const { name, commandNames } = actor.type;
    execution.undo();
    this.ring.abandon();
    const wire = toWire(tellable(error), { aggregateType: name, command: commandNames[command.commandIndex]! });
    const reply = errorJson(wire);
    try {
      this.owed(() => {
        let outcome: Outcome | undefined;
        if (command.key !== '' && wire.kind === 'rejected')
          outcome = this.keep(execution, { error: JSON.parse(reply) });
        this.ring.publish(GroupKind.reply, urgency(command), command.slot, actor.version, reply);
        this.published(actor, command, outcome);
      });
    } catch (tooLarge) {
      // A rejection is told whole or not at all.
      if (wire.kind !== 'rejected' || !isError(tooLarge, 'CommandTooLarge')) throw tooLarge;
      this.fail(execution, tooLarge);
    }
  }

  /** Answer without having run anything. */
  private refuse(command: Command, type: ActorType, error: unknown): void {
    this.waiting.delete(command.slot);
    const wire = toWire(error, { aggregateType: type.name, command: type.commandNames[command.commandIndex]! });
    this.owed(() => {
      this.ring.publish(GroupKind.reply, urgency(command), command.slot, 0, errorJson(wire));
      this.ringBells(command);
    });
  }

  /** Publish an answer that must not be refused for want of room. Once the log has failed, nobody waits for it. */
  private owed(publish: () => void): void {
    this.mustWait = true;
    try {
      publish();
    } catch (error) {
      this.ring.abandon();
      if (!isError(error, 'LogPoisoned') && !isError(error, 'RuntimeClosed')) throw error;
    } finally {
      this.mustWait = false;
    }
  }

  private published(actor: Actor, command: Command, outcome: Outcome | undefined): void {
    actor.lastPublished = this.ring.published;
    if (outcome) {
      const key = RememberedOutcomes.key(actor.type.name, actor.id, command.key);
      this.remembered.add(key, { version: actor.version, outcome }, this.ring.published);
    }
    this.ringBells(command);
  }

  /**
   * Wake whoever has to know. While commands are being drained, the first one wakes the log thread, and the others are
   * told of in groups: it looks for them by itself within a millisecond, should the next command take long.
   */
  private ringBells(command: Command): void {
    if (this.untold === 0) this.logBell.ring();
    if (this.isDraining) this.untold++;
    if (command.urgent) this.callerBell.ring();
  }

  private keep(execution: Execution, result: Pick<Outcome, 'value' | 'error'>): Outcome {
    return keepOutcome(this.ring, execution, this.levels.keyClock(), this.data.idempotencyTtlMs, result);
  }

  /** The command has been executed before: answer with the first outcome. */
  private repeat(actor: Actor, command: Command): boolean {
    const { name: type, commandNames } = actor.type;
    const first =
      this.remembered.get(RememberedOutcomes.key(type, actor.id, command.key)) ??
      this.loader.outcome(type, actor.id, command.key);
    if (first === undefined || hasExpired(first.outcome, command.key, this.levels.keyClock())) return false;
    const name = commandNames[command.commandIndex]!;
    const { value, error, events, command: firstCommand = name } = first.outcome;
    if (firstCommand !== name) {
      const details = { idempotencyKey: command.key, command: name, firstCommand };
      this.refuse(command, actor.type, new TrunklineError('IdempotencyKeyReused', details));
      return true;
    }
    const reply = JSON.stringify(error ?? ({ value, events } satisfies RepeatedReply));
    this.owed(() => {
      const flags = (error ? 0 : GroupFlag.value) | urgency(command) | GroupFlag.repeated;
      this.ring.publish(GroupKind.reply, flags, command.slot, first.version, reply);
      this.ringBells(command);
    });
    return true;
  }

  /** The caller has given up: tell the command if it is running, and do not begin it if it is waiting. */
  private cancel(slot: number): void {
    const waiting = this.waiting.get(slot);
    if (waiting) waiting.cancelled = true;
    this.running.get(slot)?.cancel(new TrunklineError('Aborted', { executed: 'unknown' }));
  }

  /** Nobody waits any longer: what is under way is told, and publishes nothing more. */
  abandon(): void {
    this.isAbandoned = true;
    for (const execution of this.running.values()) {
      execution.end();
      execution.cancel(new TrunklineError('RuntimeClosed', { state: 'closing' }));
    }
  }

  private waitForRoom(): boolean {
    this.levels.beat(this.data.index);
    if (this.levels.flag(LevelWord.poisoned) !== 0)
      throw new TrunklineError('LogPoisoned', { cause: 'see the runtime' });
    if (this.levels.flag(LevelWord.abandoned) !== 0) throw new TrunklineError('RuntimeClosed', { state: 'closing' });
    if (this.data.whenFull === 'reject' && !this.mustWait) return false;
    this.logBell.ring();
    this.callerBell.ring();
    this.ring.blockForRoom(roomBoundMs);
    return true;
  }
}
