// Slots: small numbers for what is in flight, so that a reply finds its caller by an array index. What is reserved for has
// a limit of its own, as high as the others'.
export class Slots<T> {
  private readonly items: (T | undefined)[] = [];
  private readonly free: number[] = [];
  readonly limit: number;
  private readonly isReserved: (item: T) => boolean;
  private reserved = 0;

  constructor(limit: number, isReserved: (item: T) => boolean = () => false) {
    this.limit = limit;
    this.isReserved = isReserved;
  }

  get count(): number {
    return this.items.length - this.free.length;
  }

  get isFull(): boolean {
    return this.count - this.reserved >= this.limit;
  }

  get isReserveFull(): boolean {
    return this.reserved >= this.limit;
  }

  add(item: T): number {
    const slot = this.free.pop() ?? this.items.length;
    this.items[slot] = item;
    if (this.isReserved(item)) this.reserved++;
    return slot;
  }

  get(slot: number): T | undefined {
    return this.items[slot];
  }

  remove(slot: number): void {
    const item = this.items[slot];
    if (item !== undefined && this.isReserved(item)) this.reserved--;
    this.items[slot] = undefined;
    this.free.push(slot);
  }

  *entries(): Iterable<[number, T]> {
    for (const [slot, item] of this.items.entries()) if (item !== undefined) yield [slot, item];
  }
}
