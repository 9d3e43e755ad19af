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

export interface EmbeddedSettings {
  /** See `postings.ts`; smaller in tests. */
  indexEvery?: number;
  /** The first position that the log still has, or will give out next; what lies before it can be in the store alone. */
  logBegins?: number;
  /** Write a {@link Memory}: the store is elsewhere, and has come to `storedPosition()`. */
  memory?: { storedPosition(): number; blockLimit?: number };
}

export class EmbeddedSink implements Sink {
  private readonly folder: string;
  private readonly logId: string;
  private readonly settings: EmbeddedSettings;
  private environment: Environment | undefined;
  private writer: StoreWriter | undefined;

  constructor(folder: string, logId: string, settings: EmbeddedSettings = {}) {
    this.settings = settings;
    this.folder = folder;
    this.logId = logId;
  }

  /** @throws StoreDamaged, DataDirNewerFormat */
  async open(): Promise<number> {
    const { folder } = this;
    if (needsProbe(folder)) await probe(folder);
    markInUse(folder);
    const environment = openEnvironment(folder, false);
    try {
      claim(environment, this.logId, this.settings);
      syncFolder(folder); // the data file's own entry
      const { indexEvery = BLOCKS_PER_ENTRY, memory } = this.settings;
      const kept = memory && new Memory(environment, memory.storedPosition, memory.blockLimit ?? memoryBlockLimit);
      this.writer = new StoreWriter(environment, indexEvery, kept);
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
function claim(environment: Environment, logId: string, { memory, logBegins = 1 }: EmbeddedSettings): void {
  const { identity, root, folder } = environment;
  const holds: Holds = memory === undefined ? 'events' : 'memory';
  if (identity === undefined) {
    // A log that has had a store before has been given this identity before its first event. A memory may be new: what it
    // does not know is asked for elsewhere.
    if (logBegins > 1 && memory === undefined)
      throw damaged(folder, `it is gone, and the log begins at ${logBegins}: what was before is nowhere`);
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
