// Positions that are done, as ranges: the form in which checkpoints and transactions of handlers keep them. A list is flat and
// ascending: first and last position of each range.

/** Ranges that cover what any of these do. */
export function joinRanges(lists: readonly (readonly number[])[]): number[] {
  const pairs = lists.flatMap((list) =>
    list.flatMap((first, i) => (i % 2 === 0 ? [[first, list[i + 1]!] as const] : [])),
  );
  const joined: number[] = [];
  for (const [first, last] of pairs.sort(([a], [b]) => a - b)) {
    if (joined.length > 0 && first <= joined.at(-1)! + 1) joined[joined.length - 1] = Math.max(joined.at(-1)!, last);
    else joined.push(first, last);
  }
  return joined;
}

/** Positions that an earlier run has done above its low-water mark, asked for in ascending order. */
export class DoneRanges {
  private readonly ranges: readonly number[];
  private next = 0;

  constructor(ranges: readonly number[]) {
    this.ranges = ranges;
  }

  has(position: number): boolean {
    const { ranges } = this;
    while (this.next < ranges.length && position > ranges[this.next + 1]!) this.next += 2;
    return this.next < ranges.length && position >= ranges[this.next]!;
  }

  /** What of them lies above a position. */
  beyond(position: number): number[] {
    const rest: number[] = [];
    for (let i = this.next; i < this.ranges.length; i += 2) {
      if (this.ranges[i + 1]! > position) rest.push(Math.max(this.ranges[i]!, position + 1), this.ranges[i + 1]!);
    }
    return rest;
  }
}
