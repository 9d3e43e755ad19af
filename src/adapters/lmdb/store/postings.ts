// Postings: which blocks hold events of a type, of an aggregate type, or any; each entry with the times of its events. The
// running maximum of the times rises with the position whatever the clocks did: a search by time starts at its first entry
// that reaches the time, and misses nothing.
//
// The index trails behind the blocks, by a few hundred at most, and is written when that many have come: a small batch
// then costs it nothing. Readers look at what is not indexed yet block by block; a writer that starts reads it in again.
import { FrameReader } from '../../../wire/frame.ts';
import { Block } from './block.ts';
import { type Environment, indexedKey, readNumber } from './environment.ts';
import { Dimension, KeyWriter, lastNumber, POSTING_HEADER_BYTES } from './layout.ts';

/** Blocks that an entry may name: 24 + 4 × 400 bytes are within LMDB's inline limit, and take no pages of their own. */
export const BLOCKS_PER_ENTRY = 400;

/** How far a block may be from the first one of its entry: the distance has 32 bits. */
const distanceLimit = 2 ** 32 - 1;

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

  add(block: number, occurredAt: number): void {
    const { blocks } = this;
    if (blocks.length === 0 || blocks[blocks.length - 1] !== block) blocks.push(block);
    if (occurredAt < this.least) this.least = occurredAt;
    if (occurredAt > this.greatest) this.greatest = occurredAt;
  }
}

/** The writer's side. Everything happens within its transactions. */
export class PostingWriter {
  private readonly environment: Environment;
  private readonly indexEvery: number;
  private readonly keys = new KeyWriter();
  private readonly value: Buffer = Buffer.alloc(POSTING_HEADER_BYTES + 4 * BLOCKS_PER_ENTRY);
  private readonly indexedValue: Buffer = Buffer.alloc(8);
  private readonly names = new Map<Dimension, Map<string, Posting>>();
  private waiting = 0;
  private isLoaded = false;

  /** `indexEvery`: how many blocks to wait for, at most {@link BLOCKS_PER_ENTRY}. */
  constructor(environment: Environment, indexEvery: number) {
    this.environment = environment;
    this.indexEvery = indexEvery;
  }

  /** Before anything is added: what earlier transactions have left to index. */
  load(): void {
    if (this.isLoaded) return;
    const { blocks } = this.environment;
    const block = new Block();
    const frame = new FrameReader(Buffer.alloc(0));
    const start = Buffer.from(this.keys.block(readNumber(this.environment, indexedKey) + 1));
    for (const { key, value } of blocks.getRange({ start })) {
      block.over(lastNumber(key), value);
      frame.over(value);
      for (let i = 0; i < block.count; i++) this.add(frame.at(block.frameAt(i)), frame.aggregateType, block.key);
      this.waiting++;
    }
    this.isLoaded = true;
  }

  /** An event lies in this block. */
  add(frame: FrameReader, aggregateType: string, block: number): void {
    const { occurredAt } = frame;
    this.posting(Dimension.everything, '', block).add(block, occurredAt);
    this.posting(Dimension.aggregateType, aggregateType, block).add(block, occurredAt);
    this.posting(Dimension.eventType, frame.name, block).add(block, occurredAt);
  }

  /** All events of this block have been added, and it is the newest. */
  sealed(block: number): void {
    if (++this.waiting < this.indexEvery) return;
    for (const postings of this.names.values()) {
      for (const posting of postings.values()) if (posting.blocks.length > 0) this.put(posting);
    }
    this.indexedValue.writeDoubleLE(block, 0);
    this.environment.root.putSync(indexedKey, this.indexedValue);
    this.waiting = 0;
  }

  /** The transaction has failed: what is remembered is not true. */
  forget(): void {
    this.names.clear();
    this.waiting = 0;
    this.isLoaded = false;
  }

  /**
   * The posting that names `block` next. One whose first block is too far back is written before: outcomes and messages
   * take positions too, so few blocks may lie among many positions. A later start writes the same entry again.
   */
  private posting(dimension: Dimension, name: string, block: number): Posting {
    let postings = this.names.get(dimension);
    if (postings === undefined) {
      postings = new Map();
      this.names.set(dimension, postings);
    }
    let posting = postings.get(name);
    if (posting === undefined) {
      posting = new Posting(dimension, name, this.lastRunningMax(dimension, name));
      postings.set(name, posting);
    }
    const { blocks } = posting;
    if (blocks.length > 0 && block - blocks[0]! > distanceLimit) this.put(posting);
    return posting;
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

/** The blocks indexed under this name, from block `from` to block `to`, ascending; none whose times are all outside `span`. */
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
