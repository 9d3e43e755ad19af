// Events as rows of COPY in its binary format, straight from the bytes of their frames and back: no text is decoded, nothing
// escaped. Format: https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-BINARY-FORMAT; numbers big-endian.
//
//   ├ 19 bytes: signature, flags, extension ┼ rows … ┼ -1 i16 ┤
//   row     ├ 11 i16 ┼ fields in the order of `eventColumns` … ┤
//   field   ├ length i32, -1: null ┼ bytes ┤       jsonb: 1, then its text; timestamptz: i64, microseconds since 2000
import { type Bytes, toBytes } from '../../../base/bytes.ts';
import { DEPTH_LIMIT, depthIn } from '../../../base/json-depth.ts';
import { tame } from '../../../base/tame.ts';
import { decodeEvent, type StoredEvent } from '../../../model/event.ts';
import { checkTwoBytes, FRAME_HEADER_BYTES, FrameKind, FrameReader } from '../../../wire/frame.ts';
import { idToText } from '../../../wire/ids.ts';

export const eventColumns =
  'id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data, metadata, position, log_id';

/** What {@link framesOf} reads. */
export const readColumns: string = `${eventColumns}, sequence`;

const columnCount = 11;
const signature = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
const endOfRows = Buffer.from([0xff, 0xff]);
const epochMs = Date.UTC(2000, 0, 1);
const two32 = 2 ** 32;
const greatestTimeMs = 8.64e15;
const openingBrace = 0x7b;
// Lengths of all fields, and the fields of fixed size: id, version, schema version, time, position, two marks of jsonb.
const fixedBytes = 2 + columnCount * 4 + 16 + 4 + 4 + 8 + 8 + 2;

/** Collects rows in one buffer, used again and again. What `bytes` returns is valid until the next `begin`. */
export class EventRowWriter {
  private buffer: Bytes = toBytes(Buffer.allocUnsafeSlow(1 << 20));
  private view: DataView = new DataView(this.buffer.buffer);
  private end = 0;
  private readonly logId: Buffer;

  constructor(logId: string) {
    this.logId = Buffer.from(logId);
  }

  begin(): void {
    this.end = signature.copy(this.buffer, 0);
  }

  add(frame: FrameReader, position: number): void {
    this.reserve(fixedBytes + frame.length + this.logId.length);
    const { view, buffer } = this;
    const source = frame.bytes;
    const strings = frame.offset + FRAME_HEADER_BYTES;
    const { typeLength, idLength, nameLength, metadataLength, dataLength } = frame;
    view.setInt16(this.end, columnCount);
    this.end += 2;
    this.field(source, frame.offset + 16, 16);
    this.field(source, strings, typeLength);
    this.field(source, strings + typeLength, idLength);
    this.int32(frame.version);
    this.field(source, strings + typeLength + idLength, nameLength);
    this.int32(frame.schemaVersion);
    this.time(frame.occurredAt);
    const metadata = strings + typeLength + idLength + nameLength;
    this.json(source, metadata + metadataLength, dataLength);
    if (metadataLength === 0) {
      view.setInt32(this.end, -1);
      this.end += 4;
    } else {
      this.json(source, metadata, metadataLength);
    }
    view.setInt32(this.end, 8);
    view.setInt32(this.end + 4, Math.floor(position / two32));
    view.setUint32(this.end + 8, position % two32);
    this.end += 12;
    view.setInt32(this.end, this.logId.length);
    this.end += 4 + this.logId.copy(buffer, this.end + 4);
  }

  /** All rows since `begin`, with what ends them. */
  bytes(): Buffer {
    this.reserve(2);
    this.view.setInt16(this.end, -1);
    return this.buffer.subarray(0, this.end + 2);
  }

  private field(source: Buffer, start: number, length: number): void {
    this.view.setInt32(this.end, length);
    this.end += 4;
    source.copy(this.buffer, this.end, start, start + length);
    this.end += length;
  }

  private json(source: Buffer, start: number, length: number): void {
    this.view.setInt32(this.end, length + 1);
    this.buffer[this.end + 4] = 1;
    this.end += 5;
    source.copy(this.buffer, this.end, start, start + length);
    this.end += length;
  }

  private int32(value: number): void {
    this.view.setInt32(this.end, 4);
    this.view.setInt32(this.end + 4, value);
    this.end += 8;
  }

  /** Exact for every Date: microseconds of far years do not fit into a double, so the halves are multiplied apart. */
  private time(ms: number): void {
    const since = Math.floor(ms - epochMs);
    const high = Math.floor(since / two32);
    const low = (since - high * two32) * 1000;
    this.view.setInt32(this.end, 8);
    this.view.setInt32(this.end + 4, high * 1000 + Math.floor(low / two32));
    this.view.setUint32(this.end + 8, low % two32);
    this.end += 12;
  }

  private reserve(bytes: number): void {
    if (this.end + bytes <= this.buffer.length) return;
    const grown = toBytes(Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(2 * (this.end + bytes)))));
    this.buffer.copy(grown, 0, 0, this.end);
    this.buffer = grown;
    this.view = new DataView(grown.buffer);
  }
}

/** A row that no door of ours has written, as an owner of the table can: no frame holds it, or no reader could take it. */
export interface UnreadableRow {
  readonly id: string;
  readonly reason: string;
}

/** Rows that COPY has sent, as frames one behind the other: what the log would hold of them. */
export interface EventFrames {
  readonly frames: Buffer;
  /** How many rows there were, those included that cannot be read. */
  readonly rows: number;
  /** Left out of all the others. */
  readonly unreadable: readonly UnreadableRow[];
  /** Of the last row, whether it can be read or not; 0 if there is none. */
  readonly lastPosition: number;
  readonly positions: readonly number[];
  /** As the server counts them: a bigint, beyond what a number holds. */
  readonly sequences: readonly bigint[];
  /** Of the last row; 0 if there is none. */
  readonly lastSequence: bigint;
  /** Of rows in the order of their sequences: some share one. */
  readonly hasTies: boolean;
  /** Of the last row; '' if there is none. */
  readonly lastId: string;
  readonly count: number;
}

/** Where the last whole row of a COPY that was broken off ends; 0: there is none. */
export function endOfWholeRows(rows: Buffer): number {
  let whole = 0;
  for (let at = signature.length; at + 2 <= rows.length && rows.readInt16BE(at) > 0; whole = at) {
    let fields = rows.readInt16BE(at);
    at += 2;
    for (; fields > 0 && at + 4 <= rows.length; fields--) at += 4 + Math.max(0, rows.readInt32BE(at));
    if (fields > 0 || at > rows.length) break;
  }
  return whole;
}

/** Rows that were broken off, as far as they are whole. */
export const closed = (rows: Buffer, end: number): Buffer => Buffer.concat([rows.subarray(0, end), endOfRows]);

/** Turn all rows of a binary COPY of `readColumns` into event frames. In one function: the columns of a row, in their order. */
export function framesOf(rows: Buffer): EventFrames {
  const source = toBytes(rows);
  const view = new DataView(rows.buffer, rows.byteOffset, rows.byteLength);
  // A frame is never longer than its row by more than its padding.
  const frames = toBytes(Buffer.allocUnsafeSlow(rows.length + 64));
  const out = new DataView(frames.buffer);
  const positions: number[] = [];
  const sequences: bigint[] = [];
  const unreadable: UnreadableRow[] = [];
  let at = signature.length;
  let start = 0;
  let rowCount = 0;
  let lastSequence = 0n;
  let hasTies = false;
  let lastPosition = 0;
  let lastIdAt = 0;
  while (view.getInt16(at) === columnCount + 1) {
    at += 2;
    source.copy(frames, start + 16, at + 4, at + 20); // id
    lastIdAt = at + 4;
    at += 20;
    let end = start + FRAME_HEADER_BYTES;
    const typeLength = view.getInt32(at);
    const type = at + 4;
    at = type + typeLength;
    const idLength = view.getInt32(at);
    const id = at + 4;
    at = id + idLength;
    const version = view.getInt32(at + 4);
    at += 8;
    const nameLength = view.getInt32(at);
    const name = at + 4;
    at = name + nameLength;
    const schemaVersion = view.getInt32(at + 4);
    const occurredAt = readTime(view, at + 12);
    at += 20;
    const dataLength = view.getInt32(at) - 1;
    const data = at + 5;
    at = data + dataLength;
    const metadataLength = Math.max(0, view.getInt32(at) - 1);
    const metadata = at + 5;
    at = metadataLength === 0 ? at + 4 : metadata + metadataLength;
    const hasPosition = view.getInt32(at) === 8;
    lastPosition = hasPosition ? view.getInt32(at + 4) * two32 + view.getUint32(at + 8) : 0;
    at += hasPosition ? 12 : 4;
    at += 4 + Math.max(0, view.getInt32(at)); // log id
    const sequence = view.getBigInt64(at + 4);
    hasTies ||= sequence === lastSequence && rowCount > 0;
    lastSequence = sequence;
    at += 12;
    rowCount++;
    const reason =
      faultOf(typeLength, idLength, nameLength, schemaVersion, occurredAt) ??
      (hasPosition ? undefined : sizeFaultOf(dataLength, metadataLength)) ??
      jsonFaultOf(source, metadata, metadataLength, data, dataLength);
    if (reason !== undefined) {
      unreadable.push({ id: idToText(frames, start + 16), reason });
      continue;
    }
    positions.push(lastPosition);
    sequences.push(lastSequence);
    end += source.copy(frames, end, type, type + typeLength);
    end += source.copy(frames, end, id, id + idLength);
    end += source.copy(frames, end, name, name + nameLength);
    end += source.copy(frames, end, metadata, metadata + metadataLength);
    end += source.copy(frames, end, data, data + dataLength);
    out.setUint32(start, end - start, true);
    out.setUint32(start + 4, FrameKind.event | (schemaVersion << 16), true);
    out.setFloat64(start + 8, occurredAt, true);
    out.setUint32(start + 32, version, true);
    out.setUint32(start + 36, typeLength | (idLength << 16), true);
    out.setUint32(start + 40, nameLength, true);
    out.setUint32(start + 44, metadataLength, true);
    out.setUint32(start + 48, dataLength, true);
    start = (end + 7) & ~7;
  }
  const count = positions.length;
  return {
    frames: frames.subarray(0, start),
    rows: rowCount,
    unreadable,
    lastPosition,
    positions,
    sequences,
    lastSequence,
    hasTies,
    lastId: rowCount === 0 ? '' : idToText(source, lastIdAt),
    count,
  };
}

/** Why no frame holds a row: its fields would be read as others. undefined: one does. */
function faultOf(
  type: number,
  id: number,
  name: number,
  schemaVersion: number,
  occurredAt: number,
): string | undefined {
  try {
    checkTwoBytes(type, id, name, schemaVersion);
  } catch (error) {
    return `its ${tame(error)}`;
  }
  return Math.abs(occurredAt) <= greatestTimeMs ? undefined : 'its time is beyond those of JavaScript';
}

// What `event_fault` (migration 26) admits of transactions; what has a position a log has had, within its own bounds.
const dataMost = 2 * 1024 * 1024;
const metadataMost = 128 * 1024;

/** The same of the text that the server has sent, before a value is made of it, which may take a hundred times as much. */
function sizeFaultOf(data: number, metadata: number): string | undefined {
  if (data > dataMost)
    return `its data has ${data} bytes, more than the ${dataMost} that an event of a transaction may have`;
  if (metadata <= metadataMost) return undefined;
  return `its metadata has ${metadata} bytes, more than the ${metadataMost} that an event of a transaction may have`;
}

/** The same of what it holds, which readers would take apart. */
function jsonFaultOf(
  source: Bytes,
  metadata: number,
  metadataLength: number,
  data: number,
  dataLength: number,
): string | undefined {
  if (metadataLength > 0 && source[metadata] !== openingBrace) return 'its metadata is no object';
  if (isTooDeep(source, data, dataLength)) return `its data is nested deeper than ${DEPTH_LIMIT}`;
  return isTooDeep(source, metadata, metadataLength) ? `its metadata is nested deeper than ${DEPTH_LIMIT}` : undefined;
}

/** A level takes two bytes at least: what is short is not looked through. */
const isTooDeep = (source: Bytes, start: number, length: number): boolean =>
  length > 2 * (DEPTH_LIMIT + 1) && depthIn(source, start, start + length) > DEPTH_LIMIT + 1;

/** The inverse of the writer's `time`: microseconds below the millisecond are dropped. */
function readTime(view: DataView, at: number): number {
  const high = view.getInt32(at);
  const low = view.getUint32(at + 4);
  const highMs = Math.floor(high / 1000);
  return epochMs + highMs * two32 + Math.floor(((high - highMs * 1000) * two32 + low) / 1000);
}

export function eventsIn({ frames, positions, count }: EventFrames): StoredEvent[] {
  const frame = new FrameReader(frames);
  const events: StoredEvent[] = [];
  for (let i = 0, next = 0; i < count; i++) {
    frame.at(next);
    next = frame.next;
    events.push(decodeEvent(frame, positions[i]!));
  }
  return events;
}
