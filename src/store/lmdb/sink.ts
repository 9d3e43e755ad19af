// The embedded store as the flusher drives it: whose it is, how it is opened and closed. Owned by the flush thread.
import type { Batch, Sink } from '../../flush/flush.ts';
import { damaged, type Environment, identityKey, openEnvironment } from './environment.ts';
import { STORE_FORMAT } from './layout.ts';
import { markClean, markInUse, needsProbe, syncFolder } from './marker.ts';
import { BLOCKS_PER_ENTRY } from './postings.ts';
import { probe } from './probe.ts';
import { StoreWriter } from './writer.ts';

export class EmbeddedSink implements Sink {
  private readonly folder: string;
  private readonly logId: string;
  private readonly indexEvery: number;
  private environment: Environment | undefined;
  private writer: StoreWriter | undefined;

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

  write(batch: Batch): void {
    this.writer!.write(batch);
  }

  async close(): Promise<void> {
    await this.environment?.root.close();
    markClean(this.folder);
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
