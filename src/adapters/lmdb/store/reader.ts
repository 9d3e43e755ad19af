// The store as a shard reads it: synchronous, on a thread that may never serve its event loop.
//
// Invariant: every call sees the newest commit, and holds no snapshot of the environment afterwards. The library would let
// go of it in a timer, which does not fire in a thread that blocks.
import { dirname } from 'node:path';
import { TrunklineError } from '../../../base/errors.ts';
import type { LocalReader } from '../../../store/local.ts';
import type { Head, LoadedAggregate, StoredReceipt } from '../../../store/store.ts';
import { FrameReader } from '../../../wire/frame.ts';
import type { BlockCache } from './block-cache.ts';
import { ChainReader } from './chain.ts';
import { damaged, type Environment, openEnvironment, readCheckpoint } from './environment.ts';
import { HeadRecord } from './heads.ts';
import { KeyWriter } from './layout.ts';
import { decodeReceipt } from './receipts.ts';

export function openEmbeddedReader(folder: string): EmbeddedReader {
  return new EmbeddedReader(openEnvironment(folder, true));
}

export class EmbeddedReader implements LocalReader {
  readonly environment: Environment;
  private readonly keys = new KeyWriter();
  readonly chain: ChainReader;
  private closed = false;

  constructor(environment: Environment, cache?: BlockCache) {
    this.environment = environment;
    this.chain = new ChainReader(environment, cache);
  }

  load(type: string, id: string, fingerprint: string): LoadedAggregate | undefined {
    return this.fresh(() => {
      const head = this.record(type, id);
      if (head === undefined) return undefined;
      const snapshot = head.snapshotVersion === 0 ? undefined : this.snapshot(head, fingerprint);
      const { chain } = this;
      chain.read(head, snapshot?.version ?? 0, head.version);
      return {
        version: head.version,
        lastPosition: head.position,
        snapshot,
        base: chain.base,
        isOwnershipLost: head.isOwnershipLost,
        eventCount: chain.count,
        frames: eachFrame(chain.frames, chain.count),
      };
    });
  }

  receipt(type: string, id: string, key: string): StoredReceipt | undefined {
    return this.fresh(() => {
      const bytes = this.environment.receipts.getBinaryFast(this.keys.receipt(type, id, key));
      return bytes && decodeReceipt(bytes);
    });
  }

  receiptKeys(type: string, id: string, from: number, below: number): string[] {
    return this.fresh(() => {
      const prefix = Buffer.from(this.keys.receipt(type, id, ''));
      const found: string[] = [];
      for (const { key, value } of this.environment.receipts.getRange({ start: prefix })) {
        const bytes = Buffer.from(key);
        if (!bytes.subarray(0, prefix.length).equals(prefix)) break;
        const version = value.readUInt32LE(16);
        if (version >= from && version < below) found.push(bytes.toString('utf8', prefix.length));
      }
      return found;
    });
  }

  head(type: string, id: string): Head | undefined {
    return this.fresh(() => {
      const record = this.record(type, id);
      return record && !record.isOwnershipLost ? { version: record.version, position: record.position } : undefined;
    });
  }

  positionOf(type: string, id: string, version: number): number {
    return this.fresh(() => {
      const record = this.record(type, id);
      if (record === undefined || version > record.version) return 0;
      const places = this.chain.places(record, version - 1);
      return places.length > record.version - version ? places[0]!.position : 0;
    });
  }

  /** When this environment was made. */
  get since(): number {
    return this.environment.identity?.since ?? Number.POSITIVE_INFINITY;
  }

  checkpoint(): number {
    return this.fresh(() => readCheckpoint(this.environment));
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.environment.root.close();
  }

  /**
   * Look at the newest commit, and let go of it.
   * @throws StoreFailed: after a commit that failed on the disk LMDB may refuse to be read, too
   */
  fresh<T>(read: () => T): T {
    if (this.closed) throw new TrunklineError('RuntimeClosed', { state: 'closed' });
    const { root, folder } = this.environment;
    try {
      root.resetReadTxn();
      try {
        return read();
      } finally {
        root.resetReadTxn();
      }
    } catch (error) {
      if (error instanceof TrunklineError) throw error;
      throw new TrunklineError('StoreFailed', { dataDir: dirname(folder), cause: String(error) }, { cause: error });
    }
  }

  /** Within {@link fresh}. */
  record(type: string, id: string): HeadRecord | undefined {
    const bytes = this.environment.heads.getBinaryFast(this.keys.head(type, id));
    return bytes && new HeadRecord(type, id).decode(bytes);
  }

  private snapshot(head: HeadRecord, fingerprint: string): LoadedAggregate['snapshot'] {
    const { environment } = this;
    const bytes = environment.snapshots.getBinaryFast(this.keys.head(head.type, head.id));
    if (bytes === undefined) throw damaged(environment.folder, `the snapshot of ${head.type}/${head.id} is not there`);
    const frame = new FrameReader(bytes);
    if (frame.name !== fingerprint) return undefined;
    return { version: frame.version, fingerprint, stateJson: frame.dataJson };
  }
}

function* eachFrame(frames: Buffer, count: number): Generator<FrameReader> {
  const frame = new FrameReader(frames);
  for (let next = 0, i = 0; i < count; i++) {
    frame.at(next);
    next = frame.next;
    yield frame;
  }
}
