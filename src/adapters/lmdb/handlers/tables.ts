// The tables in LMDB: written by a thread of their own, read here. Owned by the host thread.
//
// Invariant: every read looks at the newest commit, and holds no snapshot afterwards.

import { dirname } from 'node:path';
import { existsSync } from '../../../base/disk.ts';
import { TrunklineError } from '../../../base/errors.ts';
import { guarded } from '../../../base/guarded.ts';
import { compareKeys } from '../../../base/key-order.ts';
import { Thread } from '../../../base/thread.ts';
import type { Change, Entry, HandlerStateStore, KeyRange } from '../../../handler-state/handler-state-store.ts';
import { dataFileOf, type Environment, keyOf, openEnvironment } from './environment.ts';
import { checkOrigin, type LogHere } from './origin.ts';
import { markClean, markInUse, openingIsSafe } from './probe.ts';
import type { WriteReply, WriteRequest, WriteThreadData } from './write-thread.ts';

export class LmdbTables implements HandlerStateStore {
  private readonly thread: Thread | undefined;
  private readonly environment: Environment;
  private readonly folder: string;
  private hasFailed = false;
  private waiting: { resolve(): void; reject(error: unknown): void } | undefined;

  private constructor(environment: Environment, thread: Thread | undefined, folder: string) {
    this.environment = environment;
    this.folder = folder;
    this.thread = thread;
    thread?.port.on(
      'message',
      guarded(({ error, isFinal }: WriteReply) => {
        const { waiting } = this;
        this.waiting = undefined;
        if (isFinal) this.hasFailed = true;
        if (error === undefined) waiting?.resolve();
        else if (isFinal)
          waiting?.reject(new TrunklineError('StoreFailed', { dataDir: dirname(folder), cause: error }));
        else waiting?.reject(unavailable(error));
      }),
    );
    thread?.ended.then(
      () => this.waiting?.reject(unavailable('its thread has ended')),
      (error: Error) => this.waiting?.reject(unavailable(error.message)),
    );
  }

  /**
   * Open for reading and writing: by the owner of the data directory alone. `log`: the one that is here; where it is not known
   * it, nothing is checked against it.
   * @throws StoreDamaged, LogDamaged, StoreUnavailable
   */
  static async open(folder: string, log?: LogHere): Promise<LmdbTables> {
    await openingIsSafe(folder);
    markInUse(folder);
    const data: WriteThreadData = { folder, logId: log?.logId };
    const thread = new Thread('handlers', './write-thread', import.meta.url, data, []);
    await new Promise<void>((resolve, reject) => {
      thread.port.once(
        'message',
        guarded(({ error }: WriteReply) => (error === undefined ? resolve() : reject(unavailable(error)))),
      );
      thread.ended.catch(reject);
    }).catch(async (error: unknown) => {
      thread.port.postMessage(null satisfies WriteRequest);
      await thread.ended.catch(() => {});
      throw error;
    });
    const tables = new LmdbTables(openEnvironment(folder, true), thread, folder);
    try {
      if (log) checkOrigin(tables, log, dirname(folder));
    } catch (error) {
      await tables.close();
      throw error;
    }
    return tables;
  }

  /** Open for reading alone, from any process; undefined if nothing has been kept yet. */
  static read(folder: string): LmdbTables | undefined {
    return existsSync(dataFileOf(folder))
      ? new LmdbTables(openEnvironment(folder, true), undefined, folder)
      : undefined;
  }

  get(table: string, key: string): string | undefined {
    return this.fresh(() => this.environment.getBinaryFast(keyOf(table, key))?.toString());
  }

  range(table: string, { prefix = '', start = prefix, end, limit = Number.MAX_SAFE_INTEGER }: KeyRange): Entry[] {
    const wanted = keyOf(table, prefix);
    const first = keyOf(table, compareKeys(start, prefix) < 0 ? prefix : start);
    const last = end === undefined ? undefined : keyOf(table, end);
    const skipped = Buffer.byteLength(table) + 1;
    return this.fresh(() => {
      const entries: Entry[] = [];
      for (const { key, value } of this.environment.getRange({ start: first })) {
        const bytes = Buffer.from(key);
        if (bytes.length < wanted.length || bytes.compare(wanted, 0, wanted.length, 0, wanted.length) !== 0) break;
        if (entries.length === limit || (last && bytes.compare(last) >= 0)) break;
        entries.push({ key: bytes.toString('utf8', skipped), json: value.toString() });
      }
      return entries;
    });
  }

  /** One at a time. */
  commit(changes: readonly Change[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      this.thread!.port.postMessage({ changes } satisfies WriteRequest);
    });
  }

  async close(): Promise<void> {
    this.thread?.port.postMessage(null satisfies WriteRequest);
    await this.thread?.ended;
    await this.environment.close();
    if (this.thread && !this.hasFailed) markClean(this.folder);
  }

  private fresh<T>(read: () => T): T {
    this.environment.resetReadTxn();
    try {
      return read();
    } finally {
      this.environment.resetReadTxn();
    }
  }
}

const unavailable = (cause: string): TrunklineError =>
  new TrunklineError('StoreUnavailable', { store: "handlers'", cause });
