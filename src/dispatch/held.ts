// What messages take of the heap while they wait. Host thread.
import type { Message } from '../wire/message.ts';

/** A part of the heap that Node has even in a container of 256 MiB. */
const limitBytes = 32 << 20;
/** Beside the texts of a message: its strings, its place in the lane, the lane, and the attempt in progress. */
const bytesBeside = 1024;
/** A position. */
export const positionBytes = 8;

/** A character takes one byte or two. */
export const heapBytesOf = ({ inputJson, metadataJson }: Message): number =>
  bytesBeside + 2 * (inputJson.length + metadataJson.length);

export class Held {
  readonly limit: number;
  private taken = 0;

  constructor(limit: number = limitBytes) {
    this.limit = limit;
  }

  get bytes(): number {
    return this.taken;
  }

  take(bytes: number): void {
    this.taken += bytes;
  }

  release(bytes: number): void {
    this.taken -= bytes;
  }

  /** Nothing more is taken in. */
  get isFull(): boolean {
    return this.bytes >= this.limit;
  }

  /** From here on a lane has one message in memory: the rest is for lanes that have none. */
  get isNarrow(): boolean {
    return this.bytes >= this.limit / 2;
  }

  /** Worth reading on: somewhat below the limit, so that not each message that ends makes for a reading. */
  get hasRoom(): boolean {
    return this.bytes < this.limit - this.limit / 8;
  }
}
