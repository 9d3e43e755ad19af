// The embedded store as the flusher drives it: whose it is, how it is opened and closed. Owned by the flush thread.
import { dirname } from 'node:path';
import { dateMs } from '../../../base/clock.ts';
import { isError, TrunklineError } from '../../../base/errors.ts';
import { type CommitSize, LmdbRoom, prepareFile } from '../../../base/lmdb-file.ts';
import type { Batch } from '../../../log/sink.ts';
import type { LocalSink, LocalSinkSettings } from '../../../store/local.ts';
import { damaged, dataFileOf, type Environment, type Holds, identityKey, openEnvironment } from './environment.ts';
import { STORE_FORMAT } from './layout.ts';
import { cacheBlockLimit, LocalCache } from './local-cache.ts';
import { markClean, markInUse, needsProbe } from './marker.ts';
import { BLOCKS_PER_ENTRY } from './postings.ts';
import { probe } from './probe.ts';
import { StoreWriter } from './writer.ts';

export interface EmbeddedSettings extends LocalSinkSettings {
  /** See `postings.ts`; smaller in tests. */
  indexEvery?: number;
}

/** What the file grows by beyond what is needed. */
const aheadBytes = 2 << 20;

export class EmbeddedSink implements LocalSink {
  private readonly folder: string;
  private readonly logId: string;
  private readonly settings: EmbeddedSettings;
  private environment: Environment | undefined;
  private writer: StoreWriter | undefined;
  private room: LmdbRoom | undefined;
  private failure: TrunklineError | undefined;

  constructor(folder: string, logId: string, settings: EmbeddedSettings = {}) {
    this.settings = settings;
    this.folder = folder;
    this.logId = logId;
  }

  /** @throws StoreDamaged, DataDirNewerFormat, DiskFull */
  async open(): Promise<number> {
    const { folder } = this;
    prepareFile(dataFileOf(folder));
    if (needsProbe(folder)) await probe(folder);
    markInUse(folder);
    const environment = openEnvironment(folder, false);
    try {
      const { root, blocks, heads, snapshots, receipts, expiries, postings } = environment;
      const tables = [root, blocks, heads, snapshots, receipts, expiries, postings];
      this.room = new LmdbRoom(dataFileOf(folder), tables, aheadBytes);
      claim(environment, this.logId, this.settings);
      const { indexEvery = BLOCKS_PER_ENTRY, cache, control } = this.settings;
      const kept = cache && new LocalCache(environment, cache.storedPosition, cache.blockLimit ?? cacheBlockLimit);
      this.writer = new StoreWriter(environment, {
        indexEvery,
        cache: kept,
        settled: () => control?.position('settled') ?? 0,
        admit: (size) => this.checkRoom(size),
      });
      control?.publish('keyClockAhead', this.writer.keyClockAhead);
      control?.publish('settledBefore', this.writer.settledBefore);
      this.environment = environment;
      return this.writer.checkpoint;
    } catch (error) {
      await environment.root.close();
      this.room?.close();
      throw error;
    }
  }

  /**
   * A commit that fails on the disk is the last one: LMDB may refuse every further transaction from then on, and has been
   * seen to corrupt the process's memory in them. Nothing is lost: the log keeps what is not stored.
   * @throws StoreFailed; StoreUnavailable while the disk is full
   */
  write(batch: Batch): void {
    this.commit((writer) => writer.write(batch));
  }

  /** In a local cache: another log has written these aggregates. @throws as `write` does */
  loseOwnership(aggregates: Iterable<{ type: string; id: string }>): void {
    this.commit((writer) => writer.loseOwnership([...aggregates]));
  }

  private commit(action: (writer: StoreWriter) => void): void {
    if (this.failure) throw this.failure;
    try {
      action(this.writer!);
    } catch (error) {
      if (error instanceof TrunklineError) throw error; // ours, before anything was written
      const details = { dataDir: dirname(this.folder), cause: String(error) };
      this.failure = new TrunklineError('StoreFailed', details, { cause: error });
      throw this.failure;
    }
  }

  async close(): Promise<void> {
    await this.environment?.root.close();
    this.room?.close();
    if (!this.failure) markClean(this.folder);
  }

  /** A full disk is no failure as long as no commit runs into it. @throws StoreUnavailable */
  private checkRoom(size: CommitSize): void {
    try {
      this.room!.require(size);
    } catch (error) {
      if (!isError(error, 'DiskFull')) throw error;
      throw new TrunklineError('StoreUnavailable', { store: 'embedded', cause: error.message }, { cause: error });
    }
  }
}

/** A store belongs to one log: its positions mean nothing in another. */
function claim(
  environment: Environment,
  logId: string,
  { cache, logBegins = 1, hasBegun = false }: EmbeddedSettings,
): void {
  const { identity, root, folder } = environment;
  const holds: Holds = cache === undefined ? 'events' : 'memory';
  if (identity === undefined) {
    // A log that has had a store before has been given this identity before its first event. A local cache may be new: what
    // it does not know is asked for elsewhere. Outcomes of idempotent commands are nowhere else, once it has begun.
    if (logBegins > 1 && (cache === undefined || hasBegun))
      throw damaged(folder, `it is gone, and the log begins at ${logBegins}: what was before is nowhere`);
    const fresh = Buffer.from(JSON.stringify({ format: STORE_FORMAT, logId, holds, since: dateMs() }));
    root.transactionSync(() => root.putSync(identityKey, fresh));
  } else if (identity.logId !== logId) {
    throw damaged(folder, `it belongs to log ${identity.logId}, and the log here is ${logId}`);
  } else if (identity.holds !== holds) {
    const reason =
      holds === 'memory'
        ? 'this data directory keeps its events itself; begin another one for a store elsewhere'
        : 'the events of this data directory are in a store elsewhere; name it';
    throw new TrunklineError('InvalidOptions', { option: 'store', reason });
  }
}
