// The writing side of the embedded store: one batch of frames, one synced transaction. Owned by the flush thread.
//
// Invariants: events and checkpoint move together, so a batch that comes again after a crash changes nothing; per aggregate
// versions run 1, 2, 3 …, and anything else is refused as a whole, by name.

import { dateMs, monotonicMs } from '../../../base/clock.ts';
import { TrunklineError } from '../../../base/errors.ts';
import type { CommitSize } from '../../../base/lmdb-file.ts';
import type { Batch } from '../../../log/sink.ts';
import { FrameFlag, FrameKind, type FrameReader } from '../../../wire/frame.ts';
import { BlockBuilder } from './block.ts';
import { checkpointKey, type Environment, keyClockKey, readNumber, settledKey } from './environment.ts';
import { type HeadRecord, HeadTable } from './heads.ts';
import { KeyWriter } from './layout.ts';
import type { LocalCache } from './local-cache.ts';
import { PostingWriter } from './postings.ts';
import { ReceiptWriter } from './receipts.ts';

/** Entries that one frame puts at most: head, snapshot, receipt and its expiry, postings by type and by time. */
const putsPerFrame = 6;
/** Entries that upkeep removes in one commit at most, wherever they lie: receipts that have expired, old blocks. */
const removalsOfUpkeep = 1024;
/** What is put for each byte of a frame, indexes included, and for each frame whatever its length. */
const putPerByte = 1;
const putPerFrame = 600;

export interface WriterParts {
  /** So many blocks have one entry in an index. */
  readonly indexEvery: number;
  /** undefined: events are kept here, and not elsewhere. */
  readonly cache: LocalCache | undefined;
  /** Up to where outcomes of messages are needed no longer; see `settled` in control-block.ts. */
  settled(): number;
  /** Throws if there is no room for such a commit. */
  admit(size: CommitSize): void;
}

export class StoreWriter {
  private readonly environment: Environment;
  private readonly keys = new KeyWriter();
  private readonly heads: HeadTable;
  private readonly postings: PostingWriter;
  private readonly receipts: ReceiptWriter;
  private readonly blocks: BlockBuilder;
  private readonly snapshots = new Map<HeadRecord, Buffer>();
  private readonly cache: LocalCache | undefined;
  private readonly settled: () => number;
  private readonly admit: (size: CommitSize) => void;
  private readonly number: Buffer = Buffer.alloc(8);
  /** The last position that the store holds. */
  checkpoint: number;
  /** What the clock of keys is ahead of the monotonic clock, milliseconds: it goes on from where it stood at the last commit. */
  readonly keyClockAhead: number;
  /** How far messages had been carried out at the last commit of the last run. */
  readonly settledBefore: number;

  constructor(environment: Environment, { indexEvery, cache, settled, admit }: WriterParts) {
    this.environment = environment;
    this.cache = cache;
    this.heads = new HeadTable(environment);
    this.postings = new PostingWriter(environment, indexEvery);
    this.receipts = new ReceiptWriter(environment);
    this.blocks = new BlockBuilder((key, block) => {
      environment.blocks.putSync(this.keys.block(key), block, { append: true });
      if (cache === undefined) this.postings.sealed(key);
      else cache.sealed();
    });
    this.settled = settled;
    this.admit = admit;
    this.checkpoint = this.readCheckpoint();
    // A new clock begins at the date, so that it can be compared with what an older release has written.
    this.keyClockAhead = Math.round((this.read(keyClockKey) || dateMs()) - monotonicMs());
    this.settledBefore = this.read(settledKey);
  }

  /** Commit what the batch holds beyond the checkpoint. Throws with nothing changed. */
  write(batch: Batch): void {
    if (batch.toPosition <= this.checkpoint) return;
    if (batch.fromPosition > this.checkpoint + 1 && !batch.followsLoss) {
      throw new TrunklineError('PositionGone', { position: this.checkpoint + 1, firstKept: batch.fromPosition });
    }
    try {
      this.environment.root.transactionSync(() => {
        const { count, bytes } = batch;
        this.admit({
          puts: count * putsPerFrame,
          removals: removalsOfUpkeep,
          bytes: bytes.length * putPerByte + count * putPerFrame,
        });
        this.apply(batch);
      });
      this.checkpoint = batch.toPosition;
      this.heads.trim();
    } catch (error) {
      this.heads.forget();
      this.postings.forget();
      this.receipts.forget();
      this.blocks.abandon();
      this.cache?.recount();
      this.checkpoint = this.readCheckpoint(); // a commit that failed late may have happened
      throw error;
    } finally {
      this.snapshots.clear();
    }
  }

  private readCheckpoint(): number {
    return this.read(checkpointKey);
  }

  private read(key: Buffer): number {
    const { root } = this.environment;
    root.resetReadTxn();
    try {
      return readNumber(this.environment, key);
    } finally {
      root.resetReadTxn();
    }
  }

  private apply(batch: Batch): void {
    const { checkpoint, environment } = this;
    if (this.cache === undefined) this.postings.load();
    batch.eachFrame((frame, position) => {
      if (position <= checkpoint) return;
      const { kind } = frame;
      // What came by an outbox is in the store elsewhere, and no actor's.
      if (kind === FrameKind.event && (frame.flags & FrameFlag.alreadyStored) === 0) this.addEvent(frame, position);
      else if (kind === FrameKind.receipt) this.receipts.add(frame, position);
      else if (kind === FrameKind.snapshot) this.addSnapshot(frame, position);
    });
    this.blocks.seal();
    for (const [head, frame] of this.snapshots) {
      environment.snapshots.putSync(this.keys.head(head.type, head.id), frame);
    }
    this.heads.write();
    this.cache?.prune();
    const now = this.keyClockAhead + monotonicMs();
    // No further than what is synced here: behind that, a power loss may give the same positions to other messages.
    const settled = Math.max(this.settledBefore, Math.min(this.settled(), batch.toPosition));
    this.receipts.write(now, settled);
    this.put(keyClockKey, now);
    this.put(settledKey, settled);
    this.put(checkpointKey, batch.toPosition);
  }

  private put(key: Buffer, value: number): void {
    this.number.writeDoubleLE(value, 0);
    this.environment.root.putSync(key, this.number);
  }

  private addEvent(frame: FrameReader, position: number): void {
    const { blocks, postings } = this;
    const type = frame.aggregateType;
    const head = this.heads.get(type, frame.aggregateId);
    const { version } = frame;
    if (version !== head.version + 1) {
      if (this.cache === undefined) throw outOfOrder(head, head.version + 1, version, position);
      this.startAnew(head);
    }
    blocks.add(frame.bytes, frame.offset, frame.length, position, head.block, head.index);
    head.version = version;
    head.position = position;
    head.block = blocks.key;
    head.index = blocks.count - 1;
    this.heads.change(head);
    if (this.cache === undefined) postings.add(frame, type, blocks.key);
  }

  /** In a local cache: others have written what lies between, and only the store knows it. */
  private startAnew(head: HeadRecord): void {
    head.block = 0;
    head.index = 0;
    head.snapshotVersion = 0;
  }

  /** In a local cache: only the store knows these from now on. */
  loseOwnership(aggregates: readonly { type: string; id: string }[]): void {
    this.environment.root.transactionSync(() => {
      this.admit({ puts: aggregates.length, removals: 0, bytes: aggregates.length * putPerFrame });
      for (const { type, id } of aggregates) {
        const head = this.heads.get(type, id);
        head.isOwnershipLost = true;
        this.heads.change(head);
      }
      this.heads.write();
    });
  }

  /** The newest snapshot replaces the one before. */
  private addSnapshot(frame: FrameReader, position: number): void {
    const head = this.heads.get(frame.aggregateType, frame.aggregateId);
    const { version } = frame;
    if (version > head.version || version === 0) {
      if (this.cache === undefined) throw outOfOrder(head, head.version, version, position);
      this.startAnew(head);
      head.version = version;
      head.position = position;
    }
    head.snapshotVersion = version;
    this.heads.change(head);
    this.snapshots.set(head, frame.bytes.subarray(frame.offset, frame.offset + frame.length));
  }
}

function outOfOrder(head: HeadRecord, expectedVersion: number, foundVersion: number, position: number): TrunklineError {
  const { type: aggregateType, id: aggregateId } = head;
  return new TrunklineError('VersionOutOfOrder', {
    aggregateType,
    aggregateId,
    expectedVersion,
    foundVersion,
    position,
  });
}
