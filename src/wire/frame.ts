// The frame: the one byte layout that rings, log and stores share. What raise() writes here is what the log holds, what
// the store keeps, and (its data part) what Kafka will carry: payloads are serialised once.
//
//   0        4    5     6         8            16                32       36       38       40       42     44          48         52
//   ├ length ┼kind┼flags┼ schema  ┼ occurredAt ┼ id              ┼version ┼ type   ┼ id     ┼ name   ┼ keyId┼ metadata  ┼ data     ┼ strings …
//   │ u32    │ u8 │ u8  │ version │ f64 ms     │ 16 bytes UUIDv7 │ u32    │ length │ length │ length │ u16  │ length u32│ length   │
//   │        │    │     │ u16     │            │                 │        │ u16    │ u16    │ u16    │      │           │ u32      │
//
// Strings follow in this order, UTF-8, without separators: aggregate type, aggregate id, name, metadata JSON, data JSON.
// Little-endian. Bounds of the strings: name-limits.ts. `length` is the exact length; the next frame begins at the next multiple of 8.
import { type Bytes, toBytes } from '../base/bytes.ts';
import { TrunklineError } from '../base/errors.ts';
import { idToText } from './ids.ts';

export const FRAME_HEADER_BYTES = 52;

/** What a frame is. Numbers are part of the file format: never reuse one. */
export const FrameKind = {
  /** name = event type, data = payload */
  event: 1,
  /** outcome of a command with an idempotency key: name = the key, data = {@link import('../model/receipt.ts').Outcome} */
  receipt: 2,
  /** command for another aggregate, sent after the group is written: name = command, data = arguments */
  message: 3,
  /** state at `version`: name = the reducer's fingerprint, data = state */
  snapshot: 4,
  /** a timer is set, or cancelled: see timer.ts */
  timer: 5,
  /** how far something outside has come into the log: name = whose place, data = the place; in the group it is true for */
  place: 6,
  /** question to another aggregate, of an asker that waits for the answer: never delivered again, since no asker waits then; name = command, then who waits */
  question: 7,
  /** an answer without events rests on the aggregate's state at `version`: for the store elsewhere to confirm */
  basis: 8,
} as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

export const FrameFlag = {
  /** the last frame of its group (of its command) */
  last: 1,
  /** the event store holds it already (it came by the outbox) */
  alreadyStored: 2,
  /** reserved: data is encrypted under `keyId` */
  encrypted: 4,
} as const;

/** What a field of two bytes holds. A larger number written there would shift the fields behind it, in silence. */
const TWO_BYTES = 0xffff;

/** The lengths of a frame's names, and its schema version. The doors have smaller limits; this one is the layout's. @throws InvalidId */
export function checkTwoBytes(type: number, id: number, name: number, schemaVersion: number): void {
  if (((type | id | name | schemaVersion) & ~TWO_BYTES) === 0) return;
  const fields = { 'aggregate type': type, 'aggregate id': id, name, 'schema version': schemaVersion };
  const [what, length] = Object.entries(fields).find(([, value]) => (value & ~TWO_BYTES) !== 0)!;
  const reason = `is ${length}, and a frame holds ${TWO_BYTES} at most`;
  throw new TrunklineError('InvalidId', { what, length, limit: TWO_BYTES, reason });
}

export const alignUp = (bytes: number): number => (bytes + 7) & ~7;

/** An upper bound of a frame's aligned size, without encoding: UTF-8 takes at most 3 bytes a UTF-16 unit. */
export function frameBytesBound(type: string, id: string, name: string, metadata: string, data: string): number {
  return alignUp(FRAME_HEADER_BYTES + 3 * (type.length + id.length + name.length + metadata.length + data.length));
}

/** The exact aligned size; dearer than the bound, for what is near a limit. */
export function frameBytesExact(type: string, id: string, name: string, metadata: string, data: string): number {
  return alignUp(FRAME_HEADER_BYTES + Buffer.byteLength(type + id + name + metadata) + Buffer.byteLength(data));
}

/** Writes frames into one buffer. Allocates nothing; the caller has made sure of the room. */
export class FrameWriter {
  readonly bytes: Bytes;
  readonly view: DataView;

  constructor(bytes: Buffer) {
    this.bytes = toBytes(bytes);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Writes all but the id (sixteen bytes at `offset + 16`, the caller's); returns the frame's exact length. */
  write(
    offset: number,
    kind: FrameKind,
    schemaVersion: number,
    occurredAt: number,
    version: number,
    type: string,
    id: string,
    name: string,
    metadata: string,
    data: string,
  ): number {
    const { bytes, view } = this;
    let end = offset + FRAME_HEADER_BYTES;
    const typeLength = bytes.utf8Write(type, end);
    end += typeLength;
    const idLength = bytes.utf8Write(id, end);
    end += idLength;
    const nameLength = bytes.utf8Write(name, end);
    end += nameLength;
    checkTwoBytes(typeLength, idLength, nameLength, schemaVersion);
    const metadataLength = metadata === '' ? 0 : bytes.utf8Write(metadata, end);
    end += metadataLength;
    const dataLength = bytes.utf8Write(data, end);
    end += dataLength;
    view.setUint32(offset, end - offset, true);
    view.setUint32(offset + 4, kind | (schemaVersion << 16), true);
    view.setFloat64(offset + 8, occurredAt, true);
    view.setUint32(offset + 32, version, true);
    view.setUint32(offset + 36, typeLength | (idLength << 16), true);
    view.setUint32(offset + 40, nameLength, true); // keyId, the upper half, is 0
    view.setUint32(offset + 44, metadataLength, true);
    view.setUint32(offset + 48, dataLength, true);
    for (let padding = end; (padding & 7) !== 0; padding++) bytes[padding] = 0;
    return end - offset;
  }

  addFlags(offset: number, flags: number): void {
    this.bytes[offset + 5]! |= flags;
  }
}

/** Reads frames from one buffer, in place. Point it with `at`, read fields, move on with `next`. */
export class FrameReader {
  bytes: Bytes;
  view: DataView;
  offset = 0;
  // As they were read last: from frame to frame they are mostly the same, and a comparison is cheaper than another text.
  #type = '';
  #name = '';

  constructor(bytes: Buffer) {
    this.bytes = toBytes(bytes);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Read another buffer from now on. */
  over(bytes: Buffer): this {
    this.bytes = toBytes(bytes);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return this;
  }

  /** Read the frame that begins at this offset from now on. */
  at(offset: number): this {
    this.offset = offset;
    return this;
  }

  /** Offset of the frame after this one. */
  get next(): number {
    return this.offset + alignUp(this.length);
  }

  get length(): number {
    return this.view.getUint32(this.offset, true);
  }
  get kind(): FrameKind {
    return this.bytes[this.offset + 4] as FrameKind;
  }
  get flags(): number {
    return this.bytes[this.offset + 5]!;
  }
  get isLast(): boolean {
    return (this.flags & FrameFlag.last) !== 0;
  }
  get schemaVersion(): number {
    return this.view.getUint16(this.offset + 6, true);
  }
  get occurredAt(): number {
    return this.view.getFloat64(this.offset + 8, true);
  }
  get id(): string {
    return idToText(this.bytes, this.offset + 16);
  }
  get version(): number {
    return this.view.getUint32(this.offset + 32, true);
  }
  get typeLength(): number {
    return this.view.getUint16(this.offset + 36, true);
  }
  get idLength(): number {
    return this.view.getUint16(this.offset + 38, true);
  }
  get nameLength(): number {
    return this.view.getUint16(this.offset + 40, true);
  }
  get metadataLength(): number {
    return this.view.getUint32(this.offset + 44, true);
  }
  get dataLength(): number {
    return this.view.getUint32(this.offset + 48, true);
  }
  get aggregateType(): string {
    const start = this.offset + FRAME_HEADER_BYTES;
    const length = this.typeLength;
    if (!holds(this.bytes, start, length, this.#type)) this.#type = this.bytes.utf8Slice(start, start + length);
    return this.#type;
  }
  get aggregateId(): string {
    const start = this.offset + FRAME_HEADER_BYTES + this.typeLength;
    return this.bytes.utf8Slice(start, start + this.idLength);
  }
  get name(): string {
    const start = this.offset + FRAME_HEADER_BYTES + this.typeLength + this.idLength;
    const length = this.nameLength;
    if (!holds(this.bytes, start, length, this.#name)) this.#name = this.bytes.utf8Slice(start, start + length);
    return this.#name;
  }
  /** Metadata JSON; '' where there is none. */
  get metadataJson(): string {
    const start = this.offset + FRAME_HEADER_BYTES + this.typeLength + this.idLength + this.nameLength;
    const length = this.metadataLength;
    return length === 0 ? '' : this.bytes.utf8Slice(start, start + length);
  }
  /** The payload, in place. */
  get dataBytes(): Buffer {
    const end = this.offset + this.length;
    return (this.bytes as Buffer).subarray(end - this.dataLength, end);
  }
  get dataJson(): string {
    const end = this.offset + this.length;
    return this.bytes.utf8Slice(end - this.dataLength, end);
  }

  /** Whether the frame's lengths agree with each other and with the `limit` of what may be read. */
  isSound(limit: number): boolean {
    if (this.offset + FRAME_HEADER_BYTES > limit) return false;
    const strings = this.typeLength + this.idLength + this.nameLength + this.metadataLength + this.dataLength;
    return this.length === FRAME_HEADER_BYTES + strings && this.offset + this.length <= limit;
  }
}

/** Whether bytes are this text, if all of it is ASCII; another text never is. */
function holds(bytes: Bytes, start: number, length: number, text: string): boolean {
  if (text.length !== length) return false;
  for (let i = 0; i < length; i++) {
    const byte = bytes[start + i]!;
    if (byte > 0x7f || byte !== text.charCodeAt(i)) return false;
  }
  return true;
}

/** Index of the last event among so many frames from the start of `bytes`; -1: none is one. Without an allocation. */
export function lastEventIndex(bytes: Buffer, frames: number): number {
  let last = -1;
  for (let i = 0, offset = 0; i < frames; i++) {
    if (bytes[offset + 4] === FrameKind.event) last = i;
    offset += alignUp(bytes.readUInt32LE(offset));
  }
  return last;
}
