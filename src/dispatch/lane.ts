// The messages of one sender to one target that are not carried out yet, in log order. Where the store is elsewhere it may
// refuse an outcome: then the message is delivered again in its place. Host thread.
//
// Invariants: `waiting` is in log order, whatever comes back to it. After a refusal nothing of the lane is delivered until the
// store has said of each outcome whether it lasts: what was decided beside the refused one is mostly void too, and must go
// first. No message becomes a dead letter while an outcome before it is not confirmed.
import type { LetterBox } from '../wire/message.ts';
import type { DeliveryEnd } from './delivery.ts';
import { heapBytesOf } from './held.ts';
import type { Hold } from './holds.ts';
import type { Later } from './later.ts';
import type { Holder, Open } from './relief.ts';

/** What waits in memory in one lane: so much that its messages need not be read one by one. */
const heapBytesMost = 256 << 10;

type Failed = DeliveryEnd & { kind: 'failed' };

export class Lane {
  readonly key: string;
  readonly waiting: Open[] = [];
  private heapBytes = 0;
  /** Those behind `waiting`. */
  later: Later | undefined;
  isRunning = false;
  /** The outcome of the letter that is delivered again: it stays until the letter is gone durably. */
  held: Hold<Holder> | undefined;
  /** Ends that, between two attempts. */
  letter: { readonly id: string; readonly givenUp: AbortController } | undefined;
  /** How many are carried out, but not confirmed by the store. */
  unconfirmed = 0;
  /** The store has refused what some of them rest on. */
  isHeld = false;
  /** The first one cannot be delivered: a dead letter, once all before it are confirmed. */
  failed: Failed | undefined;

  constructor(key: string) {
    this.key = key;
  }

  get isEmpty(): boolean {
    return this.waiting.length === 0 && !this.hasLater && this.held === undefined && this.unconfirmed === 0;
  }

  get hasLater(): boolean {
    return this.later !== undefined && this.later.size > 0;
  }

  /** A further message comes into memory later. `isNarrow`: memory is scarce, and the lane has one there. */
  isFull(isNarrow: boolean): boolean {
    return this.hasLater || (this.waiting.length > 0 && (isNarrow || this.heapBytes >= heapBytesMost));
  }

  line(open: Open): this {
    const { waiting } = this;
    const { position } = open.message;
    let at = waiting.length;
    while (at > 0 && waiting[at - 1]!.message.position > position) at--;
    if (at === waiting.length) waiting.push(open);
    else waiting.splice(at, 0, open);
    this.heapBytes += heapBytesOf(open.message);
    return this;
  }

  /** It waits no longer; others may have come before it meanwhile. */
  leave(open: Open): void {
    this.failed = undefined;
    this.heapBytes -= heapBytesOf(open.message);
    if (this.waiting[0] === open) this.waiting.shift();
    else this.waiting.splice(this.waiting.indexOf(open), 1);
  }

  /** Nothing is delivered until all that is unconfirmed has been. */
  hold(): void {
    this.isHeld = true;
    this.failed = undefined;
  }

  /** The store has refused its outcome. */
  takeBack(open: Open): void {
    open.outcome = undefined;
    open.isEnding = false;
    open.isVoid = true;
    this.line(open);
    this.hold();
  }

  mayGoOn(): boolean {
    if (this.unconfirmed > 0) return !this.isHeld && this.failed === undefined;
    this.isHeld = false;
    return true;
  }

  /** Whether a failure is final; else it is looked at again once those before are confirmed. */
  mayPark(failed: Failed | undefined): boolean {
    if (this.isHeld) return false;
    if (this.unconfirmed === 0) return true;
    this.failed = failed;
    return false;
  }

  /**
   * Whether a message goes behind the letters of its lane. One that was carried out before does not, unless they came before
   * it: it was done when later ones were no letters yet.
   */
  async isBehind(
    box: LetterBox,
    { message, isVoid }: Open,
    carriedOut: Pick<ReadonlySet<string>, 'has'>,
  ): Promise<boolean> {
    if (carriedOut.has(message.id)) return false; // in the last run
    return !isVoid || ((await box.first(this.key))?.position ?? message.position) < message.position;
  }
}
