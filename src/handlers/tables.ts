// What handlers keep, as they see it: the store, overlaid with what has not been committed yet. Changes are staged in memory
// and committed together, one transaction at a time, off the caller's way. Owned by the caller's thread.
//
// Invariants: what was staged before a commit begins is in it, all of it; commits follow each other in order. So the store
// always holds a prefix of what happened here: a checkpoint is never ahead of the dead letter, effect or projection row
// that belongs to it, nor behind in another order.
import { setTimeout as pause } from 'node:timers/promises';
import { TrunklineError } from '../errors.ts';
import type { Change, KeyRange, MaybePromise, OwnTransaction, TableStore } from './table-store.ts';

export interface TablesSettings {
  /** How long changes may wait for others before they are committed together. */
  checkpointDelayMs: number;
  /** Beyond so many staged changes, subscriptions wait for the store. */
  stagedChangesLimit: number;
  onError(error: Error): void;
}

/** Whoever has something to say at every commit, if it has changed: a checkpoint. */
export interface Checkpointed {
  stageCheckpoint(): void;
}

interface Waiter {
  resolve(): void;
  reject(error: Error): void;
}

interface Staged {
  table: string;
  key: string;
  value: unknown;
}

const KEY_BYTES_LIMIT = 1000;
const retryMs = 100;
const retryMsLimit = 5_000;
/** At the end, how long a store that is away is waited for. */
const lastCallMs = 5_000;

export class Tables {
  private readonly openStore: () => Promise<TableStore>;
  private opening: Promise<TableStore> | undefined;
  private store: TableStore | undefined;
  private readonly settings: TablesSettings;
  private readonly dirty = new Set<Checkpointed>();
  private staged = new Map<string, Staged>();
  private committing: ReadonlyMap<string, Staged> = new Map();
  private waiters: Waiter[] = [];
  private readonly changedAt = new Map<string, number>();
  private moment = 0;
  private readers = 0;
  private running: Promise<void> | undefined;
  private hurried: () => void = () => {};
  private isHurried = false;
  private giveUpAt = Number.POSITIVE_INFINITY;
  /** Called when the store has caught up with what was staged. */
  onRoom: () => void = () => {};

  /** The store is opened when it is first needed. */
  constructor(openStore: () => Promise<TableStore>, settings: TablesSettings) {
    this.openStore = openStore;
    this.settings = settings;
  }

  get isOpen(): boolean {
    return this.opening !== undefined;
  }

  async open(): Promise<TableStore> {
    this.opening ??= this.openStore();
    try {
      this.store = await this.opening;
      return this.store;
    } catch (error) {
      this.opening = undefined;
      throw error;
    }
  }

  /** See `TableStore.begin`. @throws InvalidOptions, StoreUnavailable */
  async begin(entry: Change | undefined): Promise<OwnTransaction | 'taken'> {
    const store = this.store ?? (await this.open());
    if (store.begin !== undefined) return store.begin(entry);
    const reason = 'there are transactions with store: postgres(…) only';
    throw new TrunklineError('InvalidOptions', { option: 'tx.client', reason });
  }

  /** Whether so much waits for the store that nothing should be added. */
  get isFull(): boolean {
    return this.staged.size >= this.settings.stagedChangesLimit;
  }

  get(table: string, key: string): MaybePromise<unknown> {
    const full = `${table}\0${key}`;
    const held = this.staged.get(full) ?? this.committing.get(full);
    if (held !== undefined) return held.value;
    if (this.store === undefined) return this.open().then(() => this.get(table, key));
    const json = this.store.get(table, key);
    return json instanceof Promise ? json.then(parse) : parse(json);
  }

  /** Entries in key order. */
  async range(table: string, range: KeyRange = {}): Promise<{ key: string; value: unknown }[]> {
    const store = this.store ?? (await this.open());
    const { limit = Number.MAX_SAFE_INTEGER, prefix = '', start = '', end } = range;
    // What is staged may remove entries: ask the store for as many more. And a commit may end while the store is read: what
    // it took away must not come back.
    const before = [this.committing, this.staged];
    const spare = this.staged.size + this.committing.size;
    const stored = await store.range(table, { ...range, limit: Math.min(Number.MAX_SAFE_INTEGER, limit + spare) });
    const entries = new Map<string, unknown>(stored.map(({ key, json }) => [key, JSON.parse(json) as unknown]));
    for (const overlay of [...before, this.committing, this.staged]) {
      for (const { table: of, key, value } of overlay.values()) {
        if (of !== table || !key.startsWith(prefix)) continue;
        if (compareBytes(key, start) < 0 || (end !== undefined && compareBytes(key, end) >= 0)) continue;
        if (value === undefined) entries.delete(key);
        else entries.set(key, value);
      }
    }
    const sorted = [...entries].sort(([a], [b]) => compareBytes(a, b));
    return sorted.slice(0, limit).map(([key, value]) => ({ key, value }));
  }

  /** `value` is JSON, and not changed afterwards; undefined: the entry goes. */
  stage(table: string, key: string, value: unknown): void {
    const full = `${table}\0${key}`;
    this.staged.delete(full); // so that the order is that of the last changes
    this.staged.set(full, { table, key, value });
    if (this.readers > 0) this.changedAt.set(full, ++this.moment);
    this.running ??= this.run();
  }

  /** Somebody reads now and will ask `changedSince` the moment that is returned; `endReading` afterwards. */
  beginReading(): number {
    this.readers++;
    return this.moment;
  }

  endReading(): void {
    if (--this.readers === 0) this.changedAt.clear();
  }

  changedSince(moment: number | undefined, table: string, key: string): boolean {
    return moment !== undefined && (this.changedAt.get(`${table}\0${key}`) ?? 0) > moment;
  }

  /** It has moved: at the next commit it will be asked. */
  touch(source: Checkpointed): void {
    if (this.dirty.has(source)) return;
    this.dirty.add(source);
    this.running ??= this.run();
  }

  /**
   * Resolves when everything staged and touched so far is durable. While the store is away it waits; after `lastCall` not
   * for long. @throws StoreUnavailable
   */
  durable(): Promise<void> {
    if (this.running === undefined) return Promise.resolve();
    this.isHurried = true;
    this.hurried();
    return new Promise((resolve, reject) => this.waiters.push({ resolve, reject }));
  }

  /** From now on a store that is away is not waited for much longer: what it does not take will be handled again. */
  lastCall(): void {
    this.giveUpAt = Math.min(this.giveUpAt, performance.now() + lastCallMs);
  }

  /** Commit what is left. */
  async close(): Promise<void> {
    this.lastCall();
    this.isHurried = true;
    this.hurried();
    await this.running;
    await (await this.opening?.catch(() => undefined))?.close();
  }

  private async run(): Promise<void> {
    while (true) {
      if (!this.isHurried) await this.linger();
      this.isHurried = false;
      for (const source of this.dirty) source.stageCheckpoint();
      this.dirty.clear();
      const waiters = this.waiters.splice(0);
      const changes = [...this.staged.values()].map(toChange);
      this.committing = this.staged;
      this.staged = new Map();
      const failed = changes.length > 0 ? await this.commit(changes) : undefined;
      if (failed !== undefined) return this.giveUp(failed, waiters);
      this.committing = new Map();
      for (const { resolve } of waiters) resolve();
      this.onRoom();
      if (this.staged.size > 0 || this.dirty.size > 0) continue;
      this.running = undefined;
      for (const { resolve } of this.waiters.splice(0)) resolve();
      return;
    }
  }

  private giveUp(error: Error, waiters: readonly Waiter[]): void {
    this.staged = new Map([...this.committing, ...this.staged]);
    this.committing = new Map();
    this.running = undefined;
    for (const { reject } of [...waiters, ...this.waiters.splice(0)]) reject(error);
  }

  private linger(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.settings.checkpointDelayMs);
      this.hurried = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Until it works; or what went wrong, if that is not to be waited for. */
  private async commit(changes: readonly Change[]): Promise<Error | undefined> {
    for (let waitMs = retryMs; ; waitMs = Math.min(2 * waitMs, retryMsLimit)) {
      try {
        await (this.store ?? (await this.open())).commit(changes);
        return undefined;
      } catch (error) {
        this.settings.onError(error as Error);
        if (performance.now() >= this.giveUpAt) return error as Error;
        await pause(waitMs);
      }
    }
  }
}

/** @throws InvalidId */
export function checkKey(what: string, key: string): void {
  const length = typeof key === 'string' ? Buffer.byteLength(key) : 0;
  if (length >= 1 && length <= KEY_BYTES_LIMIT) return;
  throw new TrunklineError('InvalidId', { what, length, limit: KEY_BYTES_LIMIT });
}

const parse = (json: string | undefined): unknown => (json === undefined ? undefined : JSON.parse(json));
const toChange = ({ table, key, value }: Staged): Change => ({
  table,
  key,
  json: value === undefined ? undefined : JSON.stringify(value),
});
const compareBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
