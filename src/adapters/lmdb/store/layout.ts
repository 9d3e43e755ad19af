// The bytes of the embedded store: some tables in one LMDB environment. Numbers in keys are big-endian, so that keys
// sort by them; numbers in values are little-endian. A *place* is where an event lies: its block's key and its index there.
//
//   blocks     key    position of the block's first event, u64
//              value  0       4       8     12    16         table
//                     ├ count ┼ table ┼ CRC ┼ key ┼ frames … ┼ count × entry, in position order
//                     │ u32   │ u32   │ u32 │ u32 │          │
//                     CRC-32: of what follows the header. Key: its lower half. The library compresses the whole (LZ4).
//              entry  0          4        6          8
//                     ├ position ┼ frame  ┼ previous ┼ previous ┤   position: minus the block's key
//                     │ u32      │ offset ┼ index    │ block    │   frame offset: in units of 8
//                     │          │ /8 u16 │ u16      │ f64      │   previous: place of the aggregate's event before; 0, 0
//
//   heads      key    type length u8, type, id
//              value  0         4          8          16      24      26
//                     ├ version ┼ snapshot ┼ position ┼ block ┼ index ┼ lost      ┼ 0 … 32   the aggregate's last event
//                     │ u32     │ version  │ f64      │ f64   │ u16   │ u8        │          snapshot version 0: none
//
//   snapshots  key    as in heads;  value  the snapshot's frame
//
//   receipts   key    type length u8, id length u8, type, id, idempotency key
//              value  0           8          16
//                     ├ expiresAt ┼ position ┼ version u32, outcome JSON
//                     │ f64       │ f64      │
//   expiries   key    latest expiresAt u64, position u64;  value  the keys of receipts, each behind its length u16
//              of messages' outcomes: messageExpiry in place of expiresAt; they go by their position alone
//
//   postings   key    dimension u8, name, 0, key of the first block u64
//              value  0             8          16         24
//                     ├ running max ┼ least    ┼ greatest ┼ u32 …   key of each further block, minus the first's
//                     │ f64 ms      │ f64 ms   │ f64 ms   │         occurredAt, of the events that the entry stands for
//
//   (root)     'identity' → JSON;  'checkpoint' → f64;  'indexed' → f64, key of the last block that postings tell of
//              'key-clock' → f64 ms, what expiresAt is compared with;  'settled' → f64, see control-block.ts

import { type Bytes, toBytes } from '../../../base/bytes.ts';
import {
  AGGREGATE_ID_BYTES_LIMIT,
  AGGREGATE_TYPE_BYTES_LIMIT,
  IDEMPOTENCY_KEY_BYTES_LIMIT,
} from '../../../base/name-limits.ts';

export const STORE_FORMAT = 1;

export const BLOCK_HEADER_BYTES = 16;
export const BLOCK_ENTRY_BYTES = 16;
/**
 * Packed by LZ4, the frames of small JSON events shrink to half and a bit more: so many bytes then fill one page of 4 KiB and
 * need no second one. A load unpacks a block for each event that is alone in one, so it should be no larger than that.
 */
export const BLOCK_BYTES: number = 7000;

export const HEAD_BYTES = 32;
export const RECEIPT_HEADER_BYTES = 20;
export const POSTING_HEADER_BYTES = 24;

/** What a posting is about. Numbers are part of the file format. */
export const Dimension = { everything: 0, eventType: 1, aggregateType: 2 } as const;
export type Dimension = (typeof Dimension)[keyof typeof Dimension];

/** Writes keys into one buffer: what a method returns is valid until the next call. */
export class KeyWriter {
  private readonly bytes: Bytes = toBytes(
    Buffer.alloc(2 + AGGREGATE_TYPE_BYTES_LIMIT + AGGREGATE_ID_BYTES_LIMIT + IDEMPOTENCY_KEY_BYTES_LIMIT + 16),
  );

  block(position: number): Buffer {
    this.bytes.writeBigUInt64BE(BigInt(position), 0);
    return this.bytes.subarray(0, 8);
  }

  head(type: string, id: string): Buffer {
    const { bytes } = this;
    const typeLength = bytes.utf8Write(type, 1);
    bytes[0] = typeLength;
    const end = 1 + typeLength + bytes.utf8Write(id, 1 + typeLength);
    return bytes.subarray(0, end);
  }

  /** What all heads of a type begin with. */
  headPrefix(type: string): Buffer {
    return this.head(type, '');
  }

  receipt(type: string, id: string, key: string): Buffer {
    const { bytes } = this;
    const typeLength = bytes.utf8Write(type, 2);
    const idLength = bytes.utf8Write(id, 2 + typeLength);
    const end = 2 + typeLength + idLength + bytes.utf8Write(key, 2 + typeLength + idLength);
    bytes[0] = typeLength;
    bytes[1] = idLength;
    return bytes.subarray(0, end);
  }

  expiry(expiresAt: number, position: number): Buffer {
    this.bytes.writeBigUInt64BE(BigInt(Math.max(0, Math.ceil(expiresAt))), 0);
    this.bytes.writeBigUInt64BE(BigInt(position), 8);
    return this.bytes.subarray(0, 16);
  }

  posting(dimension: Dimension, name: string, firstBlock: number): Buffer {
    const { bytes } = this;
    bytes[0] = dimension;
    const end = 1 + bytes.utf8Write(name, 1);
    bytes[end] = 0;
    bytes.writeBigUInt64BE(BigInt(firstBlock), end + 1);
    return bytes.subarray(0, end + 9);
  }
}

/** The number at the end of a key: a block's position, a posting's first block. */
export function lastNumber(key: Uint8Array): number {
  return Number(Buffer.from(key.buffer, key.byteOffset, key.byteLength).readBigUInt64BE(key.byteLength - 8));
}
