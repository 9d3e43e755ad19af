// Pending timers in the order in which they are due; at the same moment, in the order in which they were set. A binary heap: one that
// is taken back stays until its turn comes. Host thread.
import type { Pending } from './pending.ts';

const isBefore = (a: Pending, b: Pending): boolean =>
  a.timer.dueMs < b.timer.dueMs ||
  (a.timer.dueMs === b.timer.dueMs && a.timer.message.position < b.timer.message.position);

export class DueHeap {
  private heap: Pending[] = [];

  get size(): number {
    return this.heap.length;
  }

  get first(): Pending | undefined {
    return this.heap[0];
  }

  push(pending: Pending): void {
    pending.isInLine = true;
    const { heap } = this;
    let at = heap.length;
    heap.push(pending);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(pending, heap[above]!)) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = pending;
  }

  shift(): Pending | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let at = 0;
    for (let below = 1; below < heap.length; below = 2 * at + 1) {
      if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below++;
      if (!isBefore(heap[below]!, last)) break;
      heap[at] = heap[below]!;
      at = below;
    }
    heap[at] = last;
    return first;
  }

  /** Those that are due last leave, until so many are left; those that were taken back leave as well. */
  keepFirst(most: number): Pending[] {
    const sorted = this.heap.filter(({ isOver }) => !isOver).sort((a, b) => (isBefore(a, b) ? -1 : 1));
    this.heap = sorted.slice(0, most); // sorted is a heap
    const left = sorted.slice(most);
    for (const pending of left) pending.isInLine = false;
    return left;
  }
}
