// How far a subscription has come, while events are handled side by side: a low-water mark below which everything is done,
// and the ranges above it that are done already. Owned by the host thread.
//
// Invariant: what lies below the mark or in a range is handled, parked, or of no interest to the subscription.

import { DoneRanges } from '../handler-state/done-ranges.ts';
import { pageBytes } from '../store/page-bytes.ts';

/** `window` bounds events by number; a few large ones are as many: four pages of them. */
const openBytes = 4 * pageBytes;

/** An event in progress. */
export interface Pending {
  readonly position: number;
  /** Of the event in memory, at least. */
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly occurredAt: number;
  done: boolean;
}

interface Run {
  first: number;
  last: number;
  count: number;
}

export class Tracker {
  // In position order: events in progress, and runs of done positions between them.
  private line: (Pending | Run)[] = [];
  private head = 0;
  private scannedTo: number;
  private readonly earlier: DoneRanges;
  /** Events above the low-water mark, done or not. */
  count = 0;
  /** Of those that are not done. */
  private bytes = 0;

  /** Everything up to `scannedTo`, and in the ranges that an earlier run has done above it, is done. */
  constructor(scannedTo: number, done: readonly number[] = []) {
    this.scannedTo = scannedTo;
    this.earlier = new DoneRanges(done);
  }

  /** Whether an earlier run has done it; asked in ascending order. */
  wasDone(position: number): boolean {
    return this.earlier.has(position);
  }

  get low(): number {
    const first = this.line[this.head];
    return first === undefined ? this.scannedTo : firstOf(first) - 1;
  }

  /** Whether the events that are not done, which are all in memory, have so many bytes that no other should join them. */
  get isHeavy(): boolean {
    return this.bytes >= openBytes;
  }

  get isIdle(): boolean {
    return this.head === this.line.length;
  }

  /** The oldest event that is not done; undefined if there is none. */
  get oldest(): Pending | undefined {
    const first = this.line[this.head];
    return first === undefined || 'count' in first ? undefined : first;
  }

  /** Everything up to here has been looked at, and what was of interest has begun. */
  scanned(position: number): void {
    if (position > this.scannedTo) this.scannedTo = position;
  }

  begin(position: number, occurredAt: number, bytes = 0): Pending {
    const pending: Pending = { position, bytes, occurredAt, done: false };
    this.bytes += bytes;
    this.line.push(pending);
    this.count++;
    this.scanned(position);
    return pending;
  }

  /** An event that was done at once. */
  passed(position: number): void {
    this.scanned(position);
    if (this.isIdle) return;
    const last = this.line.at(-1)!;
    this.count++;
    if ('count' in last) {
      last.last = position;
      last.count++;
    } else this.line.push({ first: position, last: position, count: 1 });
  }

  complete(pending: Pending): void {
    if (!pending.done) this.bytes -= pending.bytes;
    pending.done = true;
    const { line } = this;
    for (let first = line[this.head]; first !== undefined; first = line[this.head]) {
      if ('count' in first) this.count -= first.count;
      else if (first.done) this.count--;
      else break;
      this.head++;
    }
    if (this.head === line.length || this.head > 4096) {
      this.line = line.slice(this.head);
      this.head = 0;
    }
  }

  /** What is done above the low-water mark, as `CheckpointRecord.done`. */
  done(): number[] {
    const ranges: number[] = [];
    let open = false;
    for (let i = this.head; i < this.line.length; i++) {
      const entry = this.line[i]!;
      const isDone = 'count' in entry || entry.done;
      if (!isDone) open = false;
      else if (open) ranges[ranges.length - 1] = lastOf(entry);
      else {
        ranges.push(firstOf(entry), lastOf(entry));
        open = true;
      }
    }
    return ranges.concat(this.earlier.beyond(this.scannedTo));
  }
}

const firstOf = (entry: Pending | Run): number => ('count' in entry ? entry.first : entry.position);
const lastOf = (entry: Pending | Run): number => ('count' in entry ? entry.last : entry.position);
