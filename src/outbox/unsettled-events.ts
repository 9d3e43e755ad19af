// The events that this log has, and the store has no positions for yet: a row of the outbox for one of them was written again. The
// relay claims nothing while there are more than some thousands, so a run ends with no more than that. Host thread.
import { eventKey, type Identified } from './outbox.ts';

interface Group {
  readonly keys: readonly string[];
  /** Of its last frame; undefined: it is in the ring. */
  position: number | undefined;
}

/** Of those that an earlier run has left: more than it can have had. */
const leftByEarlierRunMost = 1 << 14;

export class UnsettledEvents {
  private readonly keys = new Set<string>();
  /** An earlier run has left more than are remembered, as after a database has gone back. */
  isPart = false;
  /** In the order of the log. */
  private groups: Group[] = [];

  get size(): number {
    return this.keys.size;
  }

  has(event: Identified): boolean {
    return this.keys.has(eventKey(event));
  }

  /** Into the ring, behind all others. */
  add(events: readonly Identified[], position?: number): void {
    const keys = events.map(eventKey);
    this.groups.push({ keys, position });
    for (const key of keys) this.keys.add(key);
  }

  /** What an earlier run has left in the log, in its order: of a log that reaches far back the newest. */
  left(event: Identified, position: number): void {
    this.add([event], position);
    if (this.groups.length < 2 * leftByEarlierRunMost) return;
    this.drop(leftByEarlierRunMost);
    this.isPart = true;
  }

  /** The first group of those in the ring is in the log. */
  written(position: number): void {
    const group = this.groups.find((one) => one.position === undefined);
    if (group) group.position = position;
  }

  /** The store has the positions up to here. */
  passed(position: number): void {
    const count = this.groups.findIndex((group) => group.position === undefined || group.position > position);
    this.drop(count === -1 ? this.groups.length : count);
  }

  private drop(count: number): void {
    if (count === 0) return;
    for (const { keys } of this.groups.splice(0, count)) for (const key of keys) this.keys.delete(key);
  }
}
