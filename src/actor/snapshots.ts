// Snapshots of actors' states, taken now and then along with a command: a frame in its group. Owned by a shard.
import { FrameKind } from '../frame.ts';
import { writeNewId } from '../ids.ts';
import { isFaithful } from '../payload.ts';
import type { Group } from '../ring/group.ts';
import type { Actor, ShardReport } from './actor.ts';
import { freezeState } from './frozen.ts';

const message = 'state holds what JSON cannot carry (Date, Map, a class …): no snapshots, loads replay every event';

export class Snapshots {
  private readonly bytesLimit: number;
  private readonly warn: (warning: Extract<ShardReport, { type: 'warning' }>) => void;
  private readonly unfaithful = new Set<string>();

  /** A state beyond `bytesLimit` is too large to ride along with a command. `warn`: once for each type. */
  constructor(bytesLimit: number, warn: (warning: Extract<ShardReport, { type: 'warning' }>) => void) {
    this.bytesLimit = bytesLimit;
    this.warn = warn;
  }

  /** Put a snapshot into the group, if one is due. */
  keep(actor: Actor, group: Group): void {
    const { definition, name, fingerprint } = actor.type;
    const { every } = definition.snapshot;
    if (every === 0 || actor.version - actor.snapshotVersion < every) return;
    actor.snapshotVersion = actor.version;
    if (!isFaithful(actor.state)) {
      if (!this.unfaithful.has(name)) this.warn({ type: 'warning', message, details: { aggregateType: name } });
      this.unfaithful.add(name);
      return;
    }
    const data = JSON.stringify(freezeState(actor.state));
    if (data.length > this.bytesLimit) return;
    const { version, id } = actor;
    const now = Date.now();
    const offset = group.frame(FrameKind.snapshot, 0, now, version, name, id, fingerprint, '', data);
    writeNewId(group.frames.bytes, offset + 16, now);
  }
}
