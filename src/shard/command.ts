// A command as a shard sees it: decoded from its group in the command ring, before the ring's bytes are given back.

import type { RingConsumer } from '../shared/ring/consumer.ts';
import { GroupFlag } from '../shared/ring/ring.ts';
import type { FrameReader } from '../wire/frame.ts';

export class Command {
  /** Where the caller waits; its slot has no other user until it has the reply. */
  readonly slot: number;
  /** Where its group ends in the command ring, a count: commands of one shard by this number are in the order of their coming. */
  readonly order: number;
  /** The caller wants to know as soon as the command is `raised`. */
  readonly ackOnRaise: boolean;
  /** The caller waits for `stored` or `published`. */
  readonly awaitsStored: boolean;
  /** Sent by an aggregate. */
  readonly isInternal: boolean;
  /** It reads the state, and adds nothing to what the log or the store has to take. */
  readonly isRead: boolean;
  readonly typeIndex: number;
  readonly commandIndex: number;
  readonly id: string;
  /** Idempotency key; '' for none. */
  readonly key: string;
  /** By the monotonic clock, milliseconds; 0 for none. */
  readonly deadlineAt: number;
  /** The aggregates that wait for its outcome, as `sendersIn` reads them; '': none does. */
  readonly askers: string;
  readonly metadataJson: string;
  readonly inputJson: string;
  cancelled = false;
  /** Its reply is in the ring. */
  isAnswered = false;

  constructor(ring: RingConsumer, frame: FrameReader) {
    this.slot = ring.slot;
    this.order = ring.cursor;
    this.ackOnRaise = (ring.flags & GroupFlag.ackOnRaise) !== 0;
    this.awaitsStored = (ring.flags & GroupFlag.stored) !== 0;
    this.isInternal = (ring.flags & GroupFlag.internal) !== 0;
    this.isRead = (ring.flags & GroupFlag.read) !== 0;
    frame.at(ring.framesStart);
    this.typeIndex = frame.schemaVersion;
    this.commandIndex = frame.version;
    this.id = frame.aggregateId;
    this.key = frame.name;
    this.deadlineAt = frame.occurredAt;
    this.askers = this.isInternal ? frame.aggregateType : '';
    this.metadataJson = frame.metadataJson;
    this.inputJson = frame.dataJson;
  }

  /** It begins whatever room log and store have. */
  get needsNoRoom(): boolean {
    return this.isInternal || this.isRead;
  }
}
