// The batch that a flusher fills from the log: frames copied one after the other into one buffer, used again and again.
// Owned by one flusher. Invariant: it ends with a group's last frame.

import type { Chunk } from '../log/log.ts';
import type { Batch } from '../log/sink.ts';
import { decodeEvent, type StoredEvent } from '../model/event.ts';
import { FrameKind, FrameReader } from '../wire/frame.ts';

export class BatchBuffer implements Batch {
  private buffer: Buffer = Buffer.allocUnsafeSlow(1 << 16);
  private used = 0;
  followsLoss = false;
  fromPosition = 0;
  toPosition = 0;
  count = 0;
  /** Positions of events that the sink has refused. */
  private readonly refused = new Map<number, string>();

  get bytes(): Buffer {
    return this.buffer.subarray(0, this.used);
  }

  get byteCount(): number {
    return this.used;
  }

  /** Start again: the next frame taken has this position. */
  begin(fromPosition: number, followsLoss = false): void {
    this.followsLoss = followsLoss;
    this.fromPosition = fromPosition;
    this.toPosition = fromPosition - 1;
    this.count = 0;
    this.used = 0;
    this.refused.clear();
  }

  /** Leave an event out from now on; false if it is no event of this batch, or left out already. */
  refuse(position: number, reason: string): boolean {
    if (this.refused.has(position)) return false;
    for (const event of this.events()) {
      if (event.position !== position) continue;
      this.refused.set(position, reason);
      return true;
    }
    return false;
  }

  /** The events that were refused, with the reasons. */
  *refusals(): IterableIterator<{ event: StoredEvent; reason: string }> {
    if (this.refused.size === 0) return;
    const frame = new FrameReader(this.bytes);
    let offset = 0;
    for (let position = this.fromPosition; position <= this.toPosition; position++) {
      frame.at(offset);
      offset = frame.next;
      const reason = this.refused.get(position);
      if (reason !== undefined) yield { event: decodeEvent(frame, position), reason };
    }
  }

  /**
   * Copy what follows the last frame taken, up to the last group that ends at or before `enough`, and one group at least if
   * that ends at or before `limit`. False if none does.
   */
  take(chunk: Chunk, limit: number, enough: number = limit): boolean {
    const from = this.toPosition + 1;
    const { firstPosition, count, frames } = chunk;
    if (firstPosition === from && firstPosition + count - 1 <= enough) {
      this.append(frames, 0, frames.length, count);
      return true;
    }
    // The sink's checkpoint, or what is synced, lies within the chunk.
    const frame = new FrameReader(frames).at(0);
    let start = -1;
    let end = 0;
    let taken = 0;
    for (let i = 0; i < count && firstPosition + i <= limit; i++) {
      if (firstPosition + i === from) start = frame.offset;
      const { next } = frame;
      if (start >= 0 && frame.isLast) {
        if (taken > 0 && firstPosition + i > enough) break;
        end = next;
        taken = firstPosition + i - from + 1;
      }
      frame.at(next);
    }
    if (taken === 0) return false;
    this.append(frames, start, end, taken);
    return true;
  }

  private append(frames: Buffer, start: number, end: number, count: number): void {
    const bytes = end - start;
    if (this.used + bytes > this.buffer.length) {
      const grown = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(this.used + bytes)));
      this.buffer.copy(grown, 0, 0, this.used);
      this.buffer = grown;
    }
    frames.copy(this.buffer, this.used, start, end);
    this.used += bytes;
    this.count += count;
    this.toPosition += count;
  }

  *events(): IterableIterator<StoredEvent> {
    const frame = new FrameReader(this.bytes);
    let offset = 0;
    for (let position = this.fromPosition; position <= this.toPosition; position++) {
      frame.at(offset);
      offset = frame.next;
      if (frame.kind === FrameKind.event && !this.refused.has(position)) yield decodeEvent(frame, position);
    }
  }

  eachFrame(visit: (frame: FrameReader, position: number) => void): void {
    const frame = new FrameReader(this.bytes);
    let offset = 0;
    for (let position = this.fromPosition; position <= this.toPosition; position++) {
      frame.at(offset);
      offset = frame.next;
      visit(frame, position);
    }
  }
}
