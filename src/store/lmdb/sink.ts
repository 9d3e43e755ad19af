// The embedded store as the flusher drives it: whose it is, how it is opened and closed. Owned by the flush thread.
import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { TrunklineError } from '../../errors.ts';
import type { Batch, Sink } from '../../flush/flush.ts';
import { damaged, type Environment, identityKey, openEnvironment } from './environment.ts';
import { STORE_FORMAT } from './layout.ts';
import { markClean, markInUse, needsProbe, syncFolder } from './marker.ts';
import { BLOCKS_PER_ENTRY } from './postings.ts';
import { probe } from './probe.ts';
import { StoreWriter } from './writer.ts';

// What a commit may take on the disk: the events, their indexes, and the pages above them that are copied.
const roomPerByte = 3;
const spareBytes = 2 << 20;

export class EmbeddedSink implements Sink {
  private readonly folder: string;
  private readonly logId: string;
  private readonly indexEvery: number;
  private environment: Environment | undefined;
  private writer: StoreWriter | undefined;
  private failure: TrunklineError | undefined;

  /** `indexEvery`: see `postings.ts`; smaller in tests. */
  constructor(folder: string, logId: string, indexEvery: number = BLOCKS_PER_ENTRY) {
    this.folder = folder;
    this.logId = logId;
    this.indexEvery = indexEvery;
  }

  /** @throws StoreDamaged, DataDirNewerFormat */
  async open(): Promise<number> {
    const { folder } = this;
    if (needsProbe(folder)) await probe(folder);
    markInUse(folder);
    const environment = openEnvironment(folder, false);
    try {
      claim(environment, this.logId);
      syncFolder(folder); // the data file's own entry
      this.writer = new StoreWriter(environment, this.indexEvery);
      this.environment = environment;
      return this.writer.checkpoint;
    } catch (error) {
      await environment.root.close();
      throw error;
    }
  }

  /**
   * A commit that fails on the disk is the last one: LMDB may refuse every further transaction from then on, and has been
   * seen to corrupt the process's memory in them. Nothing is lost: the log keeps what is not stored.
   * @throws StoreFailed; StoreUnavailable while the disk is full
   */
  write(batch: Batch): void {
    if (this.failure) throw this.failure;
    this.checkRoom(batch);
    try {
      this.writer!.write(batch);
    } catch (error) {
      if (error instanceof TrunklineError) throw error; // ours, before anything was written
      const details = { dataDir: dirname(this.folder), cause: String(error) };
      this.failure = new TrunklineError('StoreFailed', details, { cause: error });
      throw this.failure;
    }
  }

  async close(): Promise<void> {
    await this.environment?.root.close();
    if (!this.failure) markClean(this.folder);
  }

  /** A full disk is no failure as long as no commit runs into it. */
  private checkRoom(batch: Batch): void {
    const { bavail, bsize } = statfsSync(this.folder);
    const room = bavail * bsize;
    if (room >= roomPerByte * batch.bytes.length + spareBytes) return;
    throw new TrunklineError('StoreUnavailable', { store: 'embedded', cause: `the disk has ${room} bytes left` });
  }
}

/** A store belongs to one log: its positions mean nothing in another. */
function claim(environment: Environment, logId: string): void {
  const { identity, root, folder } = environment;
  if (identity === undefined) {
    const fresh = Buffer.from(JSON.stringify({ format: STORE_FORMAT, logId }));
    root.transactionSync(() => root.putSync(identityKey, fresh));
  } else if (identity.logId !== logId) {
    throw damaged(folder, `it belongs to log ${identity.logId}, and the log here is ${logId}`);
  }
}
