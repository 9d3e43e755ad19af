// What waits because others hold its aggregates: an open transaction has locked the head of one, and the flush goes on without
// it. The log keeps the frames, since the sink's checkpoint for the log stays before them; here is a copy to write from. Owned by
// the flush thread.
//
// Invariants: a group waits as a whole; behind a group that waits, every later group of one of its aggregates waits, too. So
// nothing of an aggregate passes what came before it, and no command is stored in part.
import { backoffMs } from '../../../base/backoff.ts';
import type { Batch } from '../../../log/sink.ts';
import { FrameFlag, FrameKind, FrameReader } from '../../../wire/frame.ts';

/** Frames as a batch has them. */
export type Frames = Pick<Batch, 'bytes' | 'eachFrame'>;

/** What one command has to say. */
export interface Group {
  /** Positions of its first and last frame. */
  readonly from: number;
  readonly to: number;
  /** The aggregates whose heads it moves or rests on, as {@link keyOf} names them. */
  readonly keys: readonly string[];
  readonly bytes: Buffer;
}

export const keyOf = (type: string, id: string): string => `${type}\0${id}`;

export function splitKey(key: string): { type: string; id: string } {
  const end = key.indexOf('\0');
  return { type: key.slice(0, end), id: key.slice(end + 1) };
}

/** As parameters of a statement. */
export function columnsOf(keys: readonly string[]): { types: string[]; ids: string[] } {
  const parts = keys.map(splitKey);
  return { types: parts.map(({ type }) => type), ids: parts.map(({ id }) => id) };
}

/** Whether the frame needs the head of its aggregate. */
const needsHead = ({ kind, flags }: FrameReader): boolean =>
  kind === FrameKind.basis ||
  kind === FrameKind.snapshot ||
  (kind === FrameKind.event && (flags & FrameFlag.alreadyStored) === 0);

/** In order. Their bytes are the batch's. */
export function groupsOf(frames: Frames): Group[] {
  const { bytes } = frames;
  const groups: Group[] = [];
  let start = -1;
  let from = 0;
  let keys = new Set<string>();
  frames.eachFrame((frame, position) => {
    if (start < 0) {
      start = frame.offset;
      from = position;
      keys = new Set();
    }
    if (needsHead(frame)) keys.add(keyOf(frame.aggregateType, frame.aggregateId));
    if (!frame.isLast) return;
    groups.push({ from, to: position, keys: [...keys], bytes: bytes.subarray(start, frame.next) });
    start = -1;
  });
  return groups;
}

/** Those that go on, and those that wait, if these aggregates are held; one at least goes on, if it may, and so many bytes. */
export function split(
  groups: readonly Group[],
  locked: Iterable<string>,
  most: number = Number.POSITIVE_INFINITY,
): { free: Group[]; held: Group[] } {
  const waiting = new Set(locked);
  const free: Group[] = [];
  const held: Group[] = [];
  let bytes = 0;
  for (const group of groups) {
    const hasRoom = free.length === 0 || bytes + group.bytes.length <= most;
    if (hasRoom && !group.keys.some((key) => waiting.has(key))) {
      free.push(group);
      bytes += group.bytes.length;
    } else {
      for (const key of group.keys) waiting.add(key);
      held.push(group);
    }
  }
  return { free, held };
}

/** Some groups, as the frames of a batch. */
export function framesOf(groups: readonly Group[]): Frames {
  const bytes = Buffer.concat(groups.map((group) => group.bytes));
  const eachFrame: Frames['eachFrame'] = (visit) => {
    const frame = new FrameReader(bytes);
    let offset = 0;
    for (const { from, to } of groups) {
      for (let position = from; position <= to; position++) {
        frame.at(offset);
        offset = frame.next;
        visit(frame, position);
      }
    }
  };
  return { bytes, eachFrame };
}

/** Beside its bytes, in memory. */
const groupBytes = 256;

export const bytesOf = (groups: readonly Group[]): number =>
  groups.reduce((sum, { bytes }) => sum + bytes.length + groupBytes, 0);

/** The aggregates of these groups, each with the position from which on it waits, beside those that wait already. */
export function rowsFor(groups: readonly Group[], already?: ReadonlyMap<string, number>): Map<string, number> {
  const rows = new Map(already);
  for (const { keys, from } of groups) for (const key of keys) if (!rows.has(key)) rows.set(key, from);
  return rows;
}

function leastOf(rows: ReadonlyMap<string, number>): number | undefined {
  let least: number | undefined;
  for (const from of rows.values()) if (least === undefined || from < least) least = from;
  return least;
}

const pauses = { minMs: 100, maxMs: 2_000 };

export class HeldGroups {
  /** As the table has them: each aggregate with the position from which on it waits. */
  rows: ReadonlyMap<string, number> = new Map();
  /** What of it has been read from the log, in its order. */
  groups: readonly Group[] = [];
  bytes = 0;
  /** The first position that waits; undefined: none. */
  from: number | undefined;
  private tries = 0;
  private dueAt = 0;

  /** Whether a group before the checkpoint waits. */
  has({ keys, from }: Group): boolean {
    return keys.some((key) => (this.rows.get(key) ?? Number.POSITIVE_INFINITY) <= from);
  }

  /** These wait from now on, behind all others. */
  add(groups: readonly Group[], rows: ReadonlyMap<string, number>, now: number): void {
    if (this.rows.size === 0) this.begin(now);
    // Copies: the batch is filled again.
    const copies = groups.map((group) => ({ ...group, bytes: Buffer.from(group.bytes) }));
    this.set([...this.groups, ...copies], rows);
  }

  /** Only these wait any more. */
  settled(groups: readonly Group[], rows: ReadonlyMap<string, number>, now: number): void {
    if (groups.length < this.groups.length) this.begin(now);
    this.set(groups, rows);
  }

  private set(groups: readonly Group[], rows: ReadonlyMap<string, number>): void {
    this.groups = groups;
    this.bytes = bytesOf(groups);
    this.rows = rows;
    this.from = leastOf(rows);
  }

  private begin(now: number): void {
    this.tries = 0;
    this.dueAt = now + pauses.minMs;
  }

  /** How long until what waits is tried again, milliseconds. */
  dueInMs(now: number): number {
    return this.rows.size === 0 ? Number.POSITIVE_INFINITY : Math.max(0, this.dueAt - now);
  }

  /** It is tried now; the next time later. */
  trying(now: number): void {
    this.dueAt = now + backoffMs(++this.tries, pauses);
  }
}
