// What handlers keep, as they see it: the store, overlaid with what has not been committed yet. Changes are staged in memory
// and committed together by `commit-loop.ts`. Owned by the host thread.
//
// Invariants: the store always holds a prefix of what happened here: a checkpoint becomes durable together with the dead letter, effect
// or projection row that belongs to it, and all of them in the order in which they happened. What is staged becomes text in the turn in which it is staged,
// and every reading parses it again: an object is never shared.

import { clearTimeout, setTimeout } from '../base/clock.ts';
import { isError, TrunklineError } from '../base/errors.ts';
import { keptJson } from '../base/json.ts';
import { compareKeys, isWithin } from '../base/key-order.ts';
import { isThenable } from '../base/thenable.ts';
import { within } from '../base/wait.ts';
import { BrokenRecords, type OnBroken } from './broken-records.ts';
import { type Checkpointed, CommitLoop, type CommitSettings } from './commit-loop.ts';
import type { Change, HandlerStateStore, KeyRange, MaybePromise, OwnTransaction } from './handler-state-store.ts';
import { LazyStore } from './lazy-store.ts';
import { fullKey, Overlay } from './overlay.ts';
import { RecentChanges } from './recent-changes.ts';
import { type PageOptions, type TableEntry, tablePages } from './table-pages.ts';

export interface StateTablesSettings extends CommitSettings {
  /** How long a call of a user's waits for the store; default 60,000. */
  waitTimeoutMs?: number;
  /** An entry cannot be understood: readers of lists pass it over. */
  onBroken?: OnBroken;
}

const waitTimeoutMsMost = 60_000;

export class StateTables {
  private readonly store: LazyStore;
  private readonly settings: StateTablesSettings;
  readonly broken: BrokenRecords;
  private readonly overlay = new Overlay();
  private readonly commits: CommitLoop;
  private readonly recent = new RecentChanges();

  /** The store is opened when it is first needed. */
  constructor(openStore: () => Promise<HandlerStateStore>, settings: StateTablesSettings) {
    this.store = new LazyStore(openStore);
    this.settings = settings;
    this.commits = new CommitLoop(this.store, this.overlay, settings);
    this.broken = new BrokenRecords(settings.onBroken);
  }

  get isOpen(): boolean {
    return this.store.isOpen;
  }

  open(): Promise<HandlerStateStore> {
    return this.store.open();
  }

  /** What the last commit has failed by, which is tried again; undefined once one has succeeded. */
  get trouble(): Error | undefined {
    return this.commits.trouble;
  }

  /** @throws RuntimeClosed */
  private checkOpen(): void {
    if (this.commits.isClosed) throw new TrunklineError('RuntimeClosed', { state: 'closed' });
  }

  /** See `HandlerStateStore.begin`. @throws InvalidOptions, StoreUnavailable */
  async begin(entry: Change | undefined, longestMs: number, isOurs: boolean): Promise<OwnTransaction | 'taken'> {
    this.checkOpen();
    const store = this.store.current ?? (await this.open());
    if (store.begin !== undefined) return store.begin(entry, longestMs, isOurs);
    const reason =
      'the place where handlers keep their state has no transactions for handlers; a store outside of the data directory may';
    throw new TrunklineError('InvalidOptions', { option: 'tx.client', reason });
  }

  /** Whether so much waits for the store that nothing should be added. */
  get isFull(): boolean {
    return this.commits.isFull;
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
    const store = this.store.current;
    if (store === undefined) return this.open().then(() => this.json(table, key));
    const json = store.get(table, key);
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
    const store = this.store.current ?? (await this.open());
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
      return this.store.current ?? this.open();
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
      return this.commits.refused({ table, key }, error as Error); // thrown here, it would keep others from being staged
    }
    this.stageJson(table, key, json);
  }

  /** The same of JSON text. */
  stageJson(table: string, key: string, json: string | undefined): void {
    const full = fullKey(table, key);
    this.overlay.stage(full, { table, key, json });
    this.recent.changed(full);
    this.commits.start();
  }

  /** A reader begins now and will ask `changedSince` the moment that is returned; `endReading` with it afterwards. */
  beginReading(): number {
    return this.recent.begin();
  }

  /** Changes that no reading goes back to any more are forgotten. */
  endReading(since: number): void {
    this.recent.end(since);
  }

  changedSince(moment: number | undefined, table: string, key: string): boolean {
    return this.recent.since(moment, table, key);
  }

  /** Mark a checkpoint as moved: `stageCheckpoint()` of it runs before the next commit. */
  touch(source: Checkpointed): void {
    this.commits.touch(source);
  }

  /** What `work` stages and touches follows from what the store holds, by a start's reading: its commit is in no hurry. */
  known(work: () => void): void {
    this.commits.known(work);
  }

  /**
   * Resolves when everything staged and touched so far is durable. While the store is unavailable it waits; after `lastCall` not
   * for long. @throws StoreUnavailable
   */
  durable(): Promise<void> {
    return this.commits.durable();
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
    this.commits.lastCall();
  }

  /** Commit what is left; nothing is committed behind it. */
  async close(): Promise<void> {
    await this.commits.close();
    await this.store.close();
  }

  /** Nothing is committed from now on, and a commit in flight is broken off where that is possible: the next run does it again. */
  cut(): void {
    this.commits.cut();
    this.store.cut();
  }
}

const parse = (json: string | undefined): unknown => (json === undefined ? undefined : keptJson(json));
