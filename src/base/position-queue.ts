// What waits for positions, the lowest first: a binary heap. Adding, removing and releasing one cost the logarithm of how
// many wait, and a look when none is due costs nothing, however many wait.

/** An entry knows its place, so that it can leave from anywhere. */
export interface Queued {
  readonly position: number;
  /** Where it stands; -1: nowhere. Kept by the queue. */
  place: number;
  /** Among equal positions, the earlier goes first. Kept by the queue. */
  order: number;
}

export class PositionQueue<T extends Queued> {
  private readonly heap: T[] = [];
  private added = 0;

  get size(): number {
    return this.heap.length;
  }

  add(entry: T): void {
    entry.order = this.added++;
    this.rise(entry, this.heap.length);
  }

  /** Nothing happens if it is not here. */
  remove(entry: T): void {
    const { heap } = this;
    const { place } = entry;
    if (heap[place] !== entry) return;
    entry.place = -1;
    const last = heap.pop()!;
    if (last === entry) return;
    if (place > 0 && isBefore(last, heap[(place - 1) >> 1]!)) this.rise(last, place);
    else this.sink(last, place);
  }

  /** The first one up to `position`, taken out; undefined if there is none. */
  takeUpTo(position: number): T | undefined {
    const first = this.heap[0];
    if (first === undefined || first.position > position) return undefined;
    this.remove(first);
    return first;
  }

  /** Those that fit, in no order. */
  all(fits: (entry: T) => boolean): T[] {
    return this.heap.filter(fits);
  }

  private rise(entry: T, from: number): void {
    const { heap } = this;
    let place = from;
    while (place > 0) {
      const above = (place - 1) >> 1;
      if (!isBefore(entry, heap[above]!)) break;
      this.put(heap[above]!, place);
      place = above;
    }
    this.put(entry, place);
  }

  private sink(entry: T, from: number): void {
    const { heap } = this;
    let place = from;
    for (;;) {
      let below = 2 * place + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below++;
      if (!isBefore(heap[below]!, entry)) break;
      this.put(heap[below]!, place);
      place = below;
    }
    this.put(entry, place);
  }

  private put(entry: T, place: number): void {
    this.heap[place] = entry;
    entry.place = place;
  }
}

const isBefore = (a: Queued, b: Queued): boolean =>
  a.position < b.position || (a.position === b.position && a.order < b.order);
