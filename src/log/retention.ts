// How much of the log stays although no cursor needs it any more: the newest bytes, and what is younger than some time. Nothing of it
// while the disk is short: what comes is written in its place.
import { performance } from '../base/clock.ts';
import type { LogWriter } from './lmdb.ts';

const markLimit = 100; // resolution of the time bound: a hundredth of it
const leastShortBytes = 2 << 20;

export class Retention {
  private readonly retainMs: number;
  private readonly retainBytes: number;
  /** When the log had come to which position, oldest first. */
  private marks: { at: number; position: number }[] = [];
  private aged = 0;
  private due = false;
  /** How much the log held when its disk became short. */
  private shortBytes: number | undefined;

  constructor(retainMs: number, retainBytes: number) {
    this.retainMs = retainMs;
    this.retainBytes = retainBytes;
  }

  /**
   * Whether to truncate. A truncation syncs a file, so it comes when a quarter more than what stays has gathered, and then
   * goes on until nothing is left to give back. `isShort`: of disk.
   */
  isDue(usedBytes: number, isShort: boolean): boolean {
    if (isShort) return this.isDueOfShort(usedBytes);
    this.shortBytes = undefined;
    if (usedBytes > this.retainBytes + (this.retainBytes >> 2) + (1 << 20)) this.due = true;
    else if (usedBytes <= this.retainBytes) this.due = false;
    return this.due;
  }

  /** At once, and then each time that half as much as there was has gathered. */
  private isDueOfShort(usedBytes: number): boolean {
    if (this.shortBytes === undefined) this.due = true;
    this.shortBytes ??= Math.max(usedBytes, leastShortBytes);
    if (usedBytes > this.shortBytes / 2) this.due = true;
    return this.due;
  }

  /** Nothing is left to give back: that what stays takes at least `retainBytes` is for the truncation to see. */
  rest(): void {
    this.due = false;
  }

  /** The lowest position to keep, given the lowest one that a cursor needs. */
  floor(needed: number, log: Pick<LogWriter, 'usedBytes' | 'firstPosition'>, nextPosition: number): number {
    if (log.usedBytes <= this.retainBytes) return 0;
    return Math.min(needed, this.agedPosition(nextPosition));
  }

  private agedPosition(nextPosition: number): number {
    if (this.retainMs === 0) return nextPosition;
    const now = performance.now();
    const last = this.marks.at(-1);
    if (!last || now - last.at >= this.retainMs / markLimit) this.marks.push({ at: now, position: nextPosition });
    while (this.marks.length > 0 && now - this.marks[0]!.at >= this.retainMs) this.aged = this.marks.shift()!.position;
    return this.aged;
  }
}
