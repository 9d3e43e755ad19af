// Slots: small numbers for what is in flight, so that a reply finds its caller by an array index.
export class Slots<T> {
  private readonly items: (T | undefined)[] = [];
  private readonly free: number[] = [];
  readonly limit: number;

  constructor(limit: number) {
    this.limit = limit;
  }

  get count(): number {
    return this.items.length - this.free.length;
  }

  get isFull(): boolean {
    return this.count >= this.limit;
  }

  add(item: T): number {
    const slot = this.free.pop() ?? this.items.length;
    this.items[slot] = item;
    return slot;
  }

  get(slot: number): T | undefined {
    return this.items[slot];
  }

  remove(slot: number): void {
    this.items[slot] = undefined;
    this.free.push(slot);
  }

  *entries(): Iterable<[number, T]> {
    for (const [slot, item] of this.items.entries()) if (item !== undefined) yield [slot, item];
  }
}
