// When entries have changed, for readers who ask afterwards whether what they read is still so. Owned by the host thread.
//
// Invariant: a change is known as long as a reading that began before it goes on, and no longer: without readings nothing is kept.
import { fullKey } from './overlay.ts';

export class RecentChanges {
  /** When what has changed since the oldest reading began, in this order. */
  private readonly changedAt = new Map<string, number>();
  private moment = 0;
  /** Readings that go on, by the moment at which they began, in this order. */
  private readonly readings = new Map<number, number>();

  changed(full: string): void {
    if (this.readings.size === 0) return;
    this.changedAt.delete(full);
    this.changedAt.set(full, ++this.moment);
  }

  /** A reader begins now and will ask `since` the moment that is returned; `end` with it afterwards. */
  begin(): number {
    this.readings.set(this.moment, (this.readings.get(this.moment) ?? 0) + 1);
    return this.moment;
  }

  /** Changes that no reading goes back to any more are forgotten. */
  end(since: number): void {
    const others = this.readings.get(since)! - 1;
    if (others > 0) this.readings.set(since, others);
    else this.readings.delete(since);
    const [oldest = Number.POSITIVE_INFINITY] = this.readings.keys();
    for (const [full, moment] of this.changedAt) {
      if (moment > oldest) break;
      this.changedAt.delete(full);
    }
  }

  since(moment: number | undefined, table: string, key: string): boolean {
    return moment !== undefined && (this.changedAt.get(fullKey(table, key)) ?? 0) > moment;
  }
}
