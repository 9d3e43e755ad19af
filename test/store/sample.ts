// Frames, groups and a log in memory, for tests of what follows the log.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DiskReserve } from '../../src/base/disk-reserve.ts';
import { BatchBuffer } from '../../src/flush/batch.ts';
import type { Chunk, LogSource } from '../../src/log/log.ts';
import type { Batch } from '../../src/log/sink.ts';
import { FrameKind, FrameReader, FrameWriter, frameBytesExact } from '../../src/wire/frame.ts';
import { newId, writeIdText } from '../../src/wire/ids.ts';

export interface SampleFrame {
  kind?: FrameKind;
  aggregate?: string;
  id?: string;
  version: number;
  name?: string;
  data?: unknown;
  at?: number;
  metadata?: Record<string, unknown>;
  eventId?: string;
}

/** One command's frames. */
export type Group = SampleFrame[];

/** A chunk of whole groups. */
export function chunkOf(firstPosition: number, groups: readonly Group[]): Chunk {
  const frames = groups.flatMap((group) => group.map((frame, i) => ({ frame, last: i === group.length - 1 })));
  const encoded = frames.map(({ frame, last }) => encode(frame, last));
  return { firstPosition, count: encoded.length, frames: Buffer.concat(encoded) };
}

function encode(frame: SampleFrame, last: boolean): Buffer {
  const { kind = FrameKind.event, aggregate = 'call', id = 'a', version, name = 'Happened', at = 1000 } = frame;
  const data = JSON.stringify(frame.data ?? { version });
  const metadata = frame.metadata === undefined ? '' : JSON.stringify(frame.metadata);
  const bytes = Buffer.alloc(frameBytesExact(aggregate, id, name, metadata, data));
  const writer = new FrameWriter(bytes);
  writer.write(0, kind, 1, at, version, aggregate, id, name, metadata, data);
  writeIdText(bytes.subarray(16, 32), 0, frame.eventId ?? newId());
  if (last) writer.addFlags(0, 1);
  return bytes;
}

export function batchOf(firstPosition: number, groups: readonly Group[]): Batch {
  const batch = new BatchBuffer();
  batch.begin(firstPosition);
  const chunk = chunkOf(firstPosition, groups);
  batch.take(chunk, firstPosition + chunk.count - 1);
  return batch;
}

/** A log in memory, with a buffer of its own for what it hands out: a reader that keeps a chunk too long will notice. */
export class MemoryLog implements LogSource {
  private chunks: Chunk[] = [];
  private readonly handedOut = Buffer.alloc(1 << 20);
  private first = 1;
  last = 0;

  /** Returns the last position. */
  append(...groups: Group[]): number {
    const chunk = chunkOf(this.last + 1, groups);
    this.chunks.push(chunk);
    this.last += chunk.count;
    return this.last;
  }

  /** What comes next has this position, as after damage. */
  leapTo(position: number): void {
    this.last = position - 1;
  }

  truncateBelow(position: number): void {
    this.chunks = this.chunks.filter(
      (chunk) => chunk.firstPosition + chunk.count > position || chunk === this.chunks.at(-1),
    );
    this.first = this.chunks[0]?.firstPosition ?? this.last + 1;
  }

  read(from: number): Chunk | undefined {
    const chunk = this.chunks.find(({ firstPosition, count }) => firstPosition + count > from);
    if (!chunk) return undefined;
    this.handedOut.fill(0xff);
    chunk.frames.copy(this.handedOut);
    return { ...chunk, frames: this.handedOut.subarray(0, chunk.frames.length) };
  }

  firstPosition(): number {
    return this.chunks.length === 0 ? 0 : this.first;
  }

  async close(): Promise<void> {}
}

/** A folder that goes when the test ends. */
export function temporaryFolder(onEnd: (remove: () => void) => void): string {
  const folder = mkdtempSync(join(tmpdir(), 'trunkline-'));
  onEnd(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The positions of a batch's or a chunk's frames that close a group. */
export function groupEnds(bytes: Buffer, firstPosition: number, count: number): number[] {
  const frame = new FrameReader(bytes).at(0);
  const ends: number[] = [];
  for (let i = 0; i < count; i++) {
    if (frame.isLast) ends.push(firstPosition + i);
    frame.at(frame.next);
  }
  return ends;
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Pages of an LMDB file that are in use: what is behind them is its reserve. */
export function usedPagesOf(file: string): number {
  const reserve = new DiskReserve(file);
  try {
    return reserve.usedPages();
  } finally {
    reserve.close();
  }
}
