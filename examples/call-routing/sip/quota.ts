// How much of what is bounded each source holds, in entries and in bytes, so that one source can take its share and no more. A
// source that holds nothing has no entry: the map is never larger than what it counts.

interface Holding {
  entries: number;
  bytes: number;
}

export class Quota {
  readonly #held = new Map<string, Holding>();
  #bytes = 0;

  /** How many sources hold something. */
  get size(): number {
    return this.#held.size;
  }

  /** Of all sources. */
  get bytes(): number {
    return this.#bytes;
  }

  entriesOf(source: string): number {
    return this.#held.get(source)?.entries ?? 0;
  }

  bytesOf(source: string): number {
    return this.#held.get(source)?.bytes ?? 0;
  }

  /** The source holds this from now on, until it is released. */
  charge(source: string, entries: number, bytes: number): Charge {
    this.#add(source, entries, bytes);
    return new Charge(source, entries, bytes, (moreEntries, moreBytes) => this.#add(source, moreEntries, moreBytes));
  }

  #add(source: string, entries: number, bytes: number): void {
    const held = this.#held.get(source) ?? { entries: 0, bytes: 0 };
    held.entries += entries;
    held.bytes += bytes;
    this.#bytes += bytes;
    if (held.entries > 0 || held.bytes > 0) this.#held.set(source, held);
    else this.#held.delete(source);
  }
}

/** What one transaction or one call holds. */
export class Charge {
  readonly source: string;
  readonly #add: (entries: number, bytes: number) => void;
  #entries: number;
  #bytes: number;
  #isReleased = false;

  constructor(source: string, entries: number, bytes: number, add: (entries: number, bytes: number) => void) {
    this.source = source;
    this.#entries = entries;
    this.#bytes = bytes;
    this.#add = add;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Without effect once it is released. */
  become(bytes: number): void {
    if (this.#isReleased) return;
    this.#add(0, bytes - this.#bytes);
    this.#bytes = bytes;
  }

  /** Once, however often it is called. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#add(-this.#entries, -this.#bytes);
  }
}
