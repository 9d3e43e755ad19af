// In which order messages and events that were open at a start are executed: first, side by side, those that were in hand at
// no end of the process; then those that were, one at a time, so that the next end tells which one is its reason; then
// everything else that was open. Host thread.
//
// Invariant: a turn has a bound. An execution that takes longer goes on, and the next one begins beside it.
import { clearTimeout, setTimeout, yieldToLoop } from '../base/clock.ts';
import { guarded, unawaited } from '../base/guarded.ts';
import { onAbort } from '../base/on-abort.ts';

/** `fresh`: in hand at no end. `last`: the same, but unmarked; it waits for the others. Else: in hand at so many ends. */
export type Place = 'fresh' | 'last' | { readonly deaths: number; readonly order: number };

interface Waiting {
  readonly place: Place;
  go(held: HeldLine): void;
}

/** A turn that has come. */
export interface HeldLine {
  /** It is executed from now on: the bound counts from here. */
  begun(): void;
  /** It is over, or not taken. May be called again. */
  over(): void;
}

const nothing = (): void => {};
const unheld: HeldLine = { begun: nothing, over: nothing };

export class CarefulLine {
  private readonly turnMs: number;
  private readonly waiting: Waiting[] = [];
  private side = 0;
  private isAlone = false;
  private isToLook = false;

  constructor(turnMs: number) {
    this.turnMs = turnMs;
  }

  get isEmpty(): boolean {
    return this.waiting.length === 0 && this.side === 0 && !this.isAlone;
  }

  /** Resolves when its turn has come, or when the signal aborts. */
  async enter(place: Place, signal: AbortSignal): Promise<HeldLine> {
    const { promise, resolve } = Promise.withResolvers<HeldLine>();
    const one: Waiting = { place, go: resolve };
    this.waiting.push(one);
    const forget = onAbort(signal, () => {
      const at = this.waiting.indexOf(one);
      if (at < 0) return;
      this.waiting.splice(at, 1);
      this.lookSoon();
      resolve(unheld);
    });
    this.lookSoon();
    const held = await promise;
    forget();
    return held;
  }

  /** Look once the event loop has come round, so that all that enter in this turn are in the line. */
  private lookSoon(): void {
    if (this.isToLook) return;
    this.isToLook = true;
    unawaited(
      yieldToLoop().then(() => {
        this.isToLook = false;
        this.look();
      }),
    );
  }

  private look(): void {
    if (this.isAlone) return;
    for (const one of this.take(({ place }) => place === 'fresh')) {
      this.side++;
      this.begin(one, () => this.side--);
    }
    if (this.side > 0) return;
    const suspects = this.waiting.filter(({ place }) => typeof place === 'object');
    const [next] = suspects.sort((a, b) => rank(b.place) - rank(a.place) || order(b.place) - order(a.place));
    if (next !== undefined) {
      this.take((one) => one === next);
      this.isAlone = true;
      this.begin(next, () => {
        this.isAlone = false;
      });
    } else for (const { go } of this.take(() => true)) go(unheld);
  }

  private take(which: (one: Waiting) => boolean): Waiting[] {
    const taken = this.waiting.filter(which);
    const left = this.waiting.filter((one) => !which(one));
    this.waiting.splice(0, Number.POSITIVE_INFINITY, ...left);
    return taken;
  }

  private begin({ go }: Waiting, ended: () => void): void {
    let isOver = false;
    let late: NodeJS.Timeout | undefined;
    const over = (): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(late);
      ended();
      this.lookSoon();
    };
    const begun = (): void => {
      if (!isOver) late = setTimeout(guarded(over), this.turnMs);
    };
    go({ begun, over });
  }
}

// The one that the most ends have met goes first: the others are not in hand when it ends the process once more. Of those that
// are level, the one that had begun last: one that runs for long is in hand whatever ends the process.
const rank = (place: Place): number => (typeof place === 'object' ? place.deaths : 0);
const order = (place: Place): number => (typeof place === 'object' ? place.order : 0);
