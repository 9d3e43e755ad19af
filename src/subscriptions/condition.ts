// Waiting until something holds that others change: each of them says so, and what waits looks again. Owned by the host
// thread.

export class Condition {
  private waiting: (() => void)[] = [];

  /** Resolves when it holds; at once, if it does already. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((look) => this.waiting.push(look));
  }

  /** It may hold now. */
  changed(): void {
    if (this.waiting.length === 0) return;
    const { waiting } = this;
    this.waiting = [];
    for (const look of waiting) look();
  }
}
