// The mode of one subscription, and what holds it. Owned by the host thread.
//
// Invariants: `transition` alone changes the mode, and only to where it may lead (`subscription-mode.ts`). As long as a request of a
// user's is not done it takes nothing; behind the last request it goes on as it was left: paused, or catching up.
import type { SubscriptionState } from './handlers.ts';
import { type Mode, mayLead, stateOf } from './subscription-mode.ts';

export class ModeMachine {
  private current: Mode = 'starting';
  private paused = false;
  /** Of users, that are not done. */
  private requests = 0;
  private readonly changed: (from: Mode, to: Mode) => void;

  /** `changed`: called behind each transition. */
  constructor(changed: (from: Mode, to: Mode) => void) {
    this.changed = changed;
  }

  get mode(): Mode {
    return this.current;
  }

  get isLive(): boolean {
    return this.current === 'live';
  }

  /** Catching up, or live: events may be taken. */
  get takes(): boolean {
    return this.current === 'catching up' || this.current === 'live';
  }

  /** A mode that nothing follows. */
  get isOver(): boolean {
    return this.current === 'failed' || this.current === 'closed';
  }

  /** As it is kept with the checkpoint. */
  get isPaused(): boolean {
    return this.paused;
  }

  /** As users see it. */
  get state(): SubscriptionState {
    return stateOf(this.current, this.paused);
  }

  /** False: its mode does not lead there, and stays. */
  transition(to: Mode): boolean {
    const from = this.current;
    if (!mayLead(from, to)) return false;
    this.current = to;
    this.changed(from, to);
    return true;
  }

  /** Whether it is to be paused once nothing holds it. */
  setPaused(paused: boolean): void {
    this.paused = paused;
  }

  /** Takes nothing more; one that has not begun, or has stopped, takes nothing as it is. */
  hold(): void {
    if (this.current !== 'starting' && this.current !== 'stopped') this.transition('held');
  }

  /** Goes on, unless a request still holds it. */
  goOn(): void {
    this.transition(this.requests > 0 ? 'held' : this.paused ? 'paused' : 'catching up');
  }

  /** A user's request: nothing is taken from now on until it is done. */
  async whileHeld(request: () => Promise<void>): Promise<void> {
    this.requests++;
    this.hold();
    try {
      await request();
    } finally {
      this.requests--;
      if (this.current === 'held') this.goOn();
    }
  }
}
