// What stands between users' commands and what they would add to: a log that is nearly full, or what a shard keeps until a
// store that is behind has it (room.ts). Commands of users that have not begun wait here, beside the ring, or are refused
// (`whenFull: 'reject'`). Internal traffic (messages, answers, fences) goes past: it is what frees the log; so do reads of a
// state, which add nothing. Owned by a shard's thread.
//
// Invariants: users' commands begin in the order of their coming, those that were held and those that were not: while one is
// held, each that has come later waits behind it, whatever the log says meanwhile. An internal command, or a read, is never held.
import { TrunklineError } from '../base/errors.ts';
import { type ControlBlock, Signal } from '../shared/control-block.ts';
import { LogRoom, logFull } from '../shared/log-signals.ts';
import type { Command } from './command.ts';

export class LogGate {
  private readonly control: ControlBlock;
  private readonly hasRoom: (command: Command) => boolean;
  /** The next one waits for the store, which does not ring. */
  waitsForStore = false;
  private held: Command[] = [];
  private first = 0;

  /** `hasRoom`: whether what the store does not have yet leaves room for the command. */
  constructor(control: ControlBlock, hasRoom: (command: Command) => boolean) {
    this.control = control;
    this.hasRoom = hasRoom;
  }

  /**
   * Before its actor is looked for: keep it until the store has come nearer, and behind what is kept already.
   * `limit`: see `actorLimit`. @throws TooManyUnstored
   */
  keeps(command: Command, limit: number): boolean {
    if (command.needsNoRoom || (!this.isHolding && this.hasRoom(command))) return false;
    if (this.rejects && !this.isHolding) throw new TrunklineError('TooManyUnstored', { limit });
    if (!this.isHolding) this.waitsForStore = true;
    this.held.push(command);
    return true;
  }

  private get isHolding(): boolean {
    return this.first < this.held.length;
  }

  /** Keep it until the log has room, if it may not begin now. @throws LogFull */
  holds(command: Command): boolean {
    if (command.needsNoRoom) return false;
    const isShut = this.isShut;
    if (!isShut && (!this.isHolding || command.order < this.held[this.first]!.order)) return false;
    if (isShut && this.rejects) throw logFull(this.control, this.control.position('admitBytes'));
    this.insert(command);
    return true;
  }

  /** Mostly at the end. One that was held before, or has waited in a mailbox, has come before some that are here. */
  private insert(command: Command): void {
    const { held } = this;
    let at = held.length;
    while (at > this.first && held[at - 1]!.order > command.order) at--;
    if (at === held.length) held.push(command);
    else if (at === this.first && at > 0) held[--this.first] = command;
    else held.splice(at, 0, command);
  }

  /** Whether there are commands that need wait no longer. */
  get hasReleased(): boolean {
    return this.isHolding && !this.isShut;
  }

  /** The next of them. */
  release(): Command | undefined {
    this.waitsForStore = false;
    if (!this.hasReleased) return undefined;
    const command = this.held[this.first]!;
    this.waitsForStore = !this.hasRoom(command);
    if (this.waitsForStore) return undefined;
    this.first++;
    if (this.first === this.held.length || (this.first > 64 && this.first * 2 > this.held.length)) {
      this.held = this.held.slice(this.first);
      this.first = 0;
    }
    return command;
  }

  private get rejects(): boolean {
    return this.control.flag(Signal.rejectsWhenFull) !== 0;
  }

  /** Where commands are rejected, those already let in have some room more. */
  private get isShut(): boolean {
    const room = this.control.flag(Signal.full);
    return room !== LogRoom.plenty && (room === LogRoom.reserve || !this.rejects);
  }
}
