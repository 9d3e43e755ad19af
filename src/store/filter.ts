// Which events a reader wants, by looking at a frame without decoding it.

import { FrameKind, type FrameReader } from '../wire/frame.ts';
import { metadataIn } from '../wire/metadata.ts';

/** What is asked for. */
export interface Wanted {
  aggregateType?: string | undefined;
  aggregateId?: string | undefined;
  types?: readonly string[] | undefined;
  since?: Date | undefined;
  until?: Date | undefined;
  correlationId?: string | undefined;
}

export class EventFilter {
  readonly aggregateType: string | undefined;
  readonly aggregateId: string | undefined;
  /** Any, if undefined. */
  readonly types: ReadonlySet<string> | undefined;
  /** Milliseconds since 1970: events that occurred at `since` or later and before `until`. */
  readonly since: number;
  readonly until: number;
  /** As in the metadata; any, if undefined. */
  readonly correlationId: string | undefined;

  constructor(wanted: Wanted) {
    this.aggregateType = wanted.aggregateType;
    this.aggregateId = wanted.aggregateId;
    this.types = wanted.types && new Set(wanted.types);
    this.since = wanted.since?.getTime() ?? Number.NEGATIVE_INFINITY;
    this.until = wanted.until?.getTime() ?? Number.POSITIVE_INFINITY;
    this.correlationId = wanted.correlationId;
  }

  get isTimed(): boolean {
    return this.since !== Number.NEGATIVE_INFINITY || this.until !== Number.POSITIVE_INFINITY;
  }

  matches(frame: FrameReader): boolean {
    if (frame.kind !== FrameKind.event) return false;
    const { occurredAt } = frame;
    if (occurredAt < this.since || occurredAt >= this.until) return false;
    if (this.types !== undefined && !this.types.has(frame.name)) return false;
    if (this.aggregateType !== undefined && frame.aggregateType !== this.aggregateType) return false;
    if (this.aggregateId !== undefined && frame.aggregateId !== this.aggregateId) return false;
    return this.correlationId === undefined || correlationIdOf(frame) === this.correlationId;
  }
}

function correlationIdOf(frame: FrameReader): unknown {
  return metadataIn(frame.metadataJson).correlationId;
}
