// A shard: one thread that runs many actors, one command at a time for each. Takes commands from its command ring, lets
// the user's functions decide, and publishes what they raised, with the reply, into its event ring.
//
// An exception of one command becomes that command's reply (`contain`), and the shard goes on; any other ends the thread.
//
// Invariants: a command's frames are published whole, by one store, after the command has succeeded; a reply is behind its
// frames in the same group; an actor runs its next command when the last one has ended, asynchronous ones included.

import { dateMs, monotonicMs } from '../base/clock.ts';
import { describeError, TrunklineError } from '../base/errors.ts';
import { checkedJson, list } from '../base/json.ts';
import { isThenable } from '../base/thenable.ts';
import { isMessageKey } from '../model/receipt.ts';
import { ShardControlBlock } from '../shared/control-block.ts';
import { RingConsumer } from '../shared/ring/consumer.ts';
import type { RingProducer } from '../shared/ring/producer.ts';
import { GroupKind, RingSealed, Word } from '../shared/ring/ring.ts';
import { FrameReader } from '../wire/frame.ts';
import { type Actor, type ActorType, definitionOf } from './actor.ts';
import { ActorCache } from './actor-cache.ts';
import { ActorLoading } from './actor-loading.ts';
import { Asks } from './asks.ts';
import { AsynchronousCommands } from './asynchronous.ts';
import { Command } from './command.ts';
import type { ShardData } from './contract.ts';
import { Endings } from './endings.ts';
import { Execution, type ExecutionEnvironment } from './execution.ts';
import { Fencing } from './fencing.ts';
import type { Loader } from './loader.ts';
import { LogGate } from './log-gate.ts';
import { Mailbox } from './mailbox.ts';
import { OutcomeCache } from './outcome-cache.ts';
import { Outgoing } from './outgoing.ts';
import { Room } from './room.ts';
import { Snapshots } from './snapshots.ts';
import { StoredHorizon } from './stored-horizon.ts';

const noInput: unknown[] = [];
/** A message: earlier ones of its sender, which the fence has voided, are to be delivered before it. */
const fenced = { reason: 'the store has refused earlier events of its target' };
const passivationsPerSweep = 1024; // bounds a sweep to some 100 µs

export class Shard {
  readonly control: ShardControlBlock;
  /** Asynchronous commands in progress. */
  pending = 0;
  private readonly data: ShardData;
  private readonly types: readonly ActorType[];
  private readonly commands: RingConsumer;
  private readonly outgoing: Outgoing;
  private readonly ring: RingProducer;
  private readonly frame: FrameReader;
  private readonly actorCache: ActorCache;
  private readonly actorLoading: ActorLoading;
  private readonly fencing: Fencing;
  private readonly room: Room;
  private readonly outcomeCache = new OutcomeCache();
  private readonly horizon: StoredHorizon;
  private readonly asks: Asks;
  private readonly endings: Endings;
  private readonly gate: LogGate;
  private readonly surroundings: ExecutionEnvironment;
  private readonly running: AsynchronousCommands;
  /** Those behind them in a mailbox, and those that the gate holds, by slot. */
  private readonly waiting = new Map<number, Command>();
  private onSettled: () => void = () => {};
  private broken: unknown;
  /** By the monotonic clock, as of the last turn. */
  private now = monotonicMs();

  constructor(data: ShardData, types: readonly ActorType[], loader: Loader, context: object) {
    this.data = data;
    this.types = types;
    this.control = new ShardControlBlock(data.index, data.controlBlock);
    this.commands = new RingConsumer(data.commandRing, Word.tail, data.outbox);
    this.frame = new FrameReader(this.commands.bytes);
    this.outgoing = new Outgoing(data, this.control);
    this.ring = this.outgoing.ring;
    this.actorCache = new ActorCache(types, data.actorLimit, data.actorIdleMs);
    this.room = new Room(this.actorCache, this.outcomeCache, this.control, data.actorLimit);
    this.actorLoading = new ActorLoading(loader, this.actorCache, data.mailboxLimit, {
      arrived: (actor) => this.settled(actor),
      refused: (command, type, error) => this.refuse(command, type, error),
      failed: (error) => this.fail(error),
    });
    this.fencing = new Fencing(types, this.actorCache, this.outcomeCache, loader, this.outgoing);
    this.gate = new LogGate(this.control, (command) => this.hasRoom(command));
    this.horizon = new StoredHorizon(this.ring, this.control);
    const snapshots = new Snapshots(data.groupLimit / 8, (warning) => data.outbox.postMessage(warning));
    const { outgoing, control, outcomeCache, commands } = this;
    this.endings = new Endings(data, { outgoing, commands, control, outcomeCache, loader, snapshots });
    this.running = new AsynchronousCommands(this.ring, this.endings, data.groupLimit, {
      ended: (actor) => this.settled(actor),
      unexpected: ({ actor, command }, error) => this.contain(actor.type, command, error),
      failed: (error) => this.fail(error),
    });
    this.asks = new Asks(this.outgoing, data.askDeadlineMs);
    this.surroundings = {
      context,
      dateMs,
      definition: (name) => definitionOf(types, name),
      ask: (...question) => this.asks.ask(...question),
    };
  }

  /** What went wrong in this class itself: the thread must end. */
  get failure(): unknown {
    return this.broken;
  }

  /** Called when the next asynchronous command has settled, in place of what was called before. */
  whenSettled(call: () => void): void {
    this.onSettled = call;
  }

  hasWork(): boolean {
    return this.commands.published() !== this.commands.cursor || this.commands.isSealed || this.gate.hasReleased;
  }

  /**
   * Take and run up to `most` commands; returns how many there were.
   * @throws RingSealed: this shard has been replaced, and must end
   */
  drain(most: number): number {
    if (this.commands.isSealed) throw new RingSealed();
    const limit = this.commands.published();
    let count = 0;
    this.now = monotonicMs();
    this.outgoing.beginDrain();
    try {
      for (let held = this.gate.release(); held; held = this.gate.release())
        this.dispatch(held, this.types[held.typeIndex]!);
      for (; count < most && this.commands.take(limit); count++) this.takeGroup();
    } finally {
      this.outgoing.endDrain();
      if (count > 0) this.commands.ringRoom();
    }
    return count;
  }

  /** The next of the users' commands waits for the store. */
  get isHeldUp(): boolean {
    return this.gate.waitsForStore;
  }

  private hasRoom(command: Command): boolean {
    const type = this.types[command.typeIndex]!;
    return this.room.isFor(type, command, this.pending, this.now, this.horizon.storedBytes);
  }

  private takeGroup(): void {
    const { commands, frame } = this;
    if (commands.kind === GroupKind.command) {
      const command = new Command(commands, frame);
      // Given back before it runs: a command that kills its thread does not reach the next one.
      commands.release();
      this.begin(command);
      return;
    }
    // A fence that fails ends the thread: the caller waits for its end, and tells the successor of it again.
    if (commands.kind === GroupKind.fence) this.fencing.take(commands, frame);
    else this.passOn();
    commands.release();
  }

  private passOn(): void {
    try {
      if (this.commands.kind === GroupKind.answer) this.asks.settle(this.commands, this.frame);
      else this.cancel(this.commands.slot);
    } catch (error) {
      this.warn('an answer or an abort could not be passed on', error);
    }
  }

  /** Now, or once the store has come nearer. */
  private begin(command: Command): void {
    const type = this.types[command.typeIndex]!;
    try {
      if (this.gate.keeps(command, this.room.limit)) this.waiting.set(command.slot, command);
      else this.dispatch(command, type);
    } catch (error) {
      this.contain(type, command, error);
    }
  }

  /** Now and then: see how far the store is, and let actors go that it can bring back. */
  sweep(): void {
    this.now = monotonicMs();
    this.horizon.update();
    this.outcomeCache.forget(this.horizon.storedBytes);
    this.actorCache.passivate(this.now, this.horizon.storedBytes, passivationsPerSweep);
    this.control.setActors(this.actorCache.count);
  }

  /** Before the mailbox comes the gate: a command that is held there has later ones of its actor behind it. */
  private dispatch(command: Command, type: ActorType): void {
    if (this.isHeld(type, command)) return;
    const actor = this.find(type, command);
    if (actor === undefined) return;
    if (actor.mailbox !== undefined) {
      const limit = this.data.mailboxLimit;
      if (actor.mailbox.put(command)) {
        this.waiting.set(command.slot, command);
        return;
      }
      this.refuse(
        command,
        type,
        new TrunklineError('MailboxFull', { aggregateType: type.definition.name, id: actor.id, limit }),
      );
      return;
    }
    this.execute(actor, command);
    if (command.isRead) this.room.letGo(actor, this.horizon.storedBytes);
  }

  /** Whether it may not begin now, and waits for room in the log, or has been refused. */
  private isHeld(type: ActorType, command: Command): boolean {
    try {
      if (!this.gate.holds(command)) return false;
      this.waiting.set(command.slot, command);
    } catch (error) {
      this.contain(type, command, error);
    }
    return true;
  }

  private execute(actor: Actor, command: Command): void {
    try {
      this.run(actor, command);
    } catch (error) {
      this.contain(actor.type, command, error);
    }
  }

  /**
   * An unexpected exception concerns its command and nothing else: that has its answer, and the shard goes on.
   * What the command has raised is undone or published by now: both its ends begin with that.
   */
  private contain(type: ActorType, command: Command, error: unknown): void {
    if (error instanceof RingSealed) throw error;
    this.ring.abandon();
    if (!(error instanceof TrunklineError)) this.warn('an unexpected exception of one command', error);
    if (!command.isAnswered) this.refuse(command, type, error);
  }

  private warn(message: string, error: unknown): void {
    this.data.outbox.postMessage({ type: 'warning', message, details: { err: describeError(error) } });
  }

  /** The actor, loaded if it is not here; undefined if that failed, which the caller has learnt. */
  private find(type: ActorType, command: Command): Actor | undefined {
    const resident = this.actorCache.get(type, command.id);
    if (resident !== undefined) {
      this.actorCache.touch(resident, this.now);
      return resident;
    }
    try {
      const { published } = this.ring;
      const actor = this.actorLoading.bring(type, command.id, this.now, () => this.ring.writtenBytes() >= published);
      if (actor.mailbox) this.pending++;
      return actor;
    } catch (error) {
      this.refuse(command, type, error);
      return undefined;
    }
  }

  private run(actor: Actor, command: Command): void {
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
    if (command.key !== '' && this.endings.repeat(actor, command)) return;
    const execution = new Execution(actor, command, this.ring, this.surroundings);
    if (actor.timers?.isLatest(command.key) === false) return this.endings.succeed(execution, undefined);
    let result: unknown;
    let isAsynchronous: boolean;
    try {
      const input =
        command.inputJson === '[]' ? noInput : checkedJson(command.inputJson, list, 'the input of a command');
      result = type.commands[command.commandIndex]!(execution, ...input);
      isAsynchronous = isThenable(result);
      if (isAsynchronous) result = Promise.resolve(result);
    } catch (error) {
      this.endings.fail(execution, error);
      return;
    }
    if (isAsynchronous) this.await(execution, result as Promise<unknown>);
    else this.endings.succeed(execution, result);
  }

  /** The command has turned out to be asynchronous: other commands of its actor wait. */
  private await(execution: Execution, result: Promise<unknown>): void {
    this.running.begin(execution, result);
    execution.actor.mailbox = new Mailbox(this.data.mailboxLimit);
    this.pending++;
  }

  fail(error: unknown): void {
    this.broken = error;
    this.onSettled();
  }

  /** What an actor's commands have waited for has ended. If one is asynchronous again, the rest moves into its mailbox. */
  private settled(actor: Actor): void {
    if (this.running.isAbandoned) return;
    this.pending--;
    this.onSettled();
    const waiting = actor.mailbox!;
    actor.mailbox = undefined;
    const hasGone = this.fencing.settled(actor);
    for (let next = waiting.take(); next; next = waiting.take()) {
      if (hasGone && isMessageKey(next.key)) this.refuse(next, actor.type, new TrunklineError('NotExecuted', fenced));
      else if (hasGone) this.dispatch(next, actor.type);
      else if (this.isHeld(actor.type, next)) continue;
      else if (actor.mailbox === undefined) this.execute(actor, next);
      else (actor.mailbox as Mailbox).put(next);
    }
    this.room.letGo(actor, this.horizon.storedBytes);
  }

  /** Answer without having run anything. */
  private refuse(command: Command, type: ActorType, error: unknown): void {
    this.waiting.delete(command.slot);
    this.outgoing.refuse(command, type, error);
  }

  /** The caller has given up: tell the command if it is running, and do not begin it if it is waiting. */
  private cancel(slot: number): void {
    const waiting = this.waiting.get(slot);
    if (waiting) waiting.cancelled = true;
    this.running.cancel(slot);
  }

  /** No caller waits any longer: what is in progress learns it, and publishes nothing more. */
  abandon(): void {
    this.running.abandon();
  }
}
