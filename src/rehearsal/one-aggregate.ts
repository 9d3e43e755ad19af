// One aggregate's history under both releases: whether they agree on it, and if not, since when.

import { isError } from '../base/errors.ts';
import type { FrameArchive } from '../store/store.ts';
import { FrameReader } from '../wire/frame.ts';
import type { RehearsalDifference } from './contract.ts';
import type { Pair } from './pairs.ts';
import type { Coverage } from './paths.ts';
import { diffOf } from './state-diff.ts';
import { type EventAt, TwoFolds } from './two-folds.ts';

/** Milliseconds since 1970; see the options of the same name. */
export interface TimeSpan {
  readonly since: number;
  readonly until: number;
}

export interface StoredAggregate {
  readonly id: string;
  readonly version: number;
}

/** `outside`: none of its events is within the times. `incomplete`: the store has not all of them. */
export type Verdict = 'same' | 'ignored' | 'different' | 'failed alike' | 'outside' | 'incomplete';

const changesMost = 10;

export class ComparedAggregate {
  private readonly archive: FrameArchive;
  private readonly pair: Pair;
  private readonly id: string;
  /** The version that the store has come to, at least. */
  private readonly stored: number;
  private readonly span: TimeSpan;
  private readonly ignored: Coverage;
  private folds: TwoFolds;
  private isWithin = false;

  constructor(archive: FrameArchive, pair: Pair, { id, version }: StoredAggregate, span: TimeSpan, ignored: Coverage) {
    this.archive = archive;
    this.pair = pair;
    this.id = id;
    this.stored = version;
    this.span = span;
    this.ignored = ignored;
    this.folds = new TwoFolds(pair, id);
  }

  get events(): number {
    return this.folds.applied;
  }

  async judge(): Promise<Verdict> {
    const { folds } = this;
    if (!(await this.fold(Number.MAX_SAFE_INTEGER))) return 'incomplete';
    if (!this.isWithin) return 'outside';
    folds.end();
    if (folds.failAlike) return 'failed alike';
    if (folds.hasFailed) return 'different';
    const { count, ignored } = diffOf(folds.old.folded, folds.new.folded, this.ignored, 0);
    if (count > 0) return 'different';
    return ignored > 0 ? 'ignored' : 'same';
  }

  /** Of one that is `different`. Folds it again, event by event, for the first version at which the states differ. */
  async describe(): Promise<RehearsalDifference> {
    const { last, old, new: now, hasFailed } = this.folds;
    const found = diffOf(old.folded, now.folded, this.ignored, hasFailed ? 0 : changesMost);
    const first = hasFailed ? last : await this.firstDifference(last);
    return {
      aggregateType: this.pair.name,
      aggregateId: this.id,
      ...first,
      oldFailure: old.failure,
      newFailure: now.failure,
      changes: found.changes,
      changeCount: hasFailed ? 0 : found.count,
    };
  }

  private async firstDifference(last: EventAt): Promise<EventAt> {
    this.folds = new TwoFolds(this.pair, this.id);
    let found: EventAt | undefined;
    await this.fold(last.version, () => {
      const { old, new: now } = this.folds;
      if (diffOf(old.folded, now.folded, this.ignored, 0).count === 0) return true;
      found = this.folds.last;
      return false;
    });
    return found ?? last;
  }

  /**
   * Up to a version; `goesOn` is asked after each event. False: an event is missing, or cannot be read.
   */
  private async fold(upTo: number, goesOn?: () => boolean): Promise<boolean> {
    const { archive, pair, id, folds } = this;
    const { since, until } = this.span;
    this.isWithin ||= folds.hasFailed; // without a first state no event is looked at
    if (folds.hasFailed) return true;
    let version = 0;
    for (;;) {
      const page = await archive.framesFrom(pair.name, id, version + 1).catch((error: unknown) => {
        if (isError(error, 'EventUnreadable')) return undefined;
        throw error;
      });
      if (page === undefined) return false;
      const frame = new FrameReader(page.frames);
      for (let i = 0, next = 0; i < page.count; i++) {
        frame.at(next);
        next = frame.next;
        if (frame.occurredAt >= until || version >= upTo) return true;
        if (frame.version !== version + 1) return false;
        version++;
        this.isWithin ||= frame.occurredAt >= since;
        if (!folds.apply(frame, page.positions[i]!) || goesOn?.() === false) return true;
      }
      if (page.isLast) return version >= this.stored;
    }
  }
}
