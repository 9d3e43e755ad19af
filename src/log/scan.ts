// The log as its raw bytes show it, without LMDB: after power loss, or when LMDB's tree is damaged. Every page may begin a
// chunk; what is whole and counts is put into order, and the one gap-free run that holds what is still needed is the
// log. Memory is bounded by the number of chunks, not by their bytes.
import { CHUNK_HEADER_BYTES, Field, framesAreSound, type ParsedChunk, readCount, readLength } from './chunk.ts';
import type { ChunkChain } from './chunk-chain.ts';
import { PAGE_BYTES, PAGE_HEADER_BYTES, pagesOf } from './layout.ts';
import type { PageFile } from './pages.ts';

/** No chunk is longer: the largest batch, and half of the largest ring on top. */
const CHUNK_BYTES_MOST = (64 << 20) + (512 << 20) + CHUNK_HEADER_BYTES;
const REPORT_LIMIT = 100;

export interface FoundChunk extends ParsedChunk {
  /** Where it begins in the file. */
  readonly offset: number;
}

export interface LeftOut {
  fromPosition: number;
  toPosition: number;
  reason: string;
}

export interface Scan {
  /** Whole chunks that count, in order of their positions. */
  whole: FoundChunk[];
  /** Chunks that announce themselves and are not whole. */
  broken: LeftOut[];
}

/** Read the whole file once. */
export function scanFile(file: PageFile, chain: ChunkChain): Scan {
  const whole: FoundChunk[] = [];
  const broken: LeftOut[] = [];
  const pages = Math.ceil(file.bytes / PAGE_BYTES);
  for (let page = 2; page < pages; ) {
    const offset = page * PAGE_BYTES + PAGE_HEADER_BYTES;
    page++;
    const header = file.read(offset, CHUNK_HEADER_BYTES);
    if (!chain.claims(header)) continue;
    const bytes = readLength(header);
    const fromPosition = header.readDoubleLE(Field.firstPosition);
    const toPosition = fromPosition + Math.max(readCount(header), 1) - 1;
    const all = bytes <= CHUNK_BYTES_MOST ? file.read(offset, bytes) : header;
    const chunk = chain.read(all);
    if (!chunk || !framesAreSound(all, chunk)) {
      broken.push({ fromPosition, toPosition, reason: 'torn or altered' });
      continue;
    }
    whole.push({ ...chunk, offset });
    page += pagesOf(bytes) - 1;
  }
  whole.sort((a, b) => a.firstPosition - b.firstPosition);
  return { whole, broken };
}

/**
 * The run of chunks that is the log. `floor` is the lowest position that is needed, as far as is known for certain: the
 * run holds it, or ends just below it because nothing is needed. Holes further down are what truncation has left.
 */
export function joinChunks(
  { whole }: Scan,
  chain: ChunkChain,
  knownFloor: number,
): { kept: FoundChunk[]; floor: number } {
  const floor = whole.reduce((highest, chunk) => Math.max(highest, chunk.floor), Math.max(1, knownFloor));
  let run: FoundChunk[] = [];
  for (const chunk of whole) {
    const last = run.at(-1);
    if (last && chunk.firstPosition < endOf(last)) continue;
    if (last && !chain.follows(last, chunk)) {
      if (endOf(last) >= floor) break;
      run = [];
    }
    run.push(chunk);
  }
  const holdsFloor = run.length > 0 && run[0]!.firstPosition <= floor && endOf(run.at(-1)!) >= floor;
  return { kept: holdsFloor ? run : [], floor };
}

/** The position after its last one. */
const endOf = (chunk: ParsedChunk): number => chunk.firstPosition + chunk.count;

/**
 * What was seen at or above `expected` and is not kept, in order and without overlaps, and what should have been there up
 * to `claimedPosition`.
 */
export function whatIsLeftOut(
  { whole, broken }: Scan,
  kept: readonly FoundChunk[],
  expected: number,
  claimedPosition: number,
): LeftOut[] {
  const seen: LeftOut[] = broken.map((range) => ({ ...range }));
  const keptOffsets = new Set(kept.map(({ offset }) => offset));
  for (const chunk of whole) {
    if (keptOffsets.has(chunk.offset)) continue;
    seen.push({ fromPosition: chunk.firstPosition, toPosition: endOf(chunk) - 1, reason: 'behind a gap' });
  }
  seen.sort((a, b) => a.fromPosition - b.fromPosition);
  const ranges: LeftOut[] = [];
  let next = expected;
  for (const { fromPosition, toPosition, reason } of seen) {
    if (toPosition < next) continue;
    if (fromPosition > next)
      add(ranges, { fromPosition: next, toPosition: fromPosition - 1, reason: 'not in the file' });
    add(ranges, { fromPosition: Math.max(fromPosition, next), toPosition, reason });
    next = toPosition + 1;
  }
  if (claimedPosition >= next)
    add(ranges, { fromPosition: next, toPosition: claimedPosition, reason: 'not in the file' });
  return ranges;
}

function add(ranges: LeftOut[], range: LeftOut): void {
  const last = ranges.at(-1);
  if (last && (last.reason === range.reason || ranges.length === REPORT_LIMIT)) last.toPosition = range.toPosition;
  else ranges.push(range);
}
