// What messages still need of the log: nothing from a hold's position on counts as done. `settled` is published as the last
// position before the first hold; the log, and what the store keeps of outcomes, go by it. Host thread.
//
// Invariants: a hold is never added at or below what has been published; nothing is published before the last run's messages
// are known; of the holds that are kept, at most half and some have been released, since each may keep a message in memory.
import type { ControlBlockWriter } from '../shared/control-block.ts';

export interface Hold<Of> {
  readonly position: number;
  /** Whose it is: the message at that position; undefined: an outcome's. */
  readonly of: Of | undefined;
  isReleased: boolean;
}

const releasedLeast = 64;

export class Holds<Of> {
  private readonly control: ControlBlockWriter<'host'>;
  /** In log order, from `first` on; the first one is not released. */
  private holds: Hold<Of>[] = [];
  private first = 0;
  private releasedCount = 0;
  /** All messages and outcomes up to here have been read. */
  private seen = 0;
  private published = -1;
  /** Until the last run's messages are known, nothing counts as done: a chunk that said so would lose them to a kill. */
  private hasBegun = false;

  constructor(control: ControlBlockWriter<'host'>) {
    this.control = control;
  }

  begin(): void {
    this.hasBegun = true;
  }

  /** Released ones among them. */
  get size(): number {
    return this.holds.length;
  }

  get isEmpty(): boolean {
    return this.first === this.holds.length;
  }

  add(position: number, of?: Of): Hold<Of> {
    const hold: Hold<Of> = { position, of, isReleased: false };
    const { holds } = this;
    // Each ring is in log order; what several bring in one turn is not, nor is what has waited outside of memory.
    if (holds.length === this.first || holds.at(-1)!.position <= position) holds.push(hold);
    else holds.splice(this.behind(position), 0, hold);
    return hold;
  }

  /** Where the first one behind a position stands. */
  private behind(position: number): number {
    let [low, high] = [this.first, this.holds.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.holds[middle]!.position > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  release(hold: Hold<Of> | undefined): void {
    if (hold === undefined || hold.isReleased) return;
    hold.isReleased = true;
    this.releasedCount++;
    this.publish();
    if (this.releasedCount > releasedLeast && this.releasedCount * 2 > this.holds.length) this.forgetReleased();
  }

  private forgetReleased(): void {
    this.holds = this.holds.filter(({ isReleased }) => !isReleased);
    this.first = 0;
    this.releasedCount = 0;
  }

  /** Those of messages below a position that fit, the oldest first, so many at most. */
  below(position: number, most: number, fits: (of: Of) => boolean): Of[] {
    const found: Of[] = [];
    for (let at = this.first; at < this.holds.length && found.length < most; at++) {
      const hold = this.holds[at]!;
      if (hold.position >= position) break;
      if (!hold.isReleased && hold.of !== undefined && fits(hold.of)) found.push(hold.of);
    }
    return found;
  }

  /** All messages and outcomes up to `written` have been read. */
  readUpTo(written: number): void {
    this.seen = written;
    this.publish();
  }

  private publish(): void {
    if (!this.hasBegun) return;
    while (this.holds[this.first]?.isReleased) this.first++;
    const first = this.holds[this.first];
    const settled = first === undefined ? this.seen : Math.min(this.seen, first.position - 1);
    if (settled === this.published) return;
    this.published = settled;
    this.control.publish('settled', settled);
  }
}
