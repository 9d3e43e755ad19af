// Commits what is staged over a store: all of it together, one transaction at a time, off the caller's way; until it works, unless
// what has failed is final. Owned by the host thread.
//
// Invariants: what was staged before a commit begins is in it, all of it; commits follow each other, never two at once. Each
// checkpoint that has moved is staged right before the commit that carries it.

import { clearTimeout, performance, setTimeout } from '../base/clock.ts';
import { isError, TrunklineError } from '../base/errors.ts';
import { unawaited } from '../base/guarded.ts';
import { pauseUnless } from '../base/on-abort.ts';
import type { Change } from './handler-state-store.ts';
import type { LazyStore } from './lazy-store.ts';
import type { Overlay } from './overlay.ts';
import { isFinal, storeBackoffMs } from './store-backoff.ts';

export interface CommitSettings {
  /** How long changes may wait for others before they are committed together. */
  checkpointDelayMs: number;
  /** Beyond so many staged changes, subscriptions wait for the store. */
  stagedChangesLimit: number;
  onError(error: Error): void;
  /** The store refuses this entry permanently: it was left out. `refused`: how many there were in this run. */
  onRefused?(entry: { table: string; key: string; refused: number }, error: Error): void;
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

/** What the store knows already may wait so many delays for others. */
const delaysOfKnown = 10;

/** At the end, how long a store that is unavailable is waited for. */
const lastCallMs = 5_000;

export class CommitLoop {
  private readonly store: LazyStore;
  private readonly overlay: Overlay;
  private readonly settings: CommitSettings;
  private readonly dirty = new Set<Checkpointed>();
  private waiters: Waiter[] = [];
  private refusals = 0;
  /** Nothing is committed any more. */
  isClosed = false;
  private readonly cutting = new AbortController();
  private running: Promise<void> | undefined;
  private hurried: () => void = () => {};
  private isHurried = false;
  /** What is being staged the store knows already. */
  private stagesKnown = false;
  /** All that waits for a commit is of that kind. */
  private mayWait = true;
  private giveUpAt = Number.POSITIVE_INFINITY;
  /** What the last commit has failed by, which is tried again; undefined once one has succeeded. */
  trouble: Error | undefined;
  private failure: Error | undefined;

  constructor(store: LazyStore, overlay: Overlay, settings: CommitSettings) {
    this.store = store;
    this.overlay = overlay;
    this.settings = settings;
  }

  /** Whether so much waits for the store that nothing should be added. */
  get isFull(): boolean {
    return this.overlay.size >= this.settings.stagedChangesLimit;
  }

  /** Mark a checkpoint as moved: `stageCheckpoint()` of it runs before the next commit. */
  touch(source: Checkpointed): void {
    this.dirty.add(source);
    this.start();
  }

  /**
   * What `work` stages and touches follows from what the store holds: should it get lost, a start concludes it again. So its commit
   * waits for others longer, and carries more of the kind.
   */
  known(work: () => void): void {
    this.stagesKnown = true;
    try {
      work();
    } finally {
      this.stagesKnown = false;
    }
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
  }

  /** Nothing is committed from now on: the next run does it again. */
  cut(): void {
    this.isClosed = true;
    this.cutting.abort();
    this.hurried();
  }

  /** Something has been staged or touched: a commit comes. */
  start(): void {
    if (this.isClosed) return; // `durable` rejects
    if (!this.stagesKnown) this.mayWait = false;
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
      this.mayWait = true;
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
    if (this.isHurried) await undefined;
    else {
      let delays = 0;
      do await this.delay();
      while (++delays < delaysOfKnown && this.mayWait && !this.isHurried && !this.isClosed && !this.isFull);
    }
    this.isHurried = false;
  }

  private delay(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.settings.checkpointDelayMs);
      this.hurried = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** It is lost and the others are kept: it would hold up the checkpoints of all handlers. */
  refused({ table, key }: Pick<Change, 'table' | 'key'>, error: Error): void {
    this.settings.onRefused?.({ table, key, refused: ++this.refusals }, error);
  }

  /** Until it works; or what went wrong, if that is not to be waited for. */
  private async commit(changes: readonly Change[]): Promise<Error | undefined> {
    for (let failures = 1; ; failures++) {
      try {
        await (this.store.current ?? (await this.store.open())).commit(changes, (change, error) =>
          this.refused(change, error),
        );
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
