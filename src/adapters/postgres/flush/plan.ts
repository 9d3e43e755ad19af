// What a batch means for the store: its events, by aggregate. Made once a batch, before the server is asked anything.
import { toBytes } from '../../../base/bytes.ts';
import type { Batch } from '../../../log/sink.ts';
import { FRAME_HEADER_BYTES, FrameFlag, FrameKind, type FrameReader } from '../../../wire/frame.ts';
import { MonthSet } from '../partitions/partitions.ts';

/** The events of one aggregate in one batch. */
export interface Run {
  readonly type: string;
  readonly id: string;
  /** Their versions run from `first` to `last` without a gap, if `isWhole`. */
  readonly first: number;
  last: number;
  isWhole: boolean;
  lastPosition: number;
  /** Bounds of `occurredAt`, milliseconds. */
  firstAt: number;
  lastAt: number;
  /** Offset of the newest snapshot's frame in the batch; -1: none. */
  snapshot: number;
}

/** One event of the batch: where its frame is, and to which run it belongs. */
export interface Entry {
  readonly offset: number;
  readonly position: number;
  readonly version: number;
  readonly run: Run;
}

/** Answers without events that rest on this version of an aggregate; the first of them is at `position`. */
export interface Basis {
  readonly type: string;
  readonly id: string;
  readonly version: number;
  readonly position: number;
}

export interface Plan {
  readonly entries: Entry[];
  readonly runs: Run[];
  /** Snapshots of aggregates without an event before them in this batch, by offset. */
  readonly lateSnapshots: number[];
  /** Of aggregates without an event before them in this batch; where there is one, its own fate decides. */
  readonly bases: readonly Basis[];
  /** The months of its events. */
  readonly months: ReadonlySet<number>;
}

/** `bytes` are the batch's, and `eachFrame` its walk. What the store holds already (it came by an outbox) is left out. */
export function planOf(batch: Pick<Batch, 'bytes' | 'eachFrame'>): Plan {
  const runs = new Map<string, Run>();
  const entries: Entry[] = [];
  const lateSnapshots: number[] = [];
  const bases = new Map<string, Basis>();
  const months = new MonthSet();
  const bytes = toBytes(batch.bytes);
  const keyOf = (frame: FrameReader): string => {
    const start = frame.offset + FRAME_HEADER_BYTES;
    const { typeLength } = frame;
    // Latin-1: the bytes themselves, as a text to look up by. The length keeps ('ab', 'c') apart from ('a', 'bc').
    return bytes.latin1Slice(start, start + typeLength + frame.idLength) + String.fromCharCode(typeLength);
  };
  batch.eachFrame((frame, position) => {
    const { kind } = frame;
    if (kind === FrameKind.snapshot) {
      const run = runs.get(keyOf(frame));
      if (run === undefined) lateSnapshots.push(frame.offset);
      else run.snapshot = frame.offset;
      return;
    }
    if (kind === FrameKind.basis) {
      const key = keyOf(frame);
      const { aggregateType: type, aggregateId: id, version } = frame;
      const name = `${version} ${key}`;
      if (!runs.has(key) && !bases.has(name)) bases.set(name, { type, id, version, position });
      return;
    }
    if (kind !== FrameKind.event || (frame.flags & FrameFlag.alreadyStored) !== 0) return;
    const key = keyOf(frame);
    const { version, occurredAt } = frame;
    months.add(occurredAt);
    let run = runs.get(key);
    if (run === undefined) {
      run = {
        type: frame.aggregateType,
        id: frame.aggregateId,
        first: version,
        last: version,
        isWhole: true,
        lastPosition: position,
        firstAt: occurredAt,
        lastAt: occurredAt,
        snapshot: -1,
      };
      runs.set(key, run);
    } else {
      if (version !== run.last + 1) run.isWhole = false;
      run.last = version;
      run.lastPosition = position;
      if (occurredAt < run.firstAt) run.firstAt = occurredAt;
      if (occurredAt > run.lastAt) run.lastAt = occurredAt;
    }
    entries.push({ offset: frame.offset, position, version, run });
  });
  return { entries, runs: [...runs.values()], lateSnapshots, bases: [...bases.values()], months: months.months };
}
