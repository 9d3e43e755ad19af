// The embedded store as the flusher drives it: whose it is, how it is opened and closed. Owned by the flush thread.

import { TrunklineError } from '../../errors.ts';
import type { Batch, Sink } from '../../flush/flush.ts';
import { damaged, type Environment, type Holds, identityKey, openEnvironment } from './environment.ts';
import { STORE_FORMAT } from './layout.ts';
import { markClean, markInUse, needsProbe, syncFolder } from './marker.ts';
import { Memory, memoryBlockLimit } from './memory.ts';
import { BLOCKS_PER_ENTRY } from './postings.ts';
import { probe } from './probe.ts';
import { StoreWriter } from './writer.ts';

/** For a sink that writes a {@link Memory}. */
export interface MemoryOptions {
  storedPosition(): number;
  blockLimit?: number;
}

export class EmbeddedSink implements Sink {
  private readonly folder: string;
  private readonly logId: string;
  private readonly indexEvery: number;
  private readonly memory: MemoryOptions | undefined;
  private environment: Environment | undefined;
  private writer: StoreWriter | undefined;

  /** `indexEvery`: see `postings.ts`; smaller in tests. */
  constructor(folder: string, logId: string, indexEvery: number = BLOCKS_PER_ENTRY, memory?: MemoryOptions) {
    this.folder = folder;
    this.logId = logId;
    this.indexEvery = indexEvery;
    this.memory = memory;
  }

  /** @throws StoreDamaged, DataDirNewerFormat */
  async open(): Promise<number> {
    const { folder } = this;
    if (needsProbe(folder)) await probe(folder);
    markInUse(folder);
    const environment = openEnvironment(folder, false);
    try {
      claim(environment, this.logId, this.memory === undefined ? 'events' : 'memory');
      syncFolder(folder); // the data file's own entry
      const memory =
        this.memory && new Memory(environment, this.memory.storedPosition, this.memory.blockLimit ?? memoryBlockLimit);
      this.writer = new StoreWriter(environment, this.indexEvery, memory);
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

  /** In a memory: another log has written these aggregates. */
  contest(aggregates: Iterable<{ type: string; id: string }>): void {
    this.writer!.contest(aggregates);
  }

  async close(): Promise<void> {
    await this.environment?.root.close();
    markClean(this.folder);
  }
}

/** A store belongs to one log: its positions mean nothing in another. */
function claim(environment: Environment, logId: string, holds: Holds): void {
  const { identity, root, folder } = environment;
  if (identity === undefined) {
    const fresh = Buffer.from(JSON.stringify({ format: STORE_FORMAT, logId, holds, since: Date.now() }));
    root.transactionSync(() => root.putSync(identityKey, fresh));
  } else if (identity.logId !== logId) {
    throw damaged(folder, `it belongs to log ${identity.logId}, and the log here is ${logId}`);
  } else if (identity.holds !== holds) {
    const reason =
      holds === 'memory'
        ? 'this data directory keeps its events itself; begin another one for a store elsewhere'
        : 'the events of this data directory are in a store elsewhere; name it';
    throw new TrunklineError('InvalidOptions', { option: 'store', value: holds, reason });
  }
}
