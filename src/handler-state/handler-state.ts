// What handlers keep, as they see it: the store, overlaid with what has not been committed yet. Changes are staged in memory
// and committed together, one transaction at a time, off the caller's way. Owned by the host thread.
//
// Invariants: what was staged before a commit begins is in it, all of it; commits follow each other, never two at once. So the store
// always holds a prefix of what happened here: a checkpoint is never ahead of the dead letter, effect or projection row
// that belongs to it, nor behind in another order. What is staged becomes text in the turn in which it is staged, and every
// reading parses it again: an object is never shared.

import { clearTimeout, performance, setTimeout } from '../base/clock.ts';
import { isError, TrunklineError } from '../base/errors.ts';
import { unawaited } from '../base/guarded.ts';
import { keptJson } from '../base/json.ts';
import { compareKeys, isWithin } from '../base/key-order.ts';
import { pauseUnless } from '../base/on-abort.ts';
import { isThenable } from '../base/thenable.ts';
import { within } from '../base/wait.ts';
import { BrokenRecords, type OnBroken } from './broken-records.ts';
import type { Change, HandlerStateStore, KeyRange, MaybePromise, OwnTransaction } from './handler-state-store.ts';
import { fullKey, Overlay } from './overlay.ts';
import { isFinal, storeBackoffMs } from './store-backoff.ts';
import { type PageOptions, type TableEntry, tablePages } from './table-pages.ts';

export interface StateTablesSettings {
  /** How long changes may wait for others before they are committed together. */
  checkpointDelayMs: number;
  /** Beyond so many staged changes, subscriptions wait for the store. */
  stagedChangesLimit: number;
  /** How long a call of a user's waits for the store; default 60,000. */
  waitTimeoutMs?: number;
  onError(error: Error): void;
  /** The store refuses this entry permanently: it was left out. `refused`: how many there were in this run. */
  onRefused?(entry: { table: string; key: string; refused: number }, error: Error): void;
  /** An entry cannot be understood: readers of lists pass it over. */
  onBroken?: OnBroken;
  /** The store has come back from an earlier state: nothing more is staged over it in this run. */
  onBehind?(error: Error): void;
  /** The store has caught up with what was staged. */
  onRoom?(): void;
}

/** What is written at every commit, if it has changed: a checkpoint. */
export interface Checkpointed {
  stageCheckpoint(): void;
}

interface Waiter {
  resolve(): void;
  reject(error: Error): void;
}

const KEY_BYTES_LIMIT = 1000;
/** At the end, how long a store that is unavailable is waited for. */
const lastCallMs = 5_000;
const waitTimeoutMsMost = 60_000;

export class StateTables {
  private readonly openStore: () => Promise<HandlerStateStore>;
  private opening: Promise<HandlerStateStore> | undefined;
  private store: HandlerStateStore | undefined;
  private readonly settings: StateTablesSettings;
  readonly broken: BrokenRecords;
  private readonly dirty = new Set<Checkpointed>();
  private readonly overlay = new Overlay();
  private waiters: Waiter[] = [];
  /** When what has changed since the oldest reading began, in this order. */
  private readonly changedAt = new Map<string, number>();
  private moment = 0;
  /** Readings that go on, by the moment at which they began, in this order. */
  private readonly readings = new Map<number, number>();
  private refusals = 0;
  private isClosed = false;
  private readonly cutting = new AbortController();
  private running: Promise<void> | undefined;
  private hurried: () => void = () => {};
  private isHurried = false;
  private giveUpAt = Number.POSITIVE_INFINITY;
  /** What the last commit has failed by, which is tried again; undefined once one has succeeded. */
  trouble: Error | undefined;
  private failure: Error | undefined;

  /** The store is opened when it is first needed. */
  constructor(openStore: () => Promise<HandlerStateStore>, settings: StateTablesSettings) {
    this.openStore = openStore;
    this.settings = settings;
    this.broken = new BrokenRecords(settings.onBroken);
  }

  get isOpen(): boolean {
    return this.opening !== undefined;
  }

  async open(): Promise<HandlerStateStore> {
    this.opening ??= this.openStore();
    try {
      this.store = await this.opening;
      return this.store;
    } catch (error) {
      this.opening = undefined;
      throw error;
    }
  }

  /** @throws RuntimeClosed */
  private checkOpen(): void {
    if (this.isClosed) throw new TrunklineError('RuntimeClosed', { state: 'closed' });
  }

  /** See `HandlerStateStore.begin`. @throws InvalidOptions, StoreUnavailable */
  async begin(entry: Change | undefined, longestMs: number, isOurs: boolean): Promise<OwnTransaction | 'taken'> {
    this.checkOpen();
    const store = this.store ?? (await this.open());
    if (store.begin !== undefined) return store.begin(entry, longestMs, isOurs);
    const reason =
      'the place where handlers keep their state has no transactions for handlers; a store outside of the data directory may';
    throw new TrunklineError('InvalidOptions', { option: 'tx.client', reason });
  }

  /** Whether so much waits for the store that nothing should be added. */
  get isFull(): boolean {
    return this.overlay.size >= this.settings.stagedChangesLimit;
  }

  /** The caller's own: a change of it changes nothing that is kept. @throws RecordInvalid */
  get(table: string, key: string): MaybePromise<unknown> {
    const json = this.json(table, key);
    return isThenable(json) ? json.then(parse) : parse(json);
  }

  /** The same as JSON text. */
  json(table: string, key: string): MaybePromise<string | undefined> {
    this.checkOpen();
    const full = fullKey(table, key);
    const held = this.overlay.get(full);
    if (held !== undefined) return held.json;
    if (this.store === undefined) return this.open().then(() => this.json(table, key));
    const json = this.store.get(table, key);
    return isThenable(json) ? this.current(full, json) : json;
  }

  private async current(full: string, reading: Promise<string | undefined>): Promise<string | undefined> {
    const [json, layers] = await this.overlay.during(reading);
    const changed = layers.findLast((layer) => layer.has(full));
    return changed === undefined ? json : changed.get(full)!.json;
  }

  /** Entries in key order, the caller's own; those that are broken without a value. */
  async range(table: string, range: KeyRange = {}): Promise<{ key: string; value: unknown }[]> {
    this.checkOpen();
    const store = this.store ?? (await this.open());
    const { limit = Number.MAX_SAFE_INTEGER } = range;
    // What is staged may remove entries: ask the store for as many more.
    const wanted = Math.min(Number.MAX_SAFE_INTEGER, limit + this.overlay.total);
    const reading = Promise.resolve(store.range(table, { ...range, limit: wanted }));
    const [stored, layers] = await this.overlay.during(reading);
    const entries = new Map(stored.map(({ key, json }) => [key, json]));
    for (const layer of layers) {
      for (const { table: of, key, json } of layer.values()) {
        if (of !== table || !isWithin(key, range)) continue;
        if (json === undefined) entries.delete(key);
        else entries.set(key, json);
      }
    }
    // What has been removed meanwhile may have left room for some that were not read.
    if (entries.size < limit && stored.length === wanted) return this.range(table, range);
    const sorted = [...entries].sort(([a], [b]) => compareKeys(a, b));
    return sorted.slice(0, limit).map(([key, json]) => ({ key, value: this.broken.parse(table, key, json) }));
  }

  /** A table that may be large, in key order: the event loop goes on between two pages. See `table-pages.ts`. */
  pages(table: string, options: PageOptions = {}): AsyncGenerator<TableEntry[]> {
    const store = async (): Promise<HandlerStateStore> => {
      this.checkOpen();
      return this.store ?? this.open();
    };
    return tablePages(store, this.overlay, table, this.broken, options);
  }

  /** The same, entry by entry. */
  async *entries(table: string, options: PageOptions = {}): AsyncGenerator<TableEntry> {
    for await (const page of this.pages(table, options)) yield* page;
  }

  /** A record of ours, as it is now; undefined: the entry goes. One that is no JSON is reported, and the entry stays as it was. */
  stage(table: string, key: string, value: unknown): void {
    let json: string | undefined;
    try {
      json = value === undefined ? undefined : JSON.stringify(value);
    } catch (error) {
      return this.refused({ table, key }, error as Error); // thrown here, it would keep others from being staged
    }
    this.stageJson(table, key, json);
  }

  /** The same of JSON text. */
  stageJson(table: string, key: string, json: string | undefined): void {
    const full = fullKey(table, key);
    this.overlay.stage(full, { table, key, json });
    if (this.readings.size > 0) {
      this.changedAt.delete(full);
      this.changedAt.set(full, ++this.moment);
    }
    this.start();
  }

  /** A reader begins now and will ask `changedSince` the moment that is returned; `endReading` with it afterwards. */
  beginReading(): number {
    this.readings.set(this.moment, (this.readings.get(this.moment) ?? 0) + 1);
    return this.moment;
  }

  /** Changes that no reading goes back to any more are forgotten. */
  endReading(since: number): void {
    const others = this.readings.get(since)! - 1;
    if (others > 0) this.readings.set(since, others);
    else this.readings.delete(since);
    const [oldest = Number.POSITIVE_INFINITY] = this.readings.keys();
    for (const [full, moment] of this.changedAt) {
      if (moment > oldest) break;
      this.changedAt.delete(full);
    }
  }

  changedSince(moment: number | undefined, table: string, key: string): boolean {
    return moment !== undefined && (this.changedAt.get(fullKey(table, key)) ?? 0) > moment;
  }

  /** Mark a checkpoint as moved: `stageCheckpoint()` of it runs before the next commit. */
  touch(source: Checkpointed): void {
    if (this.dirty.has(source)) return;
    this.dirty.add(source);
    this.start();
  }

  /**
   * Resolves when everything staged and touched so far is durable. While the store is unavailable it waits; after `lastCall` not
   * for long. @throws StoreUnavailable
   */
  durable(): Promise<void> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    if (this.running === undefined) {
      if (this.overlay.size === 0 && this.dirty.size === 0) return Promise.resolve();
      // A commit has failed permanently, and what it was to carry is still here.
      if (this.isClosed) return Promise.reject(new TrunklineError('RuntimeClosed', { state: 'closed' }));
      this.start();
    }
    this.isHurried = true;
    this.hurried();
    return new Promise((resolve, reject) => this.waiters.push({ resolve, reject }));
  }

  /**
   * Work that a user waits for: it goes on, but its caller has an end of it after the bound, with what holds it up.
   * @throws WaitTimedOut, or what the store (or `trouble`) says
   */
  inTime<T>(what: string, work: Promise<T>, trouble: () => unknown = () => undefined): Promise<T> {
    const { waitTimeoutMs: timeoutMs = waitTimeoutMsMost } = this.settings;
    return within(work, { what, timeoutMs, trouble: () => trouble() ?? this.trouble });
  }

  /** The same, waited for no longer than this: what is not kept by then comes again in the next run. */
  async durableWithin(boundMs: number, onError: (error: unknown) => void): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const bound = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, boundMs);
    });
    const report = (error: unknown): void => {
      if (!isError(error, 'RuntimeClosed')) onError(error); // the next run does it again
    };
    await Promise.race([this.durable().catch(report), bound]);
    clearTimeout(timer);
  }

  /** From now on a store that is unavailable is not waited for much longer: what it does not take will be handled again. */
  lastCall(): void {
    this.giveUpAt = Math.min(this.giveUpAt, performance.now() + lastCallMs);
  }

  /** Commit what is left; nothing is committed behind it. */
  async close(): Promise<void> {
    this.lastCall();
    while (this.running !== undefined) {
      this.isHurried = true;
      this.hurried();
      await this.running;
    }
    this.isClosed = true;
    await (await this.opening?.catch(() => undefined))?.close();
  }

  /** Nothing is committed from now on, and a commit in flight is broken off where that is possible: the next run does it again. */
  cut(): void {
    this.isClosed = true;
    this.cutting.abort();
    this.hurried();
    this.store?.cut?.();
  }

  private start(): void {
    if (this.isClosed) return; // `durable` rejects
    if (this.running !== undefined || this.failure !== undefined) return;
    this.running = this.run();
    unawaited(this.running, (error) => {
      this.settings.onError(error as Error);
      this.giveUp(error as Error, []);
    });
  }

  private async run(): Promise<void> {
    while (true) {
      await this.linger();
      if (this.isClosed) return this.giveUp(new TrunklineError('RuntimeClosed', { state: 'closed' }), []);
      for (const source of this.dirty) this.stageCheckpointOf(source);
      this.dirty.clear();
      const waiters = this.waiters.splice(0);
      const changes = [...this.overlay.begin().values()];
      const failed = changes.length > 0 ? await this.commit(changes) : undefined;
      if (failed !== undefined) return this.giveUp(failed, waiters);
      this.overlay.end();
      for (const { resolve } of waiters) resolve();
      this.settings.onRoom?.();
      if (this.overlay.size > 0 || this.dirty.size > 0) continue;
      this.running = undefined;
      this.isHurried = false;
      for (const { resolve } of this.waiters.splice(0)) resolve();
      return;
    }
  }

  /** One that cannot be staged holds up no other: it stays where it was. */
  private stageCheckpointOf(source: Checkpointed): void {
    try {
      source.stageCheckpoint();
    } catch (error) {
      this.settings.onError(error as Error);
    }
  }

  /** What was staged stays, for the next run. */
  private giveUp(error: Error, waiters: readonly Waiter[]): void {
    this.overlay.takeBack();
    this.running = undefined;
    const isBehind = isError(error, 'StoreBehind');
    if (isBehind) this.failure = error;
    for (const { reject } of [...waiters, ...this.waiters.splice(0)]) reject(error);
    if (isBehind) this.settings.onBehind?.(error);
  }

  /** Hurried or not, never within the turn that began the run: what a checkpoint stages there must find it running. */
  private async linger(): Promise<void> {
    if (!this.isHurried) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, this.settings.checkpointDelayMs);
        this.hurried = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    } else await undefined;
    this.isHurried = false;
  }

  /** It is lost and the others are kept: it would hold up the checkpoints of all handlers. */
  private refused({ table, key }: Pick<Change, 'table' | 'key'>, error: Error): void {
    this.settings.onRefused?.({ table, key, refused: ++this.refusals }, error);
  }

  /** Until it works; or what went wrong, if that is not to be waited for. */
  private async commit(changes: readonly Change[]): Promise<Error | undefined> {
    for (let failures = 1; ; failures++) {
      try {
        await (this.store ?? (await this.open())).commit(changes, (change, error) => this.refused(change, error));
        this.trouble = undefined;
        return undefined;
      } catch (error) {
        this.trouble = error as Error;
        if (this.isClosed) return error as Error;
        this.settings.onError(error as Error);
        if (isFinal(error) || performance.now() >= this.giveUpAt) return error as Error;
        await pauseUnless(this.cutting.signal, storeBackoffMs(failures));
        if (this.isClosed) return error as Error;
      }
    }
  }
}

/** Keys are bytes: U+0000 is one of them, half a character is none. @throws InvalidId */
export function checkKey(what: string, key: string): void {
  const length = typeof key === 'string' ? Buffer.byteLength(key) : 0;
  const details = { what, length, limit: KEY_BYTES_LIMIT };
  if (length < 1 || length > KEY_BYTES_LIMIT) throw new TrunklineError('InvalidId', details);
  if (key.isWellFormed()) return;
  throw new TrunklineError('InvalidId', { ...details, reason: 'holds a lone surrogate, half a character' });
}

const parse = (json: string | undefined): unknown => (json === undefined ? undefined : keptJson(json));
