// The ring: one producer, bytes in shared memory, no lock, no compare-and-swap, no allocation. It carries groups: all that
// one command has to say (its frames for the log, then its reply), published by one store and read whole.
//
// Shared memory:            word 0    head      bytes published so far          producer → readers
//   (each on its own        word 16   written   bytes whose frames are in the log  log thread → last reader
//    cache line)            word 32   tail      bytes that may be reused        last reader → producer
//                           word 48   roomnotifier of a producer that waits for room (see notifier.ts)
//   256 …                   capacity + capacity / 2 bytes of groups
//
// The words are the lower 32 bits of counts that never wrap (see count.ts). A group starts at `count & mask` and is
// contiguous: one that would cross the end runs on into the spare half behind it, so that no group is ever split, padded
// or moved. Hence the bound: a group takes at most half the capacity.
//
// Group, 8-aligned:
//   0        4      5       6      8                16           20        24       28       32        36      40
//   ├ bytes  ┼ kind ┼ flags ┼ —    ┼ firstPosition  ┼ logged     ┼ frames  ┼ slot   ┼ version┼ reply   ┼ —    ┼ frames … reply …
//   │ whole  │ u8   │ u8    │      │ f64, log       │ bytes of   │ in them │ u32    │ u32    │ bytes   │      │
//   │ u32    │      │       │      │ thread's       │ frames u32 │ u32     │        │        │ u32     │      │
//
// The log thread writes firstPosition in place before it publishes `written`; the last reader reads it there.

//
// Sealing: what replaces the thread at one end of a ring sets the lowest bit of the word that this thread moves (`head`
// of a producer, `tail` of a reader). Both are moved by compare-and-exchange, so that either the move or the seal comes
// first: after `sealHead` no group is ever published, after `sealTail` none is ever taken, however late the old thread wakes.
import { sealedBit, wordOf } from './count.ts';

export const GROUP_HEADER_BYTES = 40;
const RING_HEADER_BYTES = 256;

export const Word = { head: 0, written: 16, tail: 32, room: 48 } as const;

/** What a group is to the last reader. The log thread looks only at its frames. */
export const GroupKind = {
  /** shard → caller: the outcome of the command in `slot` */
  reply: 1,
  /** shard → caller: a question to another aggregate; nothing for the log */
  ask: 2,
  /** caller → log, on the caller's own ring */
  publish: 3,
  /** caller → shard, on a command ring */
  command: 4,
  /** caller → shard: the answer to an ask */
  answer: 5,
  /** caller → shard: no promise waits for the command in `slot` any more */
  cancel: 6,
  /** caller → shard: the store has refused events of this aggregate; `slot` is the fence's number */
  fence: 7,
  /** shard → caller: that aggregate's actor has gone; 0: more follows */
  fenced: 8,
} as const;
export type GroupKind = (typeof GroupKind)[keyof typeof GroupKind];

export const GroupFlag = {
  /** reply: the caller waits for `raised` only, so ring it at once */
  ackOnRaise: 1,
  /** reply: the reply part is a value (else an error) */
  value: 2,
  /** reply: there is no value at all: the command returned undefined */
  nothing: 4,
  /** reply: this is the outcome of an earlier command with the same idempotency key */
  repeated: 8,
  /** some of the frames are messages to other aggregates */
  messages: 16,
  /** command: sent by an aggregate, not by a user; it has a reserve at every bound */
  internal: 32,
  /** command: its caller waits for `stored` or `published` */
  stored: 64,
  /** command: it reads the state, and adds nothing to the log */
  read: 128,
} as const;

let firstCount = 0;

/** For tests: where the counts of rings begin that this thread makes from now on; a multiple of 8. */
export function beginRingsAt(count: number): void {
  firstCount = count;
}

/** Shared memory of a ring; pages that are never touched cost nothing. */
export function createRing(capacityBytes: number): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(RING_HEADER_BYTES + capacityBytes + capacityBytes / 2);
  const words = new Int32Array(memory, 0, RING_HEADER_BYTES / 4);
  for (const word of [Word.head, Word.written, Word.tail]) words[word] = wordOf(firstCount);
  return memory;
}

/** The producer has been replaced: it publishes nothing any more. Any thread. */
export function sealHead(ring: SharedArrayBuffer): void {
  Atomics.or(new Int32Array(ring, 0, RING_HEADER_BYTES / 4), Word.head, sealedBit);
}

/** The last reader has been replaced: it takes nothing any more. Any thread. */
export function sealTail(ring: SharedArrayBuffer): void {
  Atomics.or(new Int32Array(ring, 0, RING_HEADER_BYTES / 4), Word.tail, sealedBit);
}

/** Thrown at the end of a ring whose thread has been replaced: it must end, and can do no harm until then. */
export class RingSealed extends Error {
  constructor() {
    super('this thread has been replaced, and its ring is sealed');
    this.name = 'RingSealed';
  }
}

/** The views that either side needs. */
export class RingMemory {
  readonly words: Int32Array;
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly capacity: number;
  readonly mask: number;
  readonly groupLimit: number;

  constructor(memory: SharedArrayBuffer) {
    this.words = new Int32Array(memory, 0, RING_HEADER_BYTES / 4);
    this.capacity = ((memory.byteLength - RING_HEADER_BYTES) / 3) * 2;
    this.mask = this.capacity - 1;
    this.groupLimit = this.capacity / 2;
    this.bytes = Buffer.from(memory, RING_HEADER_BYTES);
    this.view = new DataView(memory, RING_HEADER_BYTES);
  }
}
