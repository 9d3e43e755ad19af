// Timers that must not come back from the tables: cancelled, replaced or carried out, where the tables do not say so yet, or where what
// is being read of them was found before they did. Host thread.

export class Stale {
  /** By key, up to which positions. */
  private readonly noted = new Map<string, number[]>();
  private forgotten: (() => void)[] = [];
  private isReading = false;

  /** What the tables have of the key up to that position is stale, until `forget`. */
  note(key: string, position: number): void {
    const positions = this.noted.get(key);
    if (positions === undefined) this.noted.set(key, [position]);
    else positions.push(position);
  }

  /** The tables are up to date: no later reading finds it. */
  forget(key: string, position: number): void {
    if (this.isReading) this.forgotten.push(() => this.drop(key, position));
    else this.drop(key, position);
  }

  covers(key: string, position: number): boolean {
    return this.noted.get(key)?.some((upTo) => position <= upTo) ?? false;
  }

  readingBegins(): void {
    this.isReading = true;
  }

  readingEnds(): void {
    this.isReading = false;
    for (const drop of this.forgotten.splice(0)) drop();
  }

  private drop(key: string, position: number): void {
    const positions = this.noted.get(key)!;
    positions.splice(positions.indexOf(position), 1);
    if (positions.length === 0) this.noted.delete(key);
  }
}
