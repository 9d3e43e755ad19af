// What handlers keep, as they see it: the store, overlaid with what has not been committed yet. Changes are staged in memory
// and committed together, one transaction at a time, off the caller's way. Owned by the caller's thread.
//
// Invariants: what was staged before a commit begins is in it, all of it; commits follow each other in order. So the store
// always holds a prefix of what happened here: a checkpoint is never ahead of the dead letter, effect or projection row
// that belongs to it, nor behind in another order.
import { setTimeout as pause } from 'node:timers/promises';
import { TrunklineError } from '../errors.ts';
import type { Change, KeyRange, MaybePromise, TableStore } from './table-store.ts';

export interface TablesSettings {
  /** How long changes may wait for others before they are committed together, milliseconds. */
  checkpointMs: number;
  onError(error: Error): void;
}

/** Whoever has something to say at every commit, if it has changed: a checkpoint. */
export interface Checkpointed {
  stageCheckpoint(): void;
}

interface Staged {
  table: string;
  key: string;
  value: unknown;
}

const KEY_BYTES_LIMIT = 1000;
const retryMs = 100;
const retryMsLimit = 5_000;
/** Beyond so many staged changes, subscriptions wait for the store. */
const stagedLimit = 50_000;

export class Tables {
  private readonly openStore: () => Promise<TableStore>;
  private opening: Promise<TableStore> | undefined;
  private store: TableStore | undefined;
  private readonly settings: TablesSettings;
  private readonly dirty = new Set<Checkpointed>();
  private staged = new Map<string, Staged>();
  private committing: ReadonlyMap<string, Staged> = new Map();
  private waiters: (() => void)[] = [];
  private readonly changedAt = new Map<string, number>();
  private moment = 0;
  private readers = 0;
  private running: Promise<void> | undefined;
  private hurried: () => void = () => {};
  private isHurried = false;
  private closing = false;
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
    this.store = await this.opening;
    return this.store;
  }

  /** Whether so much waits for the store that nothing should be added. */
  get isFull(): boolean {
    return this.staged.size >= stagedLimit;
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

  /** Resolves when everything staged and touched so far is durable. */
  durable(): Promise<void> {
    if (this.running === undefined) return Promise.resolve();
    this.isHurried = true;
    this.hurried();
    return new Promise((resolve) => this.waiters.push(resolve));
  }

  /** Commit what is left. */
  async close(): Promise<void> {
    this.closing = true;
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
      if (changes.length > 0 && !(await this.commit(changes))) return;
      this.committing = new Map();
      for (const resolve of waiters) resolve();
      this.onRoom();
      if (this.staged.size > 0 || this.dirty.size > 0) continue;
      this.running = undefined;
      for (const resolve of this.waiters.splice(0)) resolve();
      return;
    }
  }

  private linger(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.settings.checkpointMs);
      this.hurried = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Until it works; false if the runtime closes meanwhile: then what is lost will be handled again. */
  private async commit(changes: readonly Change[]): Promise<boolean> {
    for (let waitMs = retryMs; ; waitMs = Math.min(2 * waitMs, retryMsLimit)) {
      try {
        await (this.store ?? (await this.open())).commit(changes);
        return true;
      } catch (error) {
        this.settings.onError(error as Error);
        if (this.closing) return false;
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
