// A group under construction: the frames of one command, then its reply. Written in place in the ring by synchronous
// code, or in a private stage by a command that awaits. Both are the same bytes, so that a stage is copied as it is.
import { TrunklineError } from '../../base/errors.ts';
import { alignUp, FrameFlag, type FrameKind, FrameWriter, frameBytesBound, frameBytesExact } from '../../wire/frame.ts';
import { GROUP_HEADER_BYTES, type GroupKind } from './ring.ts';

export abstract class Group {
  abstract frames: FrameWriter;
  /** Where the group starts in `frames.bytes`, and where the next frame goes. */
  start = 0;
  end: number = GROUP_HEADER_BYTES;
  frameCount = 0;
  private lastFrame = 0;
  private priorFrame = 0;

  /** Make sure that the group may grow to `bytes` in all, or throw. */
  protected abstract reserve(bytes: number): void;
  /** The same for `bytes` within the limit; false where {@link reserve} throws `RingFull`. */
  protected abstract makeRoom(bytes: number): boolean;
  protected abstract readonly limit: number;

  get isEmpty(): boolean {
    return this.frameCount === 0;
  }

  /** Append a frame; returns its offset, whose id field is the caller's to fill. */
  frame(
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
    let bytes = this.end - this.start + frameBytesBound(type, id, name, metadata, data);
    if (bytes > this.limit) bytes = this.end - this.start + frameBytesExact(type, id, name, metadata, data);
    this.reserve(bytes);
    const offset = this.end;
    const length = this.frames.write(offset, kind, schemaVersion, occurredAt, version, type, id, name, metadata, data);
    this.end = offset + alignUp(length);
    this.frameCount++;
    this.priorFrame = this.lastFrame;
    this.lastFrame = offset;
    return offset;
  }

  /**
   * Whether a frame of `frameBytes` that may be left out fits beside the frames there are and this reply: then neither it
   * nor the reply is refused. Room is made for the bounds that {@link frame} and {@link close} reserve.
   */
  takesOptional(frameBytes: number, reply: string): boolean {
    const bytes = this.end - this.start;
    if (bytes + frameBytes + alignUp(Buffer.byteLength(reply)) > this.limit) return false;
    return this.makeRoom(Math.min(this.limit, bytes + 3 * frameBytes + alignUp(3 * reply.length)));
  }

  /** Take back the last frame, at `offset`, which an error has made void. */
  dropFrame(offset: number): void {
    this.end = offset;
    this.frameCount--;
    this.lastFrame = this.priorFrame;
  }

  /** Continue an empty group with the frames that another holds. */
  copyFrom(other: Group): void {
    const bytes = other.end - other.start;
    this.reserve(bytes);
    other.frames.bytes.copy(this.frames.bytes, this.start, other.start, other.end);
    this.end = this.start + bytes;
    this.frameCount = other.frameCount;
    this.lastFrame = this.start + other.lastFrame - other.start;
  }

  /** Write the header and the reply; returns the size of the whole, aligned. */
  close(kind: GroupKind, flags: number, slot: number, version: number, reply: string): number {
    const { start, end: framesEnd } = this;
    let bytes = framesEnd - start + alignUp(3 * reply.length);
    if (bytes > this.limit) bytes = framesEnd - start + alignUp(Buffer.byteLength(reply));
    this.reserve(bytes);
    const { bytes: target, view } = this.frames;
    const replyBytes = reply === '' ? 0 : target.utf8Write(reply, framesEnd);
    if (this.frameCount > 0) this.frames.addFlags(this.lastFrame, FrameFlag.last);
    this.end = framesEnd + alignUp(replyBytes);
    const size = this.end - start;
    view.setUint32(start, size, true);
    view.setUint32(start + 4, kind | (flags << 8), true);
    view.setFloat64(start + 8, 0, true);
    view.setUint32(start + 16, framesEnd - start - GROUP_HEADER_BYTES, true);
    view.setUint32(start + 20, this.frameCount, true);
    view.setUint32(start + 24, slot, true);
    view.setUint32(start + 28, version, true);
    view.setUint32(start + 32, replyBytes, true);
    return size;
  }

  /** Begin again. */
  protected reset(start: number): void {
    this.start = start;
    this.end = start + GROUP_HEADER_BYTES;
    this.frameCount = 0;
  }

  protected tooLarge(bytes: number): never {
    throw new TrunklineError('CommandTooLarge', { bytes, limit: this.limit });
  }
}

/** A group in private memory, for commands that await and for callers that cannot wait for room in a ring. */
export class StagedGroup extends Group {
  frames: FrameWriter;
  protected readonly limit: number;

  constructor(limit: number) {
    super();
    this.limit = limit;
    this.frames = new FrameWriter(Buffer.allocUnsafe(1024));
  }

  clear(): void {
    this.reset(0);
  }

  protected reserve(bytes: number): void {
    if (bytes > this.limit) this.tooLarge(bytes);
    this.makeRoom(bytes);
  }

  protected makeRoom(bytes: number): boolean {
    if (bytes <= this.frames.bytes.length) return true;
    const grown = Buffer.allocUnsafe(Math.max(bytes, 2 * this.frames.bytes.length));
    this.frames.bytes.copy(grown, 0, 0, this.end);
    this.frames = new FrameWriter(grown);
    return true;
  }
}
