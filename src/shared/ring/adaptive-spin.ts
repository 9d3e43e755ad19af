// Looking for more work for a moment before a thread sleeps: a wake-up costs some 30 µs on an idle core, so a short look
// pays when commands follow each other, and is waste when they do not. So it goes by what it has been worth: a look that
// finds work earns four more, each look in vain costs one, and once all are spent one is tried now and then.
import { performance } from '../../base/clock.ts';

const earned = 4; // looking goes on while one look in five finds work
const creditLimit = 16; // so many looks in vain, at most, after a time of plenty
const tryAgainEvery = 64; // sleeps
const looksPerClock = 8; // the clock costs as much as several looks

export class AdaptiveSpin {
  private credit = 0;
  private sleeps = 0;

  /** True as soon as there is work; false when it is time to sleep. `limitMicros`: how long to look, 0 for not at all. */
  look(hasWork: () => boolean, limitMicros: number): boolean {
    if (limitMicros === 0) return false;
    if (this.credit === 0 && ++this.sleeps % tryAgainEvery !== 0) return false;
    const end = performance.now() + limitMicros / 1000;
    do {
      for (let i = 0; i < looksPerClock; i++) {
        if (!hasWork()) continue;
        this.credit = Math.min(this.credit + earned, creditLimit);
        return true;
      }
    } while (performance.now() < end);
    this.credit = Math.max(0, this.credit - 1);
    return false;
  }
}
