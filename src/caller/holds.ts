// What messages still need of the log: nothing from a hold's position on counts as done. `settled` is published as the last
// position before the first hold; the log, and what the store keeps of outcomes, go by it. Caller's thread.
//
// Invariants: a hold is never added at or below what has been published; nothing is published before the last run's messages
// are known.
import type { Levels } from '../log/levels.ts';

export interface Hold<Of> {
  readonly position: number;
  /** Whose it is: the message at that position; undefined: an outcome's. */
  readonly of: Of | undefined;
  isReleased: boolean;
}

export class Holds<Of> {
  private readonly levels: Levels;
  /** In log order, from `first` on; the first one is not released. */
  private holds: Hold<Of>[] = [];
  private first = 0;
  /** All messages and outcomes up to here have been read. */
  private seen = 0;
  private published = -1;
  /** Until the last run's messages are known, nothing counts as done: a chunk that said so would lose them to a kill. */
  private hasBegun = false;

  constructor(levels: Levels) {
    this.levels = levels;
  }

  begin(): void {
    this.hasBegun = true;
  }

  get isEmpty(): boolean {
    return this.first === this.holds.length;
  }

  add(position: number, of?: Of): Hold<Of> {
    const hold: Hold<Of> = { position, of, isReleased: false };
    const { holds } = this;
    // Each ring is in log order; what several bring in one turn is not.
    let at = holds.length;
    while (at > this.first && holds[at - 1]!.position > position) at--;
    if (at === holds.length) holds.push(hold);
    else holds.splice(at, 0, hold);
    return hold;
  }

  release(hold: Hold<Of> | undefined): void {
    if (hold === undefined || hold.isReleased) return;
    hold.isReleased = true;
    this.publish();
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
    if (this.first > 64 && this.first * 2 > this.holds.length) {
      this.holds = this.holds.slice(this.first);
      this.first = 0;
    }
    const first = this.holds[this.first];
    const settled = first === undefined ? this.seen : Math.min(this.seen, first.position - 1);
    if (settled === this.published) return;
    this.published = settled;
    this.levels.publish('settled', settled);
  }
}
