// Which chunks count, and which one follows which: the rules that keep stale bytes out of the log.
//
// - A chunk counts if it is this log's, of a known incarnation with its seed, and no later incarnation began at or before
//   its position: what the later one found lost stays lost, even where the bytes turn up again.
// - A chunk follows the one whose CRC it names, at the very next position. After damage an incarnation begins further on,
//   so that no position is given out twice; its first chunk may leave that gap, and no other may.
import { CHUNK_FORMAT, CHUNK_MAGIC, Field, type ParsedChunk, parseChunk } from './chunk.ts';
import type { RunManifest } from './run-manifest.ts';

export class ChunkChain {
  private readonly logId: Buffer;
  private readonly byNumber: Map<number, { seed: number; from: number; end: number }> = new Map();

  constructor(marker: Pick<RunManifest, 'logId' | 'incarnations'>) {
    this.logId = Buffer.from(marker.logId, 'hex');
    for (const [i, { number, seed, fromPosition }] of marker.incarnations.entries()) {
      const end = marker.incarnations[i + 1]?.fromPosition ?? Number.POSITIVE_INFINITY;
      this.byNumber.set(number, { seed, from: fromPosition, end });
    }
  }

  /** Whether a chunk that counts may begin here. Looks at the header alone, which may be lying. */
  claims(bytes: Buffer): boolean {
    if (bytes.length < Field.frames) return false;
    if (bytes.readUInt32LE(Field.magic) !== CHUNK_MAGIC || bytes.readUInt32LE(Field.format) !== CHUNK_FORMAT)
      return false;
    if (this.logId.compare(bytes, Field.logId, Field.logId + 8) !== 0) return false;
    const incarnation = this.byNumber.get(bytes.readUInt32LE(Field.incarnation));
    if (!incarnation || bytes.readUInt32LE(Field.seed) !== incarnation.seed) return false;
    const position = bytes.readDoubleLE(Field.firstPosition);
    return Number.isSafeInteger(position) && position >= incarnation.from && position < incarnation.end;
  }

  /** The chunk that begins here, if it counts and is whole. */
  read(bytes: Buffer): ParsedChunk | undefined {
    return this.claims(bytes) ? parseChunk(bytes) : undefined;
  }

  follows(previous: ParsedChunk, next: ParsedChunk): boolean {
    if (next.previousCrc !== previous.crc) return false;
    const expected = previous.firstPosition + previous.count;
    if (next.firstPosition === expected) return true;
    return next.firstPosition > expected && next.firstPosition === this.byNumber.get(next.incarnation)?.from;
  }
}
