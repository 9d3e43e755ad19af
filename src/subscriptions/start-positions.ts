// Where a subscription begins, and how it reads what has happened before.
import { TrunklineError } from '../base/errors.ts';
import { type CheckpointRecord, checkReached } from '../handler-state/checkpoint.ts';
import type { ControlBlock } from '../shared/control-block.ts';
import type { History, PageReader } from '../store/history.ts';
import type { Beginnings } from './beginnings.ts';
import type { From } from './handlers.ts';
import type { SubscriptionSettings } from './settings.ts';

export class StartPositions {
  private readonly history: History;
  private readonly control: ControlBlock;
  private readonly dataDir: string;
  private readonly beginnings: Beginnings | undefined;

  /** `beginnings`: where checkpoints lie in a database, which may come back from an earlier state. */
  constructor(history: History, control: ControlBlock, dataDir: string, beginnings?: Beginnings) {
    this.beginnings = beginnings;
    this.history = history;
    this.control = control;
    this.dataDir = dataDir;
  }

  /** Where a handler goes on: behind what it has done. @throws LogDamaged */
  kept(handler: string, record: CheckpointRecord | undefined): CheckpointRecord | undefined {
    if (record) checkReached(this.dataDir, handler, record, this.control.position('written'));
    return record;
  }

  /**
   * A beginning that no longer depends on when it is looked at. Call it where the user has called, before anything is
   * awaited: what is acknowledged from then on comes after `now`.
   */
  fixed(from: From): Exclude<From, 'now'> {
    return from === 'now' ? this.control.position('written') + 1 : from;
  }

  /** The position before the first one that a subscription takes which has no checkpoint. @throws PositionGone, PositionAhead */
  async firstLow(handler: string, from: Exclude<From, 'now'>, isVolatile: boolean): Promise<number> {
    if (from === 'start') return 0;
    const begun = isVolatile ? undefined : this.beginnings?.lowOf(handler);
    if (begun !== undefined && begun <= this.control.position('written')) return begun;
    return this.begun(handler, (await this.positionOf(from)) - 1, isVolatile);
  }

  /** It begins, or begins again, behind this position. */
  begun(handler: string, low: number, isVolatile: boolean): number {
    if (!isVolatile) this.beginnings?.note(handler, low);
    return low;
  }

  /** Whether it can be a place in this log, as that is now. @throws PositionGone, PositionAhead */
  checkPlace(from: Exclude<From, 'now'>): void {
    if (typeof from !== 'number') return;
    const last = this.control.position('written');
    if (from < 1) throw new TrunklineError('PositionGone', { position: from, firstKept: 1 });
    if (from > last + 1) throw new TrunklineError('PositionAhead', { position: from, lastPosition: last });
  }

  /** The first position to be taken. @throws PositionGone, PositionAhead */
  async positionOf(from: Exclude<From, 'now'>): Promise<number> {
    if (from === 'start') return 1;
    this.checkPlace(from);
    if (typeof from === 'number') return from;
    const last = this.control.position('written');
    const reader = this.history.reader({ since: from });
    for (let next = 1; next <= last; ) {
      const page = await reader.page(next, last, 1);
      if (page === undefined) break;
      if (page.events[0]) return page.events[0].position;
      next = page.next;
    }
    return last + 1;
  }

  reader({ types, aggregates }: Pick<SubscriptionSettings, 'types' | 'aggregates'>): PageReader {
    const aggregateType = aggregates?.size === 1 ? [...aggregates][0] : undefined;
    return this.history.reader({ types: types && [...types], aggregateType });
  }
}
