// How many calls may run at a time: one more waits for its turn.
export class Slots {
  private readonly limit: number;
  private readonly waiting: (() => void)[] = [];
  private taken = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  tryTake(): boolean {
    if (this.taken >= this.limit) return false;
    this.taken++;
    return true;
  }

  async take(): Promise<void> {
    if (this.tryTake()) return;
    await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  /** Give it back: to the next that waits, if there is one. */
  free(): void {
    const next = this.waiting.shift();
    if (next) next();
    else this.taken--;
  }
}
