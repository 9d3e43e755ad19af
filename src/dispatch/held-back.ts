// Groups that wait in the log for locks of others at the store, as the flush thread tells them, and those who wait for them.
// Host thread.
import { TrunklineError } from '../base/errors.ts';
import type { AggregateKey, HeldChange, HeldGroup } from '../store/holding.ts';
import { LevelWaiters } from './level-waiters.ts';

export class HeldBack {
  /** Of news so far: the flush thread counts them before `passed` moves on. */
  count = 0;
  readonly waiters: LevelWaiters = new LevelWaiters();
  /** In the order of the log. */
  private groups: readonly HeldGroup[] = [];

  get size(): number {
    return this.groups.length;
  }

  change({ held, settled }: HeldChange): void {
    this.count++;
    const gone = new Set(settled);
    this.groups = [...this.groups.filter(({ from }) => !gone.has(from)), ...held];
    this.waiters.release((position) => this.at(position) === undefined);
  }

  /** The group of this position, if it waits. */
  at(position: number): HeldGroup | undefined {
    const { groups } = this;
    let [low, high] = [0, groups.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (groups[middle]!.to < position) low = middle + 1;
      else high = middle;
    }
    const found = groups[low];
    return found !== undefined && found.from <= position ? found : undefined;
  }

  /** The first that waits of one aggregate, or of all, up to a position. */
  first(upTo: number, of?: AggregateKey): HeldGroup | undefined {
    const fits = ({ from, aggregates }: HeldGroup): boolean =>
      from <= upTo && (of === undefined || aggregates.some(({ type, id }) => type === of.type && id === of.id));
    return this.groups.find(fits);
  }

  /** Why a position waits, or the first that does; undefined if none does. */
  trouble(position?: number): TrunklineError | undefined {
    const group = position === undefined ? this.groups[0] : this.at(position);
    const aggregate = group?.aggregates[0];
    if (group === undefined || aggregate === undefined) return undefined;
    const { type: aggregateType, id: aggregateId } = aggregate;
    return new TrunklineError('AggregateHeld', { aggregateType, aggregateId, position: group.to });
  }
}
