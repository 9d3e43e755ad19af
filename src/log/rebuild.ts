// A fresh data file out of the chunks worth keeping, and its exchange for the old one. A crash at any moment leaves
// `log.mdb` being the old file or the new one, whole, and the next start does what is still to do.

import { join } from 'node:path';
import { dateMs, monotonicMs } from '../base/clock.ts';
import { existsSync, linkSync, renameSync, rmSync } from '../base/disk.ts';
import { syncFile, syncFolder } from '../base/durable-file.ts';
import { makePrivateFolder, writePrivate } from '../base/private-file.ts';
import { tame } from '../base/tame.ts';
import type { ControlBlock } from '../shared/control-block.ts';
import { CHUNK_BYTES_LEAST, CHUNK_HEADER_BYTES } from './chunk.ts';
import { dataFileOf, PAGE_BYTES, pagesOf } from './layout.ts';
import { LogWriter, mapBytesFor } from './lmdb.ts';
import type { PageFile } from './pages.ts';
import type { FoundChunk } from './scan.ts';

/** Bytes of one transaction while rebuilding. */
const BATCH_BYTES = 16 << 20;

const rebuiltFolder = (folder: string): string => join(folder, 'rebuilt');

/** Remove what a start that did not come to its end has left. */
export function discardRebuilt(folder: string): void {
  rmSync(rebuiltFolder(folder), { recursive: true, force: true });
}

/** Write the chunks as they are into a data file beside the log's, and sync it. */
export async function rebuild(
  folder: string,
  mapBytes: number,
  from: PageFile,
  chunks: readonly FoundChunk[],
  control: ControlBlock | undefined,
): Promise<void> {
  const beside = rebuiltFolder(folder);
  makePrivateFolder(beside);
  const bytesInAll =
    chunks.reduce((sum, { frameBytes }) => sum + pagesOf(CHUNK_HEADER_BYTES + frameBytes), 0) * PAGE_BYTES;
  const writer = LogWriter.open(beside, Math.max(mapBytes, mapBytesFor(bytesInAll)), control);
  const padded = Buffer.alloc(CHUNK_BYTES_LEAST);
  for (let i = 0; i < chunks.length; ) {
    const first = i;
    let bytes = 0;
    for (; i < chunks.length && bytes < BATCH_BYTES; i++) bytes += pagesOf(keptBytes(chunks[i]!)) * PAGE_BYTES;
    writer.together(bytes, () => {
      for (const { offset, frameBytes, firstPosition } of chunks.slice(first, i)) {
        let chunk = from.read(offset, CHUNK_HEADER_BYTES + frameBytes);
        if (chunk.length < CHUNK_BYTES_LEAST) {
          chunk.copy(padded.fill(0));
          chunk = padded;
        }
        writer.append(firstPosition, chunk);
      }
    });
  }
  await writer.close();
  syncFile(dataFileOf(beside));
}

const reasonLimit = 8192;
const keptBytes = ({ frameBytes }: FoundChunk): number => Math.max(CHUNK_BYTES_LEAST, CHUNK_HEADER_BYTES + frameBytes);

/** The rebuilt file takes the old one's place; for a reason, the old one is kept beside it in a folder of its own. */
export function exchange(folder: string, reasonToKeep: string | undefined): string | undefined {
  const file = dataFileOf(folder);
  let damagedFile: string | undefined;
  if (reasonToKeep !== undefined) {
    const damagedFolder = freshFolder(folder);
    writePrivate(join(damagedFolder, 'reason.txt'), `${tame(reasonToKeep, reasonLimit)}\n`);
    damagedFile = dataFileOf(damagedFolder);
    linkSync(file, damagedFile);
    syncFolder(damagedFolder);
  }
  // What LMDB keeps there concerns only processes that have the old file open, and there are none.
  rmSync(`${file}-lock`, { force: true });
  renameSync(dataFileOf(rebuiltFolder(folder)), file);
  syncFolder(folder);
  discardRebuilt(folder);
  return damagedFile;
}

function freshFolder(folder: string): string {
  const name = join(folder, `damaged-${new Date(dateMs()).toISOString().replaceAll(':', '')}`);
  const unused = existsSync(name) ? `${name}-${Math.round(monotonicMs() * 1e6)}` : name;
  makePrivateFolder(unused);
  return unused;
}
