// Snapshots of actors' states, taken now and then along with a command: a frame in its group. Owned by a shard.
//
// Invariants: a snapshot never makes its command fail, since it is left out where it does not fit beside the command's
// frames and reply; one that was left out is tried again after 1, 2, 4 … versions, since each try serialises the state.
import { dateMs } from '../base/clock.ts';
import type { Group } from '../shared/ring/group.ts';
import { FrameKind, frameBytesExact } from '../wire/frame.ts';
import { writeNewId } from '../wire/ids.ts';
import { isFaithful } from '../wire/payload.ts';
import type { Actor } from './actor.ts';
import type { ShardReport } from './contract.ts';
import { freezeState } from './frozen.ts';

const message = 'state holds what JSON cannot carry (Date, Map, a class …): no snapshots, loads replay every event';

const longestWaitLog2 = 20; // versions between two tries

export class Snapshots {
  private readonly bytesLimit: number;
  private readonly warn: (warning: Extract<ShardReport, { type: 'warning' }>) => void;
  private readonly unfaithful = new Set<string>();

  /** A state beyond `bytesLimit` is too large to ride along with a command. `warn`: once for each type. */
  constructor(bytesLimit: number, warn: (warning: Extract<ShardReport, { type: 'warning' }>) => void) {
    this.bytesLimit = bytesLimit;
    this.warn = warn;
  }

  /** Put a snapshot into the group, if one is due and fits beside `reply`. */
  keep(actor: Actor, group: Group, reply: string): void {
    const { every } = actor.type.definition.snapshot;
    if (every === 0 || actor.version - actor.snapshotVersion < every) return;
    if (this.write(actor, group, reply)) {
      actor.snapshotVersion = actor.version;
      actor.snapshotsLeftOut = 0;
    } else {
      actor.snapshotVersion = actor.version - every + 2 ** Math.min(actor.snapshotsLeftOut++, longestWaitLog2);
    }
  }

  /** False: it is left out. */
  private write(actor: Actor, group: Group, reply: string): boolean {
    const { name, fingerprint, definition } = actor.type;
    if (!isFaithful(actor.state)) {
      const details = { aggregateType: definition.name };
      if (!this.unfaithful.has(name)) this.warn({ type: 'warning', message, details });
      this.unfaithful.add(name);
      return false;
    }
    const data = JSON.stringify(freezeState(actor.state));
    if (data.length > this.bytesLimit) return false;
    const { version, id } = actor;
    if (!group.takesOptional(frameBytesExact(name, id, fingerprint, '', data), reply)) return false;
    const now = dateMs();
    const offset = group.frame(FrameKind.snapshot, 0, now, version, name, id, fingerprint, '', data);
    writeNewId(group.frames.bytes, offset + 16, now);
    return true;
  }
}
