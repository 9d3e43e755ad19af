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
  private readonly logBegins: number;
  private environment: Environment | undefined;
  private writer: StoreWriter | undefined;

  /**
   * `indexEvery`: see `postings.ts`; smaller in tests. `logBegins`: the first position that the log still has, or will give
   * out next; what lies before it can be in the store alone.
   */
  constructor(folder: string, logId: string, indexEvery: number = BLOCKS_PER_ENTRY, logBegins = 1) {
    this.logBegins = logBegins;
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
      claim(environment, this.logId, this.logBegins);
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
function claim(environment: Environment, logId: string, logBegins: number): void {
  const { identity, root, folder } = environment;
  if (identity === undefined) {
    // A log that has had a store before has been given this identity before its first event.
    if (logBegins > 1)
      throw damaged(folder, `it is gone, and the log begins at ${logBegins}: what was before is nowhere`);
    const fresh = Buffer.from(JSON.stringify({ format: STORE_FORMAT, logId }));
    root.transactionSync(() => root.putSync(identityKey, fresh));
  } else if (identity.logId !== logId) {
    throw damaged(folder, `it belongs to log ${identity.logId}, and the log here is ${logId}`);
  }
}
