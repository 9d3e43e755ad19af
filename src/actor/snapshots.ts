// Snapshots of actors' states, which ride along in the group of a command now and then.
import { FrameKind } from '../frame.ts';
import { writeNewId } from '../ids.ts';
import { isFaithful } from '../payload.ts';
import type { RingProducer } from '../ring/producer.ts';
import type { Actor, ShardReport } from './actor.ts';

export class Snapshots {
  private readonly ring: RingProducer;
  private readonly byteLimit: number;
  private readonly warn: (warning: Extract<ShardReport, { type: 'warning' }>) => void;
  private readonly unfaithful = new Set<string>();

  /** A state above `byteLimit` is too large to ride along. */
  constructor(ring: RingProducer, byteLimit: number, warn: Snapshots['warn']) {
    this.ring = ring;
    this.byteLimit = byteLimit;
    this.warn = warn;
  }

  /** Put a snapshot into the group under construction, if one is due. */
  keep(actor: Actor, now: number): void {
    const { definition, name, fingerprint } = actor.type;
    const { every } = definition.snapshot;
    if (every === 0 || actor.version - actor.snapshotVersion < every) return;
    actor.snapshotVersion = actor.version;
    if (!isFaithful(actor.state)) {
      this.warnUnfaithful(name);
      return;
    }
    const data = JSON.stringify(actor.state);
    if (data.length > this.byteLimit) return;
    const { version, id } = actor;
    const offset = this.ring.frame(FrameKind.snapshot, 0, now, version, name, id, fingerprint, '', data);
    writeNewId(this.ring.frames.bytes, offset + 16, now);
  }

  private warnUnfaithful(name: string): void {
    if (this.unfaithful.has(name)) return;
    this.unfaithful.add(name);
    const message = 'state holds what JSON cannot carry (Date, Map, a class …): no snapshots, loads replay every event';
    this.warn({ type: 'warning', message, details: { aggregateType: name } });
  }
}
