// Counts of bytes that have gone through a ring. Each thread keeps its own counts as plain numbers, which never wrap (53
// bits: 100 years at 2 GiB a second), and compares only these. Shared memory has room for the lower 32 bits of a count; this
// file is the only one that joins a shared word to a count, and `test/ring/count.test.ts` refuses 32-bit arithmetic elsewhere.
//
// Invariant: a shared word is at most one ring's capacity (2^30 bytes at most) away from the count it is joined to. Hence a
// word is joined to a count that bounds it: the reader's own cursor, which the producer cannot pass by more than the
// capacity, or the producer's own head, behind which no reader that frees bytes can be further than that.
//
//   word:  bits 31 … 3  the count (sizes are multiples of 8)     bits 2 … 1  0     bit 0  sealed

/** In a word: its writer may move it no more. See `sealHead` and `sealTail` in ring.ts. */
export const sealedBit = 1;

/** The lower 32 bits of a count, as shared memory holds them. */
export const wordOf = (count: number): number => count | 0;

/** The count whose lower bits are in `word`: the one nearest to `near`. */
export const countNear = (near: number, word: number): number => near + (((word & -8) - near) | 0);

/** The first count of a side that begins with what a word says. Sides compare counts only where they began together. */
export const firstCount = (word: number): number => (word & -8) >>> 0;

export const isSealed = (word: number): boolean => (word & sealedBit) !== 0;
