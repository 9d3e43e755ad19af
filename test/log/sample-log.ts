// Logs for tests: frames whose text says which position they were written at, so that any frame found can be checked.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CHUNK_HEADER_BYTES, ChunkBuilder } from '../../src/log/chunk.ts';
import { LogWriter, mapBytesFor, openLogReader } from '../../src/log/lmdb.ts';
import { type Recovered, type RecoveryOptions, recoverLog } from '../../src/log/recovery.ts';
import { alignUp, FrameFlag, FrameKind, FrameReader, FrameWriter } from '../../src/wire/frame.ts';

export const mapBytes: number = mapBytesFor(64 << 20);
export const boot = 'this boot';
export const nextBoot = 'another boot';

const folders: string[] = [];

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'trunkline-log-'));
  folders.push(folder);
  return folder;
}

export function removeTemporaryFolders(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

/** What the frame at `position` carries when `life` wrote it. */
export const textAt = (position: number, life: number, bytes = 40): string =>
  `${life}/${position} `.padEnd(bytes + (position % 7), 'x');

/** One group of one frame per position; the last one closes it. */
export function writeGroup(target: Buffer, offset: number, position: number, count: number, life: number): number {
  const writer = new FrameWriter(target);
  let end = offset;
  for (let i = 0; i < count; i++) {
    const text = textAt(position + i, life);
    const length = writer.write(end, FrameKind.event, 1, 0, 1, 'call', 'id', 'CallCreated', '', text);
    if (i === count - 1) writer.addFlags(end, FrameFlag.last);
    end += alignUp(length);
  }
  return end;
}

const groupBuffer: Buffer = Buffer.alloc(256 << 10);

/** A writer with its builder, appending groups as the log thread does. */
export class SampleLog {
  readonly folder: string;
  readonly writer: LogWriter;
  readonly recovered: Recovered;
  readonly life: number;
  nextPosition: number;
  private readonly builder: ChunkBuilder;

  private constructor(folder: string, writer: LogWriter, recovered: Recovered, chunkBytes: number) {
    this.folder = folder;
    this.writer = writer;
    this.recovered = recovered;
    this.life = recovered.identity.number;
    this.nextPosition = recovered.nextPosition;
    this.builder = new ChunkBuilder(recovered.identity, recovered.previousCrc, chunkBytes, groupBuffer.length);
  }

  static async open(folder: string, options: Partial<RecoveryOptions> = {}, chunkBytes = 4 << 20): Promise<SampleLog> {
    const recovered = await recoverLog({ folder, mapBytes, bootId: boot, ...options });
    return new SampleLog(folder, LogWriter.open(folder, options.mapBytes ?? mapBytes), recovered, chunkBytes);
  }

  /** Append one chunk of groups of `sizes` frames; returns its bytes, as sealed. `unpadded`: as the log never would. */
  append(sizes: readonly number[], floor = 1, unpadded = false): Buffer {
    this.builder.begin(this.nextPosition);
    let position = this.nextPosition;
    for (const size of sizes) {
      const end = writeGroup(groupBuffer, 0, position, size, this.life);
      this.builder.add(groupBuffer, 0, end, size);
      position += size;
    }
    const sealed = this.builder.seal(floor);
    const chunk = unpadded ? sealed.subarray(0, CHUNK_HEADER_BYTES + this.builder.bytes) : sealed;
    this.writer.append(this.nextPosition, chunk);
    this.nextPosition = position;
    return chunk;
  }

  close(): Promise<void> {
    return this.writer.close();
  }
}

/** Position → text of every frame that a reader finds, in order. */
export async function readAll(folder: string, from = 1): Promise<Map<number, string>> {
  const writer = LogWriter.open(folder, mapBytes);
  const reader = openLogReader(folder, mapBytes);
  const found = new Map<number, string>();
  for (let position = from; ; ) {
    const chunk = reader.read(position);
    if (!chunk) break;
    const frame = new FrameReader(chunk.frames).at(0);
    for (let i = 0; i < chunk.count; i++, frame.at(frame.next)) found.set(chunk.firstPosition + i, frame.dataJson);
    position = chunk.firstPosition + chunk.count;
  }
  await reader.close();
  await writer.close();
  return found;
}
