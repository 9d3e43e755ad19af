// Postings: which blocks hold events of a type, of an aggregate type, or any; each entry with the times of its events. A
// batch adds one entry per name, so that the index costs little. The running maximum of the times rises with the position
// whatever the clocks did: a search by time starts at its first entry that reaches the time, and misses nothing.
import type { Environment } from './environment.ts';
import { type Dimension, KeyWriter, lastNumber, POSTING_HEADER_BYTES } from './layout.ts';

// 24 + 4 × 400 bytes stay within LMDB's inline limit: an entry takes what it needs, not pages of its own.
const blocksPerEntry = 400;

class Posting {
  readonly dimension: Dimension;
  readonly name: string;
  runningMax: number;
  least = Number.POSITIVE_INFINITY;
  greatest = Number.NEGATIVE_INFINITY;
  readonly blocks: number[] = [];

  constructor(dimension: Dimension, name: string, runningMax: number) {
    this.dimension = dimension;
    this.name = name;
    this.runningMax = runningMax;
  }
}

/** The writer's side: collects a batch's postings, then writes them. */
export class PostingWriter {
  private readonly environment: Environment;
  private readonly keys = new KeyWriter();
  private readonly value: Buffer = Buffer.alloc(POSTING_HEADER_BYTES + 4 * blocksPerEntry);
  private readonly open = new Map<Dimension, Map<string, Posting>>();

  constructor(environment: Environment) {
    this.environment = environment;
  }

  /** An event of this name lies in this block. */
  add(dimension: Dimension, name: string, block: number, occurredAt: number): void {
    let ofDimension = this.open.get(dimension);
    if (ofDimension === undefined) {
      ofDimension = new Map();
      this.open.set(dimension, ofDimension);
    }
    let posting = ofDimension.get(name);
    if (posting === undefined) {
      posting = new Posting(dimension, name, this.lastRunningMax(dimension, name));
      ofDimension.set(name, posting);
    }
    const { blocks } = posting;
    if (blocks.length === 0 || blocks[blocks.length - 1] !== block) {
      if (blocks.length === blocksPerEntry) this.put(posting);
      blocks.push(block);
    }
    if (occurredAt < posting.least) posting.least = occurredAt;
    if (occurredAt > posting.greatest) posting.greatest = occurredAt;
  }

  /** Within the transaction: write what was collected. */
  write(): void {
    for (const ofDimension of this.open.values()) {
      for (const posting of ofDimension.values()) if (posting.blocks.length > 0) this.put(posting);
    }
  }

  /** The transaction has failed: what is remembered is not true. */
  forget(): void {
    this.open.clear();
  }

  private put(posting: Posting): void {
    const { value } = this;
    const { dimension, name, blocks } = posting;
    const first = blocks[0]!;
    posting.runningMax = Math.max(posting.runningMax, posting.greatest);
    value.writeDoubleLE(posting.runningMax, 0);
    value.writeDoubleLE(posting.least, 8);
    value.writeDoubleLE(posting.greatest, 16);
    let end = POSTING_HEADER_BYTES;
    for (let i = 1; i < blocks.length; i++) end = value.writeUInt32LE(blocks[i]! - first, end);
    this.environment.postings.putSync(this.keys.posting(dimension, name, first), value.subarray(0, end));
    posting.least = Number.POSITIVE_INFINITY;
    posting.greatest = Number.NEGATIVE_INFINITY;
    blocks.length = 0;
  }

  private lastRunningMax(dimension: Dimension, name: string): number {
    const start = this.keys.posting(dimension, name, Number.MAX_SAFE_INTEGER);
    const end = new KeyWriter().posting(dimension, name, 0);
    for (const { value } of this.environment.postings.getRange({ start, end, reverse: true, limit: 1 })) {
      return value.readDoubleLE(0);
    }
    return Number.NEGATIVE_INFINITY;
  }
}

/** Milliseconds since 1970: events that occurred at `since` or later and before `until`. */
export interface TimeSpan {
  readonly since: number;
  readonly until: number;
}

/** The blocks with events of this name, from block `from` to block `to`, ascending; none whose times are all outside `span`. */
export function* postedBlocks(
  { postings }: Environment,
  dimension: Dimension,
  name: string,
  from: number,
  to: number,
  span: TimeSpan,
): Generator<number> {
  const first = new KeyWriter().posting(dimension, name, 0);
  const last = new KeyWriter().posting(dimension, name, to);
  let start = new KeyWriter().posting(dimension, name, from);
  // The entry that begins before `from` may reach beyond it.
  for (const key of postings.getKeys({ start, end: first, reverse: true, limit: 1 })) start = Buffer.from(key);
  if (span.since > Number.NEGATIVE_INFINITY)
    start = reaching(postings, dimension, name, lastNumber(start), to, span.since);
  for (const { key, value } of postings.getRange({ start, end: last, inclusiveEnd: true } as object)) {
    if (value.readDoubleLE(16) < span.since || value.readDoubleLE(8) >= span.until) continue;
    const firstBlock = lastNumber(key);
    if (firstBlock >= from) yield firstBlock;
    for (let at = POSTING_HEADER_BYTES; at < value.length; at += 4) {
      const block = firstBlock + value.readUInt32LE(at);
      if (block >= from && block <= to) yield block;
    }
  }
}

/** The key of the first entry, from block `low` on, whose running maximum has come to `since`: a search by halves. */
function reaching(
  postings: Environment['postings'],
  dimension: Dimension,
  name: string,
  low: number,
  high: number,
  since: number,
): Buffer {
  const keys = new KeyWriter();
  const last = new KeyWriter().posting(dimension, name, high);
  let beyond = high + 1;
  while (low < beyond) {
    const middle = low + Math.floor((beyond - low) / 2);
    let found: { block: number; runningMax: number } | undefined;
    const range = { start: keys.posting(dimension, name, middle), end: last, inclusiveEnd: true, limit: 1 };
    for (const { key, value } of postings.getRange(range as object)) {
      found = { block: lastNumber(key), runningMax: value.readDoubleLE(0) };
    }
    if (found === undefined || found.runningMax >= since) beyond = middle;
    else low = found.block + 1;
  }
  return keys.posting(dimension, name, low);
}
