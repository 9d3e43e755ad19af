// How much of a bounded table each source holds, so that one source can take its share and no more. A source that holds
// nothing has no entry: the map is never larger than the table.
export class Quota {
  readonly #held = new Map<string, number>();

  /** How many sources hold something. */
  get size(): number {
    return this.#held.size;
  }

  heldBy(source: string): number {
    return this.#held.get(source) ?? 0;
  }

  take(source: string): void {
    this.#held.set(source, this.heldBy(source) + 1);
  }

  release(source: string): void {
    const left = this.heldBy(source) - 1;
    if (left > 0) this.#held.set(source, left);
    else this.#held.delete(source);
  }
}
