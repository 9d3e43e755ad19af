// Gives room back to a log that open messages hold: puts them into the message box, durably, so that the log may forget them.
// A slow message would otherwise hold all that comes behind it, and once that fills the log, its own outcome has no room.
// Host thread.
//
// Invariants: a message leaves the log only once it is in the box, and the box only once its outcome is as durable as what
// `settled` asks for; from the turn in which its outcome is read until then, the log keeps the outcome (`Open.outcome`).
import { pause } from '../base/clock.ts';
import { unawaited } from '../base/guarded.ts';
import type { LogSource } from '../log/log.ts';
import { type ControlBlock, Signal } from '../shared/control-block.ts';
import type { LetterBox, Message } from '../wire/message.ts';
import type { Hold, Holds } from './holds.ts';

/** A message that has no durable outcome, and is no dead letter. */
export interface Open {
  readonly message: Message;
  /** Where it stands in the log; released once it is kept in the box. */
  hold: Hold<Holder> | undefined;
  /** Where its outcome stands; undefined: it has none, or `hold` lies before it. */
  outcome: Hold<Holder> | undefined;
  /** It is in the box, or being written there. */
  isKept: boolean;
  /** It has an outcome, or is about to be a dead letter: it is not kept any more. */
  isEnding: boolean;
  /** It was carried out, and the store has refused that. */
  isVoid: boolean;
  /** Who has given it, and may take it back; undefined: the log. */
  readonly watch: Watch | undefined;
}

/** It is not to be delivered any more. What it did, and the store has refused, is to be done all the same. */
export const isOver = ({ isVoid, watch }: Open): boolean => !isVoid && watch?.isOver() === true;

/** Who watches over a message. */
export interface Watch {
  /** It is not wanted any more: asked before each attempt. */
  isOver(): boolean;
  /** It has an outcome: where it was kept it is no more, durably. */
  release(message: Message): Promise<void>;
  /** It has ended: so, or as a dead letter. */
  ended(): void;
}

/** Messages that are not in memory; the hold is at the first one that is not in the box. */
export interface Unloaded {
  readonly isBusy: boolean;
  /** The first ones below the floor, a bounded part, are kept in the box; whether there were any. */
  keep(log: LogSource, box: LetterBox, floor: number): Promise<boolean>;
}

export type Holder = Open | Unloaded;

const keptAtOnce = 500;
/** Each reads some messages into memory. */
const unloadedAtOnce = 8;
/** While the log wants room that the sinks do not give back yet. */
const lookAgainMs = 10;
const retryMs = 1_000;

export class Relief {
  private readonly control: ControlBlock;
  private readonly holds: Holds<Holder>;
  private readonly hasStopped: () => boolean;
  private box: LetterBox | undefined;
  private log: LogSource | undefined;
  private isRunning = false;

  constructor(control: ControlBlock, holds: Holds<Holder>, hasStopped: () => boolean) {
    this.control = control;
    this.holds = holds;
    this.hasStopped = hasStopped;
  }

  begin(box: LetterBox, log: LogSource): void {
    this.box = box;
    this.log = log;
  }

  /** The log thread wants room that messages hold (`heldByMessages`), and no run that gives it has begun. */
  get isDue(): boolean {
    return !this.isRunning && this.box !== undefined && !this.holds.isEmpty && this.isWanted && !this.hasStopped();
  }

  private get isWanted(): boolean {
    return this.control.flag(Signal.heldByMessages) !== 0;
  }

  /** Called in every turn of the caller. */
  look(): void {
    if (!this.isDue) return;
    this.isRunning = true;
    unawaited(this.run(this.box!));
  }

  private async run(box: LetterBox): Promise<void> {
    try {
      while (this.isWanted && !this.holds.isEmpty && !this.hasStopped()) await this.step(box);
    } finally {
      this.isRunning = false;
    }
  }

  private async step(box: LetterBox): Promise<void> {
    // From the sinks' floor on the log could not truncate anyway; below it everything is synced.
    const floor = this.control.position('floor');
    const found = this.holds.below(floor, keptAtOnce, (of) => ('keep' in of ? !of.isBusy : !of.isKept && !of.isEnding));
    const opens = found.filter((of) => !('keep' in of)) as Open[];
    const unloaded = found.filter((of) => 'keep' in of).slice(0, unloadedAtOnce) as Unloaded[];
    try {
      const have = await Promise.all([this.keep(box, opens), ...unloaded.map((of) => of.keep(this.log!, box, floor))]);
      if (!have.includes(true)) await pause(lookAgainMs);
    } catch {
      if (!this.hasStopped()) await pause(retryMs); // the messages stay in the log
    }
  }

  private async keep(box: LetterBox, opens: readonly Open[]): Promise<boolean> {
    if (opens.length === 0) return false;
    await box.keep(opens, (open) => {
      if (!open.isEnding) open.isKept = true;
      return open.isKept;
    });
    for (const { isKept, hold } of opens) if (isKept) this.holds.release(hold);
    return true;
  }
}
