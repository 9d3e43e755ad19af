// The messages of a lane that wait behind those in memory: positions, eight bytes each. They are read from the log, or from the
// message box, when their turn comes. Host thread.
//
// Invariants: positions ascend, and lie behind all of the lane that are in memory. The log keeps what is not in the box
// (`hold`), and the outcomes that a start has found of those that are (`outcomes`). Reading and keeping exclude each other, so
// what is read from the box is durable there.
import type { LogSource } from '../log/log.ts';
import type { LetterBox } from '../wire/message.ts';
import { type Held, positionBytes } from './held.ts';
import type { Hold, Holds } from './holds.ts';
import type { Holder, Unloaded } from './relief.ts';
import { messagesAt, type Placed } from './stretch.ts';

const readAtOnce = 64;

export class Later implements Unloaded {
  private readonly holds: Holds<Holder>;
  private readonly held: Held;
  private positions = new Float64Array(16);
  private first = 0;
  private end = 0;
  /** At the first one that is not in the box. */
  private hold: Hold<Holder> | undefined;
  /** At the first outcome. */
  private outcomes: Hold<Holder> | undefined;
  private isReading = false;
  private keeping: Promise<void> | undefined;

  constructor(holds: Holds<Holder>, held: Held) {
    this.holds = holds;
    this.held = held;
  }

  get size(): number {
    return this.end - this.first;
  }

  /** `outcome`: where the outcome stands that it has in the log. */
  push(position: number, isKept: boolean, outcome: number | undefined): void {
    if (this.end === this.positions.length) this.makeRoom();
    this.positions[this.end++] = position;
    this.held.take(positionBytes);
    if (!isKept) this.hold ??= this.holds.add(position, this);
    if (outcome !== undefined && outcome < (this.outcomes?.position ?? Number.POSITIVE_INFINITY)) {
      const before = this.outcomes;
      this.outcomes = this.holds.add(outcome);
      this.holds.release(before);
    }
  }

  private makeRoom(): void {
    const { size } = this;
    const next = size * 2 > this.positions.length ? new Float64Array(size * 2) : this.positions;
    next.set(this.positions.subarray(this.first, this.end));
    this.positions = next;
    this.first = 0;
    this.end = size;
  }

  /** The first ones, so many at most, leave; `take` is called for each. */
  async load(log: LogSource, box: LetterBox, most: number, take: (placed: Placed) => void): Promise<void> {
    while (this.keeping !== undefined) await this.keeping;
    this.isReading = true;
    try {
      for (const placed of await messagesAt(log, box, this.from(this.first, Math.min(most, readAtOnce)))) {
        take(placed);
        this.first++;
        this.held.release(positionBytes);
        this.movePast(placed.message.position);
      }
    } finally {
      this.isReading = false;
    }
    if (this.size > 0) return;
    this.holds.release(this.outcomes);
    this.outcomes = undefined;
  }

  private from(first: number, most: number): number[] {
    return [...this.positions.subarray(first, Math.min(this.end, first + most))];
  }

  /** Up to here none is for the log to keep. The next hold is there before this one goes. */
  private movePast(position: number): void {
    const before = this.hold;
    if (before === undefined || before.position > position) return;
    const next = this.after(position);
    this.hold = next === this.end ? undefined : this.holds.add(this.positions[next]!, this);
    this.holds.release(before);
  }

  /** Where the first one behind a position stands. */
  private after(position: number): number {
    let [low, high] = [this.first, this.end];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.positions[middle]! > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  get isBusy(): boolean {
    return this.isReading || this.keeping !== undefined;
  }

  async keep(log: LogSource, box: LetterBox, floor: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.keeping = promise;
    try {
      const from = this.after(this.hold!.position - 1);
      const below = this.from(from, readAtOnce).filter((position) => position < floor);
      const placed = await messagesAt(log, box, below);
      await box.keep(
        placed.filter(({ isKept }) => !isKept),
        () => true,
      );
      if (placed.length > 0) this.movePast(placed.at(-1)!.message.position);
      return placed.length > 0;
    } finally {
      this.keeping = undefined;
      resolve();
    }
  }
}
