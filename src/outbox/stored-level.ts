// Whether the database has come back from an earlier state, by how far it has this log's events: that moves in its transactions, and
// only ever on. Host thread.

export class StoredLevel {
  /** It had them up to here. */
  private known = 0;
  /** The flusher said so before the database went back, and has not looked since. */
  private outdated = -1;
  private told = 0;

  /** What the flusher says, before the database is asked. */
  look(stored: number): void {
    this.told = stored;
    if (stored === this.outdated) return;
    this.outdated = -1;
    this.known = Math.max(this.known, stored);
  }

  /** `stored`: what the database says in a statement sent behind `look`. True once for each time that it goes back. */
  hasGoneBack(stored: number): boolean {
    if (stored >= this.known) return false;
    this.known = stored;
    this.outdated = this.told;
    return true;
  }
}
