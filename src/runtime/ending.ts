// How long `close` waits, and what happens then: at the deadline every thread leaves what it is at.
import { clearTimeout, pause, setTimeout } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { guarded } from '../base/guarded.ts';
import { type ControlBlockWriter, Signal } from '../shared/control-block.ts';

const graceMs = 10_000;
const momentMs = 1_000;

export class Ending {
  /** Resolves when nothing is waited for any longer. */
  readonly abandoned: Promise<void>;
  private readonly control: ControlBlockWriter<'host'>;
  private readonly whatIsLeft: () => string;
  private readonly givenUp: string[] = [];
  private abandon: () => void = () => {};

  constructor(control: ControlBlockWriter<'host'>, whatIsLeft: () => string) {
    this.control = control;
    this.whatIsLeft = whatIsLeft;
    this.abandoned = new Promise((resolve) => {
      this.abandon = resolve;
    });
  }

  /** What ends in a moment by itself: once nothing is waited for any longer, it has that moment and no more. */
  async orAbandoned(ends: Promise<unknown> | undefined): Promise<void> {
    await Promise.race([ends, this.abandoned.then(() => pause(momentMs, undefined, { ref: false }))]);
  }

  /** The same for what could still write: after that moment it is `cut` off, and its end is waited for. */
  async orCut(ends: Promise<unknown> | undefined, cut: () => void): Promise<void> {
    const late = this.abandoned.then(() => pause(momentMs, 'late', { ref: false }));
    if ((await Promise.race([ends, late])) !== 'late') return;
    cut();
    await ends;
  }

  /** Resolves with `stopped`; if something had to be given up for it, rejects with `CloseTimedOut`. */
  within(deadlineMs: number, stopped: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const timedOut = (): TrunklineError =>
        new TrunklineError('CloseTimedOut', { deadlineMs, waitingFor: this.givenUp });
      const late = setTimeout(
        guarded(() => this.giveUp()),
        deadlineMs,
      );
      // Should even that not end it (a disk that does not answer), the caller at least learns it.
      const tooLate = setTimeout(
        guarded(() => reject(timedOut())),
        deadlineMs + graceMs,
      );
      stopped
        .then(() => (this.givenUp.length > 0 ? reject(timedOut()) : resolve()), reject)
        .finally(() => {
          clearTimeout(late);
          clearTimeout(tooLate);
        });
    });
  }

  private giveUp(): void {
    if (this.givenUp.length > 0) return;
    this.givenUp.push(this.whatIsLeft());
    this.control.setFlag(Signal.abandoned, 1);
    this.abandon();
  }
}
