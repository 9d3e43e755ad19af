// What a shard has to say: its event ring, and the notifiers of those who read it. Owned by the shard's thread.
//
// Invariants: a command has one reply at most; the ring's reader is woken for every reply, at the latest when it would
// otherwise sleep; a reply that is owed waits for room, whatever `whenFull` says.
import { isError, TrunklineError } from '../base/errors.ts';
import { toWire } from '../base/wire-error.ts';
import { type ShardControlBlock, Signal } from '../shared/control-block.ts';
import type { Notifier } from '../shared/notifier.ts';
import { RingProducer } from '../shared/ring/producer.ts';
import { GroupFlag, GroupKind } from '../shared/ring/ring.ts';
import { errorJson } from '../wire/payload.ts';
import type { Actor, ActorType } from './actor.ts';
import { writeBasis } from './basis.ts';
import type { Command } from './command.ts';
import type { ShardData } from './contract.ts';
import { repeatedReply } from './outcome.ts';
import type { CachedOutcome } from './outcome-cache.ts';

const roomBoundMs = 100; // how long a full ring may keep the thread from looking at its flags
// A wake-up costs the waker as much as two or three commands; the log thread would find one frame each time.
const commandsPerRing = 128;

export class Outgoing {
  readonly ring: RingProducer;
  private readonly control: ShardControlBlock;
  private readonly isStoreElsewhere: boolean;
  private readonly logNotifier: Notifier;
  private readonly hostNotifier: Notifier;
  private mustWait = false;
  private isDraining = false;
  private unsignalled = 0;

  constructor(data: ShardData, control: ShardControlBlock) {
    this.control = control;
    this.isStoreElsewhere = data.store !== undefined;
    this.logNotifier = control.notifier(Signal.logNotifier);
    this.hostNotifier = control.notifier(Signal.hostNotifier, data.outbox);
    this.ring = new RingProducer(data.eventRing, () => this.waitForRoom());
  }

  /** The group under construction becomes the command's reply. */
  reply(command: Command, flags: number, version: number, json: string): void {
    const ackOnRaise = command.ackOnRaise ? GroupFlag.ackOnRaise : 0;
    this.ring.publish(GroupKind.reply, flags | ackOnRaise, command.slot, version, json);
    command.isAnswered = true;
    this.notifyReaders(command.ackOnRaise);
  }

  /** The answer under construction has no events: it rests on the actor's state; see `basis.ts`. */
  rest(actor: Actor, command: Command): void {
    if (this.isStoreElsewhere && command.awaitsStored) writeBasis(this.ring, actor);
  }

  /** Answer with the outcome of an earlier command. */
  repeat(actor: Actor, command: Command, { outcome, version }: CachedOutcome): void {
    const flags = (outcome.error ? 0 : GroupFlag.value) | GroupFlag.repeated;
    this.owed(() => {
      if (outcome.events === 0) this.rest(actor, command);
      this.reply(command, flags, version, repeatedReply(outcome));
    });
  }

  /** Answer without having run anything. */
  refuse(command: Command, type: ActorType, error: unknown): void {
    const { definition, commandNames } = type;
    const wire = toWire(error, { aggregateType: definition.name, command: commandNames[command.commandIndex]! });
    this.owed(() => this.reply(command, 0, 0, errorJson(wire)));
  }

  /** Publish an answer that must not be refused for want of room. Once the log has failed, no caller waits for it. */
  owed(publish: () => void): void {
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

  /** From here to {@link endDrain} replies follow each other closely. */
  beginDrain(): void {
    this.isDraining = true;
  }

  endDrain(): void {
    this.isDraining = false;
    if (this.unsignalled > 1) this.logNotifier.notify();
    this.unsignalled = 0;
  }

  /** A question of a command that runs: it waits for room, too. */
  ask(write: (ring: RingProducer) => void): void {
    this.mustWait = true;
    try {
      write(this.ring);
    } catch (error) {
      this.ring.abandon();
      throw error;
    } finally {
      this.mustWait = false;
    }
    this.asked();
  }

  /** Something is in the ring that the caller waits for. */
  asked(): void {
    this.logNotifier.notify();
  }

  /**
   * Wake the threads that have to know. While commands are being drained, the first one wakes the log thread, and then every 128th
   * does; in between it is left napping, since it looks by itself in a moment, but not sleeping.
   */
  private notifyReaders(ackOnRaise: boolean): void {
    if (!this.isDraining || this.unsignalled === 0 || this.unsignalled === commandsPerRing) {
      this.logNotifier.notify();
      this.unsignalled = 0;
    } else {
      this.logNotifier.notifyUnlessNapping();
    }
    if (this.isDraining) this.unsignalled++;
    if (ackOnRaise) this.hostNotifier.notify();
  }

  private waitForRoom(): boolean {
    this.control.beat();
    if (this.control.isPoisoned) throw new TrunklineError('LogPoisoned', { cause: 'see the runtime' });
    if (this.control.flag(Signal.abandoned) !== 0) throw new TrunklineError('RuntimeClosed', { state: 'closing' });
    if (this.control.flag(Signal.rejectsWhenFull) !== 0 && !this.mustWait) return false;
    this.logNotifier.notify();
    this.hostNotifier.notify();
    this.ring.blockForRoom(roomBoundMs);
    return true;
  }
}
