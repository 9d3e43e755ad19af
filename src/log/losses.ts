// Positions that recoveries have given up: after damage the log leaps, and no event ever has what lies in between. Each start
// hands them to every cursor; without that a cursor would wait for them without end. Any thread.
//
// A range may hold positions that the log keeps, where two have been joined for want of room. So a cursor passes over a range
// only where the log has nothing up to its own end, or up to the next chunk.

/** First and last position, both given up. */
export interface Lost {
  readonly from: number;
  readonly to: number;
}

const rangesMost = 100;

/** The ranges, with one more; without those that lie wholly before `firstKept`, which no cursor needs any more. */
export function addLost(known: readonly Lost[], more: Lost, firstKept: number): Lost[] {
  const all = more.to < more.from ? [...known] : [...known, more];
  const sorted = all.filter(({ to }) => to + 1 >= firstKept).sort((a, b) => a.from - b.from);
  const joined: Lost[] = [];
  for (const { from, to } of sorted) {
    const last = joined.at(-1);
    const touches = last !== undefined && from <= last.to + 1;
    // Too many: two become one, and what the log keeps between them is read as before.
    if (touches || (last !== undefined && joined.length === rangesMost))
      joined[joined.length - 1] = { from: last.from, to: Math.max(last.to, to) };
    else joined.push({ from, to });
  }
  return joined;
}

/** The first position behind the loss that `position` is part of; undefined if it is in none. */
export function endOfLoss(lost: readonly Lost[], position: number): number | undefined {
  const range = lost.find(({ from, to }) => from <= position && position <= to);
  return range && range.to + 1;
}
