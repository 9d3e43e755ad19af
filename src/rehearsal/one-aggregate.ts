// One aggregate's history under both releases: whether they agree on it, and if not, since when.

import { isError } from '../base/errors.ts';
import { isThenable } from '../base/thenable.ts';
import type { FrameArchive, FramePage } from '../store/store.ts';
import { FrameReader } from '../wire/frame.ts';
import type { Pair } from './compare/pairs.ts';
import type { Coverage } from './compare/paths.ts';
import { diffOf } from './compare/state-diff.ts';
import type { RehearsalDifference } from './contract.ts';
import type { Turns } from './turns.ts';
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

/** `outside`: none of its events is within the times. `incomplete`: the store has not all of them. `ended`: by the signal. */
export type Verdict = 'same' | 'ignored' | 'different' | 'failed alike' | 'outside' | 'incomplete' | 'ended';

type FoldEnd = 'done' | 'incomplete' | 'ended';

const changesMost = 10;
/** Up to so many events, states are compared after each; beyond, after so many in each fold over what is left. */
const eachMost = 64;
const samplesMost = 8;
/** Between two looks at the clock. */
const eventsMost = 16;

export class ComparedAggregate {
  private readonly archive: FrameArchive;
  private readonly pair: Pair;
  private readonly id: string;
  /** The version that the store has come to, at least. */
  private readonly stored: number;
  private readonly span: TimeSpan;
  private readonly ignored: Coverage;
  private readonly turns: Turns;
  private folds: TwoFolds;
  private isWithin = false;

  constructor(
    archive: FrameArchive,
    pair: Pair,
    { id, version }: StoredAggregate,
    how: { readonly span: TimeSpan; readonly ignored: Coverage; readonly turns: Turns },
  ) {
    this.archive = archive;
    this.pair = pair;
    this.id = id;
    this.stored = version;
    this.span = how.span;
    this.ignored = how.ignored;
    this.turns = how.turns;
    this.folds = new TwoFolds(pair, id);
  }

  get events(): number {
    return this.folds.applied;
  }

  async judge(): Promise<Verdict> {
    const { folds } = this;
    const end = await this.fold(Number.MAX_SAFE_INTEGER);
    if (end !== 'done') return end;
    if (!this.isWithin) return 'outside';
    folds.end();
    if (folds.failAlike) return 'failed alike';
    if (folds.hasFailed) return 'different';
    const { count, ignored } = diffOf(folds.old.folded, folds.new.folded, this.ignored, 0);
    if (count > 0) return 'different';
    return ignored > 0 ? 'ignored' : 'same';
  }

  /** Of one that is `different`; undefined: ended by the signal. */
  async describe(): Promise<RehearsalDifference | undefined> {
    const { last, old, new: now, hasFailed } = this.folds;
    const found = diffOf(old.folded, now.folded, this.ignored, hasFailed ? 0 : changesMost);
    const first = hasFailed ? last : await this.firstDifference(last);
    if (first === undefined) return undefined;
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

  /**
   * An event behind which the states differ, and before which they do not. Comparing costs as much as the state is large, so a
   * long history is compared at a few versions only, again and again between the last one that agrees and the first that does
   * not: the event is the first one unless the states agreed again in between.
   */
  private async firstDifference(last: EventAt): Promise<EventAt | undefined> {
    let [same, found] = [0, last];
    while (found.version - same > 1) {
      const left = found.version - same;
      const step = last.version <= eachMost ? 1 : Math.ceil(left / samplesMost);
      const before = same;
      const until = found.version - 1;
      this.folds = new TwoFolds(this.pair, this.id);
      const { folds } = this;
      const end = await this.fold(until, ({ version }) => {
        if (version <= before || (version - before) % step !== 0) return true;
        if (diffOf(folds.old.folded, folds.new.folded, this.ignored, 0).count > 0) {
          found = folds.last;
          return false;
        }
        same = version;
        return true;
      });
      if (end === 'ended') return undefined;
      if (found.version - same === left) break; // a fold that fails now and did not before
    }
    return found;
  }

  /**
   * Up to a version; `goesOn` is asked after each event. `incomplete`: an event is missing, or cannot be read. A side that has
   * failed is failed for all that follows, so behind it only times are read, up to an event that is within.
   */
  private async fold(upTo: number, goesOn?: (frame: FrameReader) => boolean): Promise<FoldEnd> {
    const { archive, pair, id, folds, turns } = this;
    const { since, until } = this.span;
    let version = 0;
    for (;;) {
      let page: FramePage;
      try {
        const asked = archive.framesFrom(pair.name, id, version + 1);
        page = isThenable(asked) ? await asked : asked; // no turn for what is at hand
      } catch (error) {
        if (isError(error, 'EventUnreadable')) return 'incomplete';
        throw error;
      }
      const frame = new FrameReader(page.frames);
      for (let i = 0, next = 0; i < page.count; i++) {
        frame.at(next);
        next = frame.next;
        if (frame.occurredAt >= until || version >= upTo) return 'done';
        if (frame.version !== version + 1) return 'incomplete';
        version++;
        this.isWithin ||= frame.occurredAt >= since;
        if (!folds.hasFailed && folds.apply(frame, page.positions[i]!) && goesOn?.(frame) === false) return 'done';
        if (folds.hasFailed && this.isWithin) return 'done';
        if (version % eventsMost === 0 && turns.isOver) {
          await turns.next();
          if (turns.isEnded) return 'ended';
        }
      }
      if (page.isLast) return version >= this.stored ? 'done' : 'incomplete';
    }
  }
}
