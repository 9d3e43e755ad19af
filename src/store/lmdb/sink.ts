// The embedded store as the flusher drives it. Opening: a store that did not end in order is examined in a process of its
// own first, since opening a damaged one can take the process with it.
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Batch, Sink } from '../../flush/flush.ts';
import { syncFolder } from '../folder.ts';
import { damaged, dataFileOf, type Environment, identityKey, openEnvironment, readIdentity } from './environment.ts';
import { STORE_FORMAT } from './layout.ts';
import { probe } from './probe.ts';
import { StoreWriter } from './writer.ts';

/** Stands while nobody writes: removed before the store is opened, made after it is closed. */
const cleanMarkerOf = (folder: string): string => join(folder, 'clean');

export class EmbeddedSink implements Sink {
  private readonly folder: string;
  private readonly logId: string;
  private environment: Environment | undefined;
  private writer: StoreWriter | undefined;

  constructor(folder: string, logId: string) {
    this.folder = folder;
    this.logId = logId;
  }

  async open(): Promise<number> {
    const { folder } = this;
    const marker = cleanMarkerOf(folder);
    if (existsSync(dataFileOf(folder)) && !existsSync(marker)) await probe(folder);
    rmSync(marker, { force: true });
    syncFolder(folder);
    this.environment = openEnvironment(folder, false);
    this.claim(this.environment);
    syncFolder(folder); // the data file's own entry
    this.writer = new StoreWriter(this.environment);
    return this.writer.checkpoint;
  }

  write(batch: Batch): void {
    this.writer!.write(batch);
  }

  async close(): Promise<void> {
    await this.environment?.root.close();
    writeFileSync(cleanMarkerOf(this.folder), '');
    syncFolder(this.folder);
  }

  /** A store belongs to one log: its positions mean nothing in another. */
  private claim(environment: Environment): void {
    const identity = readIdentity(environment);
    environment.root.resetReadTxn();
    if (identity === undefined) {
      const fresh = { format: STORE_FORMAT, logId: this.logId };
      environment.root.transactionSync(() => environment.meta.putSync(identityKey, Buffer.from(JSON.stringify(fresh))));
    } else if (identity.logId !== this.logId) {
      throw damaged(this.folder, `it belongs to log ${identity.logId}, and the log here is ${this.logId}`);
    }
  }
}
