// Looking for more work for a moment before a thread sleeps: a wake-up costs its caller some 30 µs on an idle core, so a
// short look pays when commands follow each other, and is waste when they do not. So it goes by what it has been worth:
// each look in vain halves the next one, down to none; one that finds work restores it; now and then one is tried again.

const leastMicros = 5;
const tryAgainEvery = 64; // sleeps

export class Spinner {
  private budgetMicros = 0;
  private sleeps = 0;

  /** True as soon as there is work; false when it is time to sleep. `limitMicros`: the policy's bound, 0 for never. */
  look(hasWork: () => boolean, limitMicros: number): boolean {
    if (limitMicros === 0) return false;
    if (this.budgetMicros < leastMicros) {
      if (++this.sleeps % tryAgainEvery !== 0) return false;
      this.budgetMicros = limitMicros;
    }
    const budgetMicros = Math.min(this.budgetMicros, limitMicros);
    const end = performance.now() + budgetMicros / 1000;
    do {
      if (hasWork()) {
        this.budgetMicros = limitMicros;
        return true;
      }
    } while (performance.now() < end);
    this.budgetMicros = budgetMicros / 2;
    return false;
  }
}
