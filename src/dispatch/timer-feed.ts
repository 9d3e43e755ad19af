// The timers that commands set and cancel, as the host's turns read them: each is held in the log until it is kept elsewhere, or done.
// Until the last run has been read they are gathered. Host thread.
import type { FrameReader } from '../wire/frame.ts';
import { type TimerChange, timerChangeIn } from '../wire/timer.ts';
import { heapBytesOf } from './held.ts';
import type { Hold, Holds } from './holds.ts';
import type { Holder } from './relief.ts';

/** What a cancelled one takes of the heap, about. */
const cancelBytes = 512;

export interface HeldChange extends TimerChange {
  /** The log may forget it. */
  release(): void;
}

export class TimerFeed {
  private readonly holds: Holds<Holder>;
  private bytes = 0;
  private gathered: HeldChange[] = [];
  private take: ((change: HeldChange) => void) | undefined;

  constructor(holds: Holds<Holder>) {
    this.holds = holds;
  }

  /** A turn has read one. */
  add(frame: FrameReader, position: number): void {
    const change = this.held(frame, position);
    if (this.take === undefined) this.gathered.push(change!);
    else this.take(change!);
  }

  /** One that the last run has left in the log; undefined: the frame is something else. */
  held(frame: FrameReader, position: number): HeldChange | undefined {
    const change = timerChangeIn(frame, position);
    if (change === undefined) return undefined;
    const bytes = change.timer === undefined ? cancelBytes : heapBytesOf(change.timer.message);
    const release = this.hold(position);
    this.bytes += bytes;
    return {
      ...change,
      release: () => {
        this.bytes -= bytes;
        release();
      },
    };
  }

  /** What those take of memory that are not kept elsewhere yet. */
  get heldBytes(): number {
    return this.bytes;
  }

  /** The log keeps what lies from a position on, until the function is called that is returned. */
  hold(position: number): () => void {
    const hold: Hold<Holder> = this.holds.add(position);
    return () => this.holds.release(hold);
  }

  /** `take` gets what has been gathered, and then each as it is read, in the order of the log within an aggregate. */
  follow(take: (change: HeldChange) => void): void {
    const { gathered } = this;
    this.gathered = [];
    this.take = take;
    for (const change of gathered) take(change);
  }
}
