// The chunk: what one commit puts into the log. A run of whole groups behind a header that says which log, which run of
// the program and which positions they are, so that a scan of the raw file finds it without LMDB's tree.
//
//   0       4        8         16            20     24              32      40      44       48         52    56
//   ├ magic ┼ format ┼ log id  ┼ incarnation ┼ seed ┼ firstPosition ┼ floor ┼ count ┼ bytes  ┼ previous ┼ CRC ┼ frames … zeros
//   │ u32   │ u32    │ 8 bytes │ u32         │ u32  │ f64           │ f64   │ u32   │ of the │ CRC      │ u32 │
//   │       │        │         │             │      │               │       │       │ frames │ u32      │     │
//
// Little-endian. The CRC-32 runs over bytes 0 to 51 and the frames, and starts from the seed. The zeros behind the frames
// keep every chunk above LMDB's inline limit (see lmdb.ts): LMDB then writes it once, in pages of its own, and never
// moves it. `floor` is the lowest position that anyone needed when the chunk was sealed.
import { crc32 } from 'node:zlib';
import { FRAME_HEADER_BYTES, FrameFlag } from '../wire/frame.ts';

export const CHUNK_HEADER_BYTES = 56;
/** Frames shorter than this are padded to it; LMDB's inline limit at 4 KiB pages is 2,018 bytes. */
export const CHUNK_BYTES_LEAST = 2048;
export const CHUNK_MAGIC = 0x4b4e5254; // 'TRNK'
export const CHUNK_FORMAT = 1;

export const Field = {
  magic: 0,
  format: 4,
  logId: 8,
  incarnation: 16,
  seed: 20,
  firstPosition: 24,
  floor: 32,
  count: 40,
  bytes: 44,
  previousCrc: 48,
  crc: 52,
  frames: 56,
} as const;

/** One run of the program over one log. */
export interface Incarnation {
  /** 8 random bytes, in hex: which log. */
  readonly logId: string;
  /** 1, 2, 3 …: which start of it. */
  readonly number: number;
  /** Random per start; where the CRC of its chunks begins. */
  readonly seed: number;
}

/** What a chunk says about itself. */
export interface ParsedChunk {
  readonly incarnation: number;
  readonly firstPosition: number;
  readonly count: number;
  /** Bytes of the frames, which start at {@link CHUNK_HEADER_BYTES}. */
  readonly frameBytes: number;
  readonly previousCrc: number;
  readonly crc: number;
  readonly floor: number;
}

/** Builds chunks one after the other in one buffer; chains them by their CRCs. Owned by the log thread. */
export class ChunkBuilder {
  private readonly buffer: Buffer;
  private readonly seed: number;
  private previousCrc: number;
  private crc: number;
  private end = CHUNK_HEADER_BYTES;
  frames = 0;
  firstPosition = 0;

  /** Holds `framesLimit` bytes of frames and one group of `groupLimit` on top: stop adding at `bytes >= framesLimit`. */
  constructor(identity: Incarnation, previousCrc: number, framesLimit: number, groupLimit: number) {
    this.buffer = Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES_LEAST, CHUNK_HEADER_BYTES + framesLimit + groupLimit));
    this.seed = identity.seed;
    this.previousCrc = previousCrc;
    this.crc = previousCrc;
    this.buffer.writeUInt32LE(CHUNK_MAGIC, Field.magic);
    this.buffer.writeUInt32LE(CHUNK_FORMAT, Field.format);
    this.buffer.write(identity.logId, Field.logId, 8, 'hex');
    this.buffer.writeUInt32LE(identity.number, Field.incarnation);
    this.buffer.writeUInt32LE(identity.seed, Field.seed);
  }

  /** Bytes of frames added since {@link begin}. */
  get bytes(): number {
    return this.end - CHUNK_HEADER_BYTES;
  }

  /** Start the next chunk. The one sealed before is its predecessor, unless it was for the same position: given up then. */
  begin(firstPosition: number): void {
    if (firstPosition !== this.firstPosition) this.previousCrc = this.crc;
    this.firstPosition = firstPosition;
    this.frames = 0;
    this.end = CHUNK_HEADER_BYTES;
  }

  /** Copy a whole group's frames in. */
  add(source: Buffer, start: number, end: number, frames: number): void {
    if (this.end + end - start > this.buffer.length) throw new RangeError('the chunk has no room for this group');
    source.copy(this.buffer, this.end, start, end);
    this.end += end - start;
    this.frames += frames;
  }

  /** Header, frames and padding as LMDB is to keep them: a view, valid until the next {@link begin}. */
  seal(floor: number): Buffer {
    const { buffer, end } = this;
    buffer.writeDoubleLE(this.firstPosition, Field.firstPosition);
    buffer.writeDoubleLE(floor, Field.floor);
    buffer.writeUInt32LE(this.frames, Field.count);
    buffer.writeUInt32LE(end - CHUNK_HEADER_BYTES, Field.bytes);
    buffer.writeUInt32LE(this.previousCrc, Field.previousCrc);
    const sealed = buffer.subarray(0, Math.max(end, CHUNK_BYTES_LEAST));
    if (end < CHUNK_BYTES_LEAST) buffer.fill(0, end, CHUNK_BYTES_LEAST);
    this.crc = checksum(buffer, end - CHUNK_HEADER_BYTES, this.seed);
    buffer.writeUInt32LE(this.crc, Field.crc);
    return sealed;
  }
}

function checksum(bytes: Buffer, frameBytes: number, seed: number): number {
  const header = crc32(bytes.subarray(0, Field.crc), seed);
  return crc32(bytes.subarray(CHUNK_HEADER_BYTES, CHUNK_HEADER_BYTES + frameBytes), header);
}

/** How many frames a chunk claims to hold. */
export function readCount(bytes: Buffer): number {
  return bytes.readUInt32LE(Field.count);
}

/** How long a chunk claims to be, without padding. */
export function readLength(bytes: Buffer): number {
  return CHUNK_HEADER_BYTES + bytes.readUInt32LE(Field.bytes);
}

/** The chunk at the start of `bytes`, if every byte of it is as it was sealed; undefined for anything else. */
export function parseChunk(bytes: Buffer): ParsedChunk | undefined {
  if (bytes.length < CHUNK_HEADER_BYTES || bytes.readUInt32LE(Field.magic) !== CHUNK_MAGIC) return undefined;
  if (bytes.readUInt32LE(Field.format) !== CHUNK_FORMAT) return undefined;
  const frameBytes = bytes.readUInt32LE(Field.bytes);
  const count = bytes.readUInt32LE(Field.count);
  const firstPosition = bytes.readDoubleLE(Field.firstPosition);
  const floor = bytes.readDoubleLE(Field.floor);
  if (CHUNK_HEADER_BYTES + frameBytes > bytes.length || count * FRAME_HEADER_BYTES > frameBytes) return undefined;
  if (!(Number.isSafeInteger(firstPosition) && firstPosition > 0 && Number.isSafeInteger(firstPosition + count))) {
    return undefined;
  }
  if (!Number.isSafeInteger(floor) || floor < 0) return undefined;
  const crc = bytes.readUInt32LE(Field.crc);
  if (checksum(bytes, frameBytes, bytes.readUInt32LE(Field.seed)) !== crc) return undefined;
  return {
    incarnation: bytes.readUInt32LE(Field.incarnation),
    firstPosition,
    count,
    frameBytes,
    previousCrc: bytes.readUInt32LE(Field.previousCrc),
    crc,
    floor,
  };
}

/**
 * Whether a chunk's frames are `count` whole frames that end where they should, the last one closing its group. The CRC
 * has proved the bytes whole; this proves that the writer wrote whole frames, and reads only lengths and flags.
 */
export function framesAreSound(bytes: Buffer, chunk: ParsedChunk): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset + CHUNK_HEADER_BYTES, chunk.frameBytes);
  let offset = 0;
  let lastFlags = 0;
  for (let i = 0; i < chunk.count; i++) {
    if (offset + FRAME_HEADER_BYTES > chunk.frameBytes) return false;
    const length = view.getUint32(offset, true);
    if (length < FRAME_HEADER_BYTES) return false;
    lastFlags = view.getUint8(offset + 5);
    offset += Math.ceil(length / 8) * 8;
  }
  return chunk.count > 0 && offset === chunk.frameBytes && (lastFlags & FrameFlag.last) !== 0;
}
