// What commands have changed of timers goes into the tables, in the order of the log, so that the log may forget it. Not at once: most
// timers of a call are cancelled, or done, within a moment, and are never written there. Host thread.
//
// Invariants: the tables know nothing that power loss could take from the log; the log forgets a change only once the tables have
// it durably, or nothing of it is left.
import { unawaited } from '../base/guarded.ts';
import { pauseUnless } from '../base/on-abort.ts';
import type { Pending } from './pending.ts';
import type { TimerTables } from './timer-tables.ts';

/** How long a change waits, while there are not many. */
const keptAfterMsDefault = 1_000;
const manyChanges = 10_000;
const changesAtOnce = 1_000;
const lookAgainMs = 1_000;

export interface Change {
  readonly key: string;
  readonly position: number;
  /** undefined: cancelled. */
  readonly pending: Pending | undefined;
  /** The tables may have an earlier timer of the key. */
  readonly mayReplace: boolean;
  release(): void;
}

export class Keeping {
  private readonly tables: TimerTables;
  private readonly synced: (position: number) => Promise<void>;
  private readonly stopped: AbortSignal;
  private readonly onKept: (change: Change) => void;
  private readonly keptAfterMs: number;
  private changes: Change[] = [];
  private isRunning = false;
  /** How many there have been, how many the tables have, and up to which a call waits. */
  private added = 0;
  private done = 0;
  private hurryTo = 0;
  private batch = Promise.withResolvers<void>();
  private hurry = new AbortController();

  constructor(
    tables: TimerTables,
    synced: (position: number) => Promise<void>,
    stopped: AbortSignal,
    onKept: (change: Change) => void,
    keptAfterMs: number = keptAfterMsDefault,
  ) {
    this.keptAfterMs = keptAfterMs;
    this.tables = tables;
    this.synced = synced;
    this.stopped = stopped;
    this.onKept = onKept;
  }

  add(change: Change): void {
    this.changes.push(change);
    this.added++;
    if (this.changes.length === manyChanges) this.hurry.abort();
    if (this.isRunning) return;
    this.isRunning = true;
    unawaited(this.run());
  }

  /** Resolves once the tables have all that was added before, or the runtime stops. */
  async settled(): Promise<void> {
    const target = this.added;
    this.hurryTo = target;
    this.hurry.abort();
    while (this.done < target && !this.stopped.aborted) await this.batch.promise;
  }

  private async run(): Promise<void> {
    while (this.changes.length > 0 && !this.stopped.aborted) {
      if (this.done >= this.hurryTo && this.changes.length < manyChanges) await this.lag();
      if (this.stopped.aborted) break;
      const changes = this.changes.splice(0, changesAtOnce);
      await this.keep(changes);
      this.done += changes.length;
      this.endBatch();
    }
    this.isRunning = false;
    this.endBatch();
  }

  private endBatch(): void {
    this.batch.resolve();
    this.batch = Promise.withResolvers();
  }

  private async lag(): Promise<void> {
    this.hurry = new AbortController();
    await pauseUnless(AbortSignal.any([this.stopped, this.hurry.signal]), this.keptAfterMs);
  }

  private async keep(changes: readonly Change[]): Promise<void> {
    const left = changes.filter(({ pending, mayReplace }) => mayReplace || pending?.isOver === false);
    const last = left.reduce((most, { position }) => Math.max(most, position), 0);
    for (; left.length > 0; ) {
      try {
        await this.synced(last);
        await this.tables.change(async () => {
          for (const change of left) await this.stage(change);
        });
        break;
      } catch {
        // The tables cannot be read, or the runtime stops: the log keeps what was changed.
        if (!(await pauseUnless(this.stopped, lookAgainMs))) return;
      }
    }
    for (const change of changes) {
      change.release();
      this.onKept(change);
    }
  }

  private async stage({ key, position, pending }: Change): Promise<void> {
    if (pending === undefined || pending.isOver) return this.tables.remove(key, position);
    pending.isKept = true; // before anything is awaited: an end of it takes it from the tables behind this
    return this.tables.set(key, pending.timer);
  }
}
